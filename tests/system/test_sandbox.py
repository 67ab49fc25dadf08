"""Children with fewer rights: capabilities, no new privileges, mounts of their own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.capabilities import NAMES, capability_set
from cbox_init.errors import SpawnError
from cbox_init.system import apply_sandbox
from cbox_init.system.descriptors import output_pipe
from cbox_init.system.identity import Identity
from cbox_init.system.reaper import become_subreaper
from cbox_init.system.sandbox_errors import reason_of, refused_parts
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import EVERY, Limits, Sandbox, SpawnRequest

from .helpers import NOBODY, as_root, become_nobody, isolated, make_request, until

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.system.apply_sandbox import CapabilitySets

PLAIN = Sandbox(where="processes.web", no_new_privileges=True)
OTHER = Identity(NOBODY, NOBODY, (NOBODY,), "nobody", None)
STATUS = ("grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may be run from a folder below /tmp, which a private /tmp hides."""
    monkeypatch.chdir("/")


def output(spawner: Spawner, request: SpawnRequest) -> str:
    read_fd, write_fd = output_pipe(request.identity)
    try:
        pid = spawner.spawn(replace(request, stdout_fd=write_fd, stderr_fd=write_fd))
    finally:
        os.close(write_fd)
    os.set_blocking(read_fd, True)
    with open(read_fd, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text


def status(request: SpawnRequest) -> dict[str, int]:
    """What /proc says of a child: its sets of capabilities, and NoNewPrivs."""
    assert become_subreaper()
    spawner = Spawner()
    lines = output(spawner, replace(request, argv=STATUS)).splitlines()
    spawner.close()
    return {name: int(value, 16) for name, value in (line.split(":") for line in lines)}


def shell(script: str, sandbox: Sandbox, **keys: object) -> SpawnRequest:
    return replace(make_request("sh", "-c", script), sandbox=sandbox, **keys)


def sets(*, drop: str = "", add: str = "", ambient: str = "") -> CapabilitySets:
    drops, adds, ambients = (capability_set(names.split(), EVERY) for names in (drop, add, ambient))
    return drops, adds, ambients


def bit(name: str) -> int:
    return 1 << NAMES.index(name)


def drop(*names: str) -> None:
    """What is executed from now on does not have them, not even as root."""
    pr_capbset_drop = 24
    for name in names:
        assert ctypes.CDLL(None).prctl(pr_capbset_drop, NAMES.index(name), 0, 0, 0) == 0


def test_no_new_privileges() -> None:
    def test() -> None:
        assert status(make_request("true"))["NoNewPrivs"] == 0
        assert status(replace(make_request("true"), sandbox=PLAIN))["NoNewPrivs"] == 1

    isolated(test)


@as_root
@pytest.mark.parametrize(
    ("written", "left"),
    [
        (sets(drop="ALL"), 0),
        (sets(drop="ALL", add="NET_BIND_SERVICE CAP_chown"), bit("NET_BIND_SERVICE") | bit("CHOWN")),
        (sets(drop="NET_RAW"), ~bit("NET_RAW")),
        (sets(drop="NET_RAW", add="CHOWN"), ~bit("NET_RAW")),
        (sets(drop="ALL", add="ALL"), ~0),
        (sets(drop="ALL", ambient="CHOWN"), bit("CHOWN")),
        (sets(), ~0),
    ],
    ids=str,
)
def test_root_keeps_what_is_not_dropped(written: CapabilitySets, left: int) -> None:
    def test() -> None:
        before = status(make_request("true"))
        found = status(replace(make_request("true"), sandbox=replace(PLAIN, capabilities=written)))
        for kind in ("CapPrm", "CapEff", "CapBnd"):
            assert found[kind] == before[kind] & left, kind

    isolated(test)


@as_root
@pytest.mark.parametrize(
    ("written", "effective", "bounding"),
    [
        (sets(drop="ALL"), 0, 0),
        (sets(drop="ALL", add="CHOWN"), 0, bit("CHOWN")),
        (sets(drop="ALL", ambient="CHOWN"), bit("CHOWN"), bit("CHOWN")),
        (sets(ambient="CHOWN"), bit("CHOWN"), ~0),
        (sets(drop="ALL", add="CHOWN KILL", ambient="ALL"), *[bit("CHOWN") | bit("KILL")] * 2),
        (sets(drop="CHOWN"), 0, ~bit("CHOWN")),
    ],
    ids=str,
)
def test_another_user_has_the_ambient_ones(written: CapabilitySets, effective: int, bounding: int) -> None:
    def test() -> None:
        before = status(make_request("true"))
        sandbox = replace(PLAIN, capabilities=written, no_new_privileges=False)
        found = status(replace(make_request("true"), sandbox=sandbox, identity=OTHER))
        for kind in ("CapPrm", "CapEff", "CapAmb"):
            assert found[kind] == effective, kind
        assert found["CapBnd"] == before["CapBnd"] & bounding
        assert found["NoNewPrivs"] == 0

    isolated(test)


@as_root
def test_root_without_capabilities_is_refused_a_file(public_path: Path) -> None:
    secret = public_path / "secret"
    secret.write_text("secret")
    os.chown(secret, NOBODY, NOBODY)
    secret.chmod(0o600)

    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, capabilities=sets(drop="ALL"), no_new_privileges=False)
        assert "Permission denied" in output(spawner, shell(f"cat {secret}", sandbox))
        assert output(spawner, shell(f"cat {secret}", PLAIN)) == "secret"
        spawner.close()

    isolated(test)


