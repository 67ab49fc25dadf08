"""The bundle in root file systems that lack Python, a C library, or have another one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import urlopen

import pytest

from tests.bundle.root import PROGRAM, PYTHON
from tests.e2e.daemon import COMMAND
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.bundle.root import Root

#: Bytes of all files; an image's layer counts so.
LARGEST: Final = 31_000_000

#: Modules of the standard library for which there is an `import` that a daemon does not reach: other systems,
#: the interactive interpreter, and archives.
LEFT_OUT: Final = {
    *(
        "_aix_support",
        "_osx_support",
        "_pyrepl",
        "_scproxy",
        "_winapi",
        "_wmi",
        "msvcrt",
        "nt",
        "plistlib",
        "winreg",
    ),
    *("code", "doctest", "pydoc", "readline"),
    *("_bz2", "_lzma", "tarfile"),
    *("_pydecimal", "_uuid", "ftplib", "multiprocessing", "smtplib"),
}

SLEEP: Final = f'[{PYTHON}, "-c", "import time; time.sleep(600)"]'

#: Variables that images set for their own programs.
THEIRS: Final = {
    "LD_LIBRARY_PATH": "/opt/app/lib",
    "LD_PRELOAD": "/usr/lib/preloadable_libiconv.so",
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "7",
    "PYTHONHOME": "/opt/python",
    "PYTHONPATH": "/opt/app",
}


def environment_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/environ") as file:
        pairs = (one.partition("=") for one in file.read().split("\0") if one)
        return {name: value for name, _, value in pairs}


def children(root: Root) -> list[int]:
    pid = root.pid()
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def test_it_is_small(bundle: Path) -> None:
    assert sum(path.lstat().st_size for path in bundle.rglob("*") if path.is_file()) < LARGEST


def test_nothing_is_writable_by_others_and_all_is_readable(bundle: Path) -> None:
    for path in bundle.rglob("*"):
        assert path.stat().st_mode & 0o022 == 0, path
        assert path.stat().st_mode & 0o444 == 0o444, path


@pytest.mark.parametrize(("read_only", "user"), [(False, 0), (True, 0), (True, 1234)])
def test_pid_1_in_an_empty_root(root: Root, read_only: bool, user: int) -> None:
    root.write("/etc/c.yaml", f"processes:\n  app: {{command: {SLEEP}}}\n")
    root.start(read_only=read_only, user=user)
    root.until("All processes started successfully")
    assert ("/dev/shm/cbox-init.sock" in root.output()) == read_only
    listed = root.run(PROGRAM, "list")
    assert "app" in listed.stdout, listed.stderr
    os.kill(root.pid(), signal.SIGTERM)
    assert root.wait() == 0
    assert "Cbox Init shutdown complete" in root.output()


def test_version_and_help(bundle: Path) -> None:
    for words, expected in ((("version",), "cbox-init "), (("list", "--help"), "Usage: cbox-init list")):
        done = subprocess.run([bundle / "cbox-init", *words], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(expected)
        assert done.stderr == ""


@pytest.mark.parametrize(
    "words", ["schema", "explain api_port", "scaffold nodejs --stdout", "list --help", "--help"]
)
def test_texts_of_commands_are_all_there(bundle: Path, words: str) -> None:
    """Some are docstrings, of which most are left out."""
    plain, bundled = (
        subprocess.run([*command, *words.split()], capture_output=True, check=False)
        for command in (COMMAND, [bundle / "cbox-init"])
    )
    assert (bundled.returncode, bundled.stdout) == (plain.returncode, plain.stdout)


def test_it_starts_by_a_link_and_is_called_cbox_init(root: Root) -> None:
    (root.folder / "usr/bin").mkdir()
    (root.folder / "usr/bin/cbox-init").symlink_to("../lib/cbox-init/cbox-init")
    root.write("/etc/c.yaml", f"processes:\n  app: {{command: {SLEEP}}}\n")
    root.start("/usr/bin/cbox-init", "serve", "-c", "/etc/c.yaml")
    root.until("All processes started successfully")
    with open(f"/proc/{root.pid()}/cmdline") as file:
        shown = file.read().rstrip("\0").split("\0")
    assert shown == ["/usr/bin/cbox-init", "serve", "-c", "/etc/c.yaml"]
    with open(f"/proc/{root.pid()}/comm") as file:
        assert file.read() == "cbox-init\n"


@pytest.mark.parametrize("limits", ["", "limits: {nofile: 100}"], ids=["vfork", "fork server"])
def test_children_get_the_environment_of_the_container(root: Root, limits: str) -> None:
    root.write("/etc/c.yaml", f"processes:\n  app:\n    command: {SLEEP}\n    {limits}\n")
    root.start(env=THEIRS)
    root.until("All processes started successfully")
    assert "ld.so" not in root.output()
    got = environment_of(next(pid for pid in children(root) if "CBOX_SERVICE" in environment_of(pid)))
    ours = {name for name in got if name.startswith(("CBOX_INIT_", "CBOX_"))}
    assert {name: value for name, value in got.items() if name not in ours} == THEIRS


def test_a_child_may_be_another_python(bundle: Path, tmp_path: Path) -> None:
    """On this machine, whose Python must find its own library and not the bundle's."""
    code = "import json, ssl, sys; print(json.dumps([sys.prefix, sys.path, ssl.__file__]), flush=True)"
    plain = subprocess.run(
        ["/usr/bin/python3", "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    config = tmp_path / "c.yaml"
    config.write_text(
        f"global: {{api_socket: {tmp_path}/s}}\n"
        "processes:\n"
        "  app: {type: oneshot, working_dir: /, on_exit: shutdown,\n"
        f"    command: [/usr/bin/python3, -c, '{code}']}}\n"
    )
    done = subprocess.run(
        [bundle / "cbox-init", "serve", "-c", config], capture_output=True, text=True, timeout=60, check=True
    )
    said = [json.loads(line) for line in done.stdout.splitlines() if '"stream":"stdout"' in line]
    assert [json.loads(one["msg"]) for one in said] == [json.loads(plain.stdout)]


def test_a_c_library_of_the_image_does_not_matter(root: Root) -> None:
    """Not an older glibc, here a file that cannot be loaded, nor what its nsswitch.conf names."""
    for name in ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6", "lib/libnss_systemd.so.2"):
        root.write(name, "not a library")
    root.write("/etc/nsswitch.conf", "passwd: systemd files\ngroup: systemd files\nhosts: mdns files\n")
    root.write("/etc/passwd", "app:x:1234:1235::/:/bin/false\n")
    root.write("/etc/group", "app:x:1235:\n")
    root.write("/etc/c.yaml", f"processes:\n  app: {{command: {SLEEP}, user: app}}\n")
    root.start()
    root.until("All processes started successfully")
    (child,) = children(root)
    status = os.stat(f"/proc/{child}")
    assert (status.st_uid, status.st_gid) == (1234, 1235)


def test_an_image_with_musl_and_a_preloaded_library(root: Root, tmp_path: Path) -> None:
    """As in PHP images of Alpine: LD_PRELOAD names a library of musl, for children alone."""
    (tmp_path / "preload.c").write_text("int answer(void) { return 42; }\n")
    (tmp_path / "child.c").write_text(
        "#include <stdio.h>\n#include <unistd.h>\n#pragma weak answer\nint answer(void);\n"
        'int main(void) { printf("answer %d\\n", answer ? answer() : -1); fflush(stdout); pause(); }\n'
    )
    libraries = root.folder / "usr/lib"
    preloaded = ("-shared", "-fPIC", "-o", libraries / "preload.so", tmp_path / "preload.c")
    subprocess.run(("musl-gcc", *preloaded), check=True)
    subprocess.run(("musl-gcc", "-o", libraries / "child", tmp_path / "child.c"), check=True)
    (root.folder / "lib").mkdir()
    for loader in Path("/lib").glob("ld-musl-*"):
        shutil.copy(loader, root.folder / "lib")
    root.write("/etc/c.yaml", "processes:\n  app: {command: [/usr/lib/child]}\n")
    root.start(env={"LD_PRELOAD": "/usr/lib/preload.so"})
    root.until("answer 42")
    assert "ld.so" not in root.output()


def test_names_are_looked_up_without_nsswitch(root: Root) -> None:
    """A health check by a name of /etc/hosts."""
    port = free_port()
    server = f"import socket, time; s = socket.create_server(('127.0.0.9', {port})); time.sleep(600)"
    root.write("/etc/hosts", "127.0.0.9 here\n")
    root.write(
        "/etc/c.yaml",
        f'processes:\n  app:\n    command: [{PYTHON}, "-c", "{server}"]\n'
        f'    health_check: {{type: tcp, address: "here:{port}", initial_delay: 0, period: 1}}\n'
        f"  next: {{command: {SLEEP}, depends_on: [app]}}\n",
    )
    root.start()
    root.until("All processes started successfully")


def test_what_is_imported_late(root: Root) -> None:
    """zoneinfo with tzdata, prometheus_client, and Starlette."""
    api, metrics = free_port(), free_port()
    root.write(
        "/etc/c.yaml",
        "global:\n"
        f"  {{metrics_enabled: true, metrics_host: 127.0.0.1, metrics_port: {metrics},\n"
        f"  api_enabled: true, api_host: 127.0.0.1, api_port: {api}}}\n"
        "processes:\n"
        f"  job: {{command: {SLEEP}, schedule: '0 3 * * *', schedule_timezone: America/Argentina/Ushuaia}}\n",
    )
    root.start()
    root.until("Cbox Init starting")
    root.until(f"http://127.0.0.1:{metrics}")
    with urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=30) as answer:
        assert b"cbox_init_" in answer.read()
    with urlopen(f"http://127.0.0.1:{api}/api/v1/processes", timeout=30) as answer:
        (job,) = json.load(answer)["processes"]
    assert job["next_run"] % 86400 == 6 * 3600  # 3 in UTC-3


def test_each_module_is_there(bundle: Path) -> None:
    """Also those that are imported in rare cases, and what they import when they run."""
    done = subprocess.run(
        [bundle / "lib/python3", "-c", _IMPORT_ALL], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= LEFT_OUT


#: Imports all modules of cbox-init, then looks for each `import` in the bytecode of all packages.
_IMPORT_ALL: Final = """
import dis, importlib.util, marshal, pathlib, pkgutil, sys, types
import cbox_init
for found in pkgutil.walk_packages(cbox_init.__path__, "cbox_init."):
    if not found.name.endswith("__main__") and found.name != "cbox_init.mcp_server":  # needs an extra
        __import__(found.name)

def codes(code):
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from codes(one)

needed = {}
modules = pathlib.Path(cbox_init.__file__).parent.parent
for file in modules.rglob("*.pyc"):
    for code in codes(marshal.loads(file.read_bytes()[16:])):
        for step in dis.get_instructions(code):
            if step.opname == "IMPORT_NAME" and step.argval and "." not in step.argval:
                needed.setdefault(step.argval, file)
for name, file in sorted(needed.items()):
    if name in sys.stdlib_module_names and importlib.util.find_spec(name) is None:
        print(name)
"""


def test_threads_may_outlive_the_interpreter(root: Root) -> None:
    """They end by pthread_exit, for which the C library loads libgcc_s."""
    code = "import ctypes; ctypes.CDLL('libgcc_s.so.1')"
    root.start(PYTHON, "-c", code)
    assert root.wait() == 0, root.output()


@pytest.mark.parametrize("missing", ["lib", "lib/program", "lib/ld-linux"])
def test_an_incomplete_copy_is_one_clear_line(bundle: Path, tmp_path: Path, missing: str) -> None:
    copied = tmp_path / "copied"
    (copied / "lib").mkdir(parents=True)
    shutil.copy(bundle / "cbox-init", copied)
    if missing != "lib/program":
        shutil.copy(bundle / "lib/program", copied / "lib")
    if missing == "lib":
        shutil.rmtree(copied / "lib")
    done = subprocess.run([copied / "cbox-init", "version"], capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        f"cbox-init: cannot {'start' if 'ld-' in missing else 'read'} {copied}/lib/"
    )
    assert "copy the whole folder of the bundle" in done.stderr