@as_root
@pytest.mark.parametrize("key", ["add", "ambient"])
def test_what_the_daemon_lacks_is_refused(key: str) -> None:
    def test() -> None:
        drop("NET_RAW", "MKNOD")
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, capabilities=sets(drop="ALL", **{key: "NET_RAW MKNOD CHOWN"}))
        with pytest.raises(SpawnError) as caught:
            spawner.spawn(shell("true", sandbox))
        assert str(caught.value) == (
            f"processes.web.capabilities.{key} cannot be set: the daemon lacks NET_RAW, MKNOD: remove it, "
            "or give it to the container (docker run --cap-add NET_RAW --cap-add MKNOD)"
        )
        assert caught.value.exit_code == 1
        spawner.close()

    isolated(test)


@as_root
def test_without_cap_setpcap_dropping_takes_no_new_privileges() -> None:
    def test() -> None:
        drop("SETPCAP")
        sandbox = replace(PLAIN, capabilities=sets(drop="ALL"))
        found = status(replace(make_request("true"), sandbox=sandbox))
        assert (found["CapPrm"], found["CapEff"], found["CapInh"], found["NoNewPrivs"]) == (0, 0, 0, 1)
        spawner = Spawner()
        with pytest.raises(
            SpawnError, match=r"^processes\.web\.capabilities\.drop cannot be set: .* lacks CAP_SETPCAP"
        ):
            spawner.spawn(shell("true", replace(sandbox, no_new_privileges=False)))
        spawner.close()

    isolated(test)


@as_root
def test_a_daemon_that_is_not_root(public_path: Path) -> None:
    """It can forbid new privileges, and so drop all capabilities; mounts and other users are refused."""

    def test() -> None:
        # Python may be in a directory that only root may enter.
        may_search = apply_sandbox.read_capabilities()[1] & bit("DAC_READ_SEARCH")
        entering = sets(ambient="DAC_READ_SEARCH" if may_search else "DAC_OVERRIDE")
        search = apply_sandbox.Capabilities(entering, switches=True, no_new_privileges=False)
        search.prepare()
        become_nobody()
        search.complete()
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, capabilities=sets(drop="ALL"))
        for allowed in (PLAIN, sandbox):
            assert status(replace(make_request("true"), sandbox=allowed))["NoNewPrivs"] == 1
        for key, wanted in (
            ("read_only_paths", replace(PLAIN, read_only_paths=("/etc",))),
            ("private_tmp", replace(PLAIN, private_tmp=True)),
        ):
            with pytest.raises(SpawnError) as caught:
                spawner.spawn(shell("true", wanted))
            assert str(caught.value).startswith(
                f"processes.web.{key} cannot be set: mounts of its own need CAP_SYS_ADMIN, which this daemon"
            )
            assert refused_parts(wanted) == [(key, str(caught.value).partition("cannot be set: ")[2])]
        assert refused_parts(sandbox) == []
        user = Identity(1, 1, (1,), "daemon", None)
        with pytest.raises(SpawnError, match=r"^cannot become user daemon \(uid 1, gid 1\): this daemon"):
            spawner.spawn(shell("true", PLAIN, identity=user))
        spawner.close()

    isolated(test)


def test_without_a_sandbox_nothing_forks_for_the_daemon() -> None:
    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        forked = []
        for request in (make_request("true"), shell("true", PLAIN)):
            output(spawner, request)
            forked.append(spawner._fork_server is not None)
        assert forked == [False, True]
        spawner.close()

    isolated(test)


def mount(source: str | None, target: object, kind: str | None, flags: int) -> None:
    found = ctypes.CDLL(None, use_errno=True).mount(
        source and source.encode(), str(target).encode(), kind and kind.encode(), ctypes.c_ulong(flags), None
    )
    assert found == 0, os.strerror(ctypes.get_errno())


def own_mounts() -> None:
    """Whatever this process mounts from now on ends with it."""
    assert ctypes.CDLL(None).unshare(apply_sandbox._CLONE_NEWNS) == 0
    mount(None, "/", None, apply_sandbox._MS_REC | apply_sandbox._MS_PRIVATE)


@pytest.mark.mounts
def test_read_only_paths_are_that_with_all_that_is_mounted_below(public_path: Path) -> None:
    for name in ("tree", "tree/mounted one", "free"):
        (public_path / name).mkdir()
    (public_path / "link").symlink_to("tree")
    (public_path / "file").touch()
    script = f"""
cd {public_path}
for place in tree/a 'tree/mounted one/a' link/a file free/a; do
  (echo x >> "$place") 2>/dev/null && echo "$place"
done
"""

    def test() -> None:
        own_mounts()
        mount("tmpfs", public_path / "tree/mounted one", "tmpfs", apply_sandbox._MS_NOSUID)
        assert become_subreaper()
        spawner = Spawner()
        paths = (f"{public_path}/link", f"{public_path}/file", f"{public_path}/tree")
        for sandbox in (replace(PLAIN, read_only_paths=paths), replace(PLAIN, read_only_paths=paths[:2])):
            assert output(spawner, shell(script, sandbox)) == "free/a\n"
        assert output(spawner, shell(script, PLAIN)).count("\n") == 5
        spawner.close()
        # A relative path is no way around, whether the working directory is its own or the daemon's.
        os.chdir(public_path / "tree")
        spawner = Spawner()
        for cwd in (paths[2], None):
            written = output(
                spawner, shell("pwd; echo x > b", replace(PLAIN, read_only_paths=paths), cwd=cwd)
            )
            assert written.startswith(f"{paths[2]}\n")
            assert "Read-only file system" in written
        spawner.close()

    isolated(test)


@pytest.mark.mounts
@pytest.mark.parametrize("identity", [None, OTHER], ids=["root without capabilities", "another user"])
def test_there_is_no_way_out_of_read_only_paths(public_path: Path, identity: Identity | None) -> None:
    tree = public_path / "tree"
    tree.mkdir()
    tree.chmod(0o777)
    script = f"""
echo x > {tree}/a
echo x > /proc/$DAEMON/root{tree}/b
echo x > /proc/$PPID/root{tree}/c
mount -o remount,bind,rw {tree} && echo x > {tree}/d
umount {tree} && echo x > {tree}/e
nsenter -m -t $DAEMON touch {tree}/f
unshare -Urm sh -c 'mount -o remount,bind,rw {tree}; umount {tree}; echo x > {tree}/g'
chroot /proc/$DAEMON/root touch {tree}/h
echo done
"""

    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, read_only_paths=(str(tree),), capabilities=sets(drop="ALL"))
        request = shell(script, sandbox, identity=identity)
        text = output(spawner, replace(request, env={**request.env, "DAEMON": str(os.getpid())}))
        assert text.endswith("done\n")
        assert list(tree.iterdir()) == [], text
        output(spawner, shell(f"echo x > {tree}/a", PLAIN, identity=identity))
        assert [file.name for file in tree.iterdir()] == ["a"]
        spawner.close()

    isolated(test)


@pytest.mark.mounts
def test_a_kernel_without_mount_setattr(public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (public_path / "tree/a b\\").mkdir(parents=True)
    monkeypatch.setattr(apply_sandbox, "_SYS_MOUNT_SETATTR", 1_000_000)

    def test() -> None:
        own_mounts()
        mount("tmpfs", public_path / "tree/a b\\", "tmpfs", apply_sandbox._MS_NOSUID)
        tree = str(public_path / "tree").encode()
        apply_sandbox.apply_mounts(((tree,), False, None))
        (public_path / "free").touch()
        for place in ("tree", "tree/a b\\"):
            with pytest.raises(OSError, match="Read-only file system"):
                (public_path / place / "x").touch()
            assert os.statvfs(public_path / place).f_flag & os.ST_RDONLY
        assert os.statvfs(public_path / "tree/a b\\").f_flag & os.ST_NOSUID

    isolated(test)


@pytest.mark.mounts
def test_the_whole_file_system_and_a_private_tmp() -> None:
    script = "touch /proc/self/comm /dev/shm/x /etc/x /x 2>&1 | grep -c Read-only; echo x > /tmp/x; ls /tmp"

    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, read_only_paths=("/",), private_tmp=True)
        limits = Limits(where="", oom_score_adj=500)  # written to /proc before that is read-only
        assert output(spawner, shell(script, sandbox, limits=limits)) == "4\nx\n"
        spawner.close()

    isolated(test)


@pytest.mark.mounts
def test_a_private_tmp_is_empty_and_its_own(public_path: Path) -> None:
    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, private_tmp=True)
        script = "ls -A /tmp /var/tmp; stat -c %a /tmp /var/tmp; touch /tmp/mine /var/tmp/mine && pwd"
        for _ in range(2):
            text = output(spawner, shell(script, sandbox, identity=OTHER, cwd="/tmp", umask=0o077))
            assert text == "/tmp:\n\n/var/tmp:\n1777\n1777\n/tmp\n"
        assert not os.path.exists("/tmp/mine")
        spawner.close()

    isolated(test)


@pytest.mark.mounts
def test_what_private_tmp_hides_is_said(public_path: Path) -> None:
    program = public_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    hidden = "processes.web.private_tmp hides what is in /tmp; "

    def refusal(spawner: Spawner, request: SpawnRequest) -> SpawnError:
        with pytest.raises(SpawnError) as caught:
            spawner.spawn(request)
        spawner.close()
        return caught.value

    def test() -> None:
        assert become_subreaper()
        sandbox = replace(PLAIN, private_tmp=True)
        error = refusal(Spawner(), replace(make_request(str(program)), sandbox=sandbox))
        assert str(error) == f"command not found: {str(program)!r} ({hidden}put it elsewhere)"
        assert error.exit_code == 127
        gone = f"working directory {str(public_path)!r} is not there: {hidden}"
        error = refusal(Spawner(), shell("true", sandbox, cwd=str(public_path)))
        assert str(error) == f"the {gone}choose another"
        os.chdir(public_path)
        error = refusal(Spawner(), shell("true", sandbox))
        assert str(error) == f"the daemon's {gone}set working_dir"

    isolated(test)


@pytest.mark.mounts
def test_a_path_that_does_not_exist_is_refused() -> None:
    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, read_only_paths=("/etc", "/no/such"))
        why = "'/no/such' does not exist: correct it, or make it in the image"
        with pytest.raises(SpawnError) as caught:
            spawner.spawn(shell("true", sandbox))
        assert str(caught.value) == f"processes.web.read_only_paths[1] cannot be set: {why}"
        assert refused_parts(sandbox) == [("read_only_paths[1]", why)]
        assert refused_parts(replace(sandbox, read_only_paths=("/etc",), private_tmp=True)) == []
        spawner.close()

    isolated(test)


@as_root
def test_why_mounts_are_refused() -> None:
    """Without CAP_SYS_ADMIN, or, with it, by a security profile."""

    def test() -> None:
        sandbox = replace(PLAIN, private_tmp=True)
        effective, permitted, inheritable = apply_sandbox.read_capabilities()
        if effective & bit("SYS_ADMIN"):
            why = reason_of(sandbox, "private_tmp", 13, "Permission denied")
            assert why.startswith("the security profile of the container does not allow mounts (Permission")
        apply_sandbox._write_capabilities(effective & ~bit("SYS_ADMIN"), permitted, inheritable)
        why = reason_of(sandbox, "private_tmp", 13, "Permission denied")
        assert why.startswith("mounts of its own need CAP_SYS_ADMIN, which this daemon lacks: give the")

    isolated(test)


@pytest.mark.mounts
def test_what_belongs_to_an_instance_shares_its_mounts() -> None:
    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        sandbox = replace(PLAIN, private_tmp=True)
        first = spawner.spawn(shell("touch /tmp/mine; exec sleep 1000", sandbox, identity=OTHER))
        shared = replace(sandbox, mounts_of=first)
        try:
            until(lambda: output(spawner, shell("ls /tmp", shared)) == "mine\n")
            assert output(spawner, shell("ls /tmp", sandbox)) == ""
        finally:
            os.kill(first, signal.SIGKILL)
        # A zombie has no mounts, and a number that is free has none either: then they are new ones.
        until(lambda: output(spawner, shell("ls /tmp", shared)) == "")
        os.waitpid(first, 0)
        assert output(spawner, shell("ls /tmp; touch /tmp/x", shared)) == ""
        spawner.close()

    isolated(test)


@pytest.mark.mounts
def test_mounts_that_the_instance_made_itself_are_not_shared(public_path: Path) -> None:
    """In a user namespace it could mount a program of its own over /bin/sh, for a hook to run as root."""
    unshared = "import ctypes; assert not ctypes.CDLL(None).unshare(0x10020000); print(flush=True); input()"

    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        command = [sys.executable, "-c", unshared]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as instance:
            assert instance.stdout and instance.stdout.readline() == b"\n"
            sandbox = replace(PLAIN, private_tmp=True)
            tell = shell("readlink /proc/self/ns/mnt", replace(sandbox, mounts_of=instance.pid))
            theirs = os.readlink(f"/proc/{instance.pid}/ns/mnt")
            assert output(spawner, tell).strip() not in ("", theirs, os.readlink("/proc/self/ns/mnt"))
            # One that has no mounts of its own is no way out either.
            tell = shell("readlink /proc/self/ns/mnt", replace(sandbox, mounts_of=os.getpid()))
            assert output(spawner, tell).strip() != os.readlink("/proc/self/ns/mnt")
            instance.kill()
        spawner.close()

    isolated(test)


def test_names_of_capabilities_are_those_of_the_kernel() -> None:
    done = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True)
    names = [name.upper() for name in done.stdout.split() if not name.startswith("cap_")]
    assert len(names) > 30
    assert all(ours == theirs for ours, theirs in zip(NAMES, names, strict=False))
