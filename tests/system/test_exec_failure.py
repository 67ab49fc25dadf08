from __future__ import annotations

import errno
import gc
import os
import resource
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.errors import SpawnError
from cbox_init.system import exec_failure
from cbox_init.system.descriptors import RESERVED, out_of_descriptors, output_pipe
from cbox_init.system.identity import Identity
from cbox_init.system.interpreter import Interpreter, first_unusable, interpreter_of
from cbox_init.system.spawn import Spawner

from .helpers import ENV, NOBODY, as_root, become_nobody, isolated, make_request, run_program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOMEBODY = Identity(NOBODY, NOBODY, (NOBODY,), "nobody", None)


def failure(
    *argv: str, env: Mapping[str, str] = ENV, cwd: str | None = None, identity: Identity | None = None
) -> tuple[str, int]:
    """Message and exit code of a start that fails."""
    spawner = Spawner()
    try:
        with pytest.raises(SpawnError) as caught:
            spawner.spawn(make_request(*argv, env=env, cwd=cwd, identity=identity))
    finally:
        spawner.close()
    assert "\n" not in str(caught.value)
    return str(caught.value), caught.value.exit_code


def make_file(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_a_command_that_the_path_does_not_have() -> None:
    text, code = failure("no-such-command", env={"PATH": "/usr/bin:/bin"})
    assert (text, code) == ("command not found: 'no-such-command' (looked in PATH='/usr/bin:/bin')", 127)


def test_a_command_without_a_path_to_look_in() -> None:
    text, code = failure("no-such-command", env={})
    assert (text, code) == (
        "command not found: 'no-such-command' (PATH is not set, looked in '/bin:/usr/bin')",
        127,
    )


@pytest.mark.parametrize("command", ["/no/such/file", "/etc/passwd/x"])
def test_a_file_that_does_not_exist(command: str) -> None:
    text, code = failure(command)
    assert text.startswith(f"command not found: {command!r} (")
    assert code == 127


def test_a_relative_file_is_looked_for_in_the_working_directory(tmp_path: Path) -> None:
    assert failure("bin/x", cwd=str(tmp_path))[0] == (
        f"command not found: 'bin/x' (no such file in {str(tmp_path)!r})"
    )
    make_file(tmp_path / "x", b"", 0o644)
    assert "not executable (chmod +x)" in failure("./x", cwd=str(tmp_path))[0]


def test_a_whole_command_line_as_one_word() -> None:
    text, _ = failure("php artisan serve")
    assert text.endswith("it contains blanks: write each argument as a word of its own)")


def test_a_script_without_its_interpreter(tmp_path: Path) -> None:
    script = make_file(tmp_path / "run", b"#! /opt/none/python -u\nprint()\n")
    assert failure(script) == (
        f"cannot start {script!r}: its interpreter '/opt/none/python' does not exist",
        127,
    )
    found = failure("run", env={"PATH": str(tmp_path)})
    assert found == (f"cannot start {script!r}: its interpreter '/opt/none/python' does not exist", 127)


def test_a_script_from_windows(tmp_path: Path) -> None:
    text, code = failure(make_file(tmp_path / "run", b"#!/bin/sh\r\necho\r\n"))
    assert r"its interpreter '/bin/sh\r' does not exist; the script has Windows line ends" in text
    assert code == 127


def test_a_program_of_another_c_library(tmp_path: Path) -> None:
    loader = interpreter_of("/bin/true")
    assert loader is not None
    assert loader.kind == "loader"
    missing = loader.path[:-3] + "xyz"
    with open("/bin/true", "rb") as file:
        content = file.read().replace(loader.path.encode(), missing.encode())
    text, code = failure(make_file(tmp_path / "run", content))
    assert f"its loader {missing!r} does not exist; the program was built for another C library" in text
    assert code == 127


def test_a_program_for_another_processor(tmp_path: Path) -> None:
    with open("/bin/true", "rb") as file:
        content = bytearray(file.read())
    content[18:20] = b"\x02\x00"  # e_machine: SPARC
    text, code = failure(make_file(tmp_path / "run", bytes(content)))
    assert text.endswith("wrong format: the program was built for another kind of processor")
    assert code == 126


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"echo hello\n", "wrong format: no program, and no #! line that names an interpreter"),
        (b"", "wrong format: the file is empty"),
    ],
)
def test_a_file_that_is_no_program(tmp_path: Path, content: bytes, reason: str) -> None:
    script = make_file(tmp_path / "run", content)
    assert failure(script) == (f"cannot start {script!r}: {reason}", 126)


def test_a_directory(tmp_path: Path) -> None:
    assert failure(str(tmp_path)) == (f"cannot start {str(tmp_path)!r}: it is a directory", 126)
    # Also where the working directory has the same name, which tells the two failures apart.
    assert failure(str(tmp_path), cwd=str(tmp_path))[1] == 126


def test_no_permission_to_execute(tmp_path: Path) -> None:
    script = make_file(tmp_path / "run", b"#!/bin/sh\n", 0o644)
    assert failure(script) == (
        f"cannot start {script!r}: permission denied: it is not executable (chmod +x)",
        126,
    )


def test_an_interpreter_without_permission(tmp_path: Path) -> None:
    interpreter = make_file(tmp_path / "interpreter", b"", 0o644)
    script = make_file(tmp_path / "run", f"#!{interpreter}\n".encode())
    text, code = failure(script)
    assert text.endswith(f"permission denied: its interpreter {interpreter!r} is not executable")
    assert code == 126


@as_root
def test_no_permission_for_that_user(public_path: Path) -> None:
    script = make_file(public_path / "run", b"#!/bin/sh\n", 0o700)
    text, code = failure(script, identity=SOMEBODY)
    assert text.startswith(
        f"cannot start {script!r} as user nobody (uid 65534, gid 65534): permission denied: by its mode"
    )
    assert code == 126


@as_root
def test_a_directory_of_the_path_that_is_closed_to_us(tmp_path: Path) -> None:
    make_file(tmp_path / "run", b"#!/bin/sh\n")
    tmp_path.chmod(0)

    def test() -> None:
        become_nobody()
        assert failure("run", env={"PATH": str(tmp_path)}) == ("cannot start 'run': Permission denied", 126)

    isolated(test)
    tmp_path.chmod(0o700)


@pytest.mark.timeout(60)
def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """Its owner could stop the daemon for ever: nothing ever writes to it."""
    fifo = tmp_path / "run"
    os.mkfifo(fifo)
    fifo.chmod(0o755)
    text, code = failure(str(fifo))
    assert text.startswith(f"cannot start {str(fifo)!r}: permission denied")
    assert code == 126


def test_a_chain_of_links(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("run")
    text, code = failure(str(tmp_path / "run"))
    assert "symbolic links" in text
    assert code == 126


def test_a_working_directory_that_does_not_exist() -> None:
    assert failure("true", cwd="/no/such") == ("the working directory '/no/such' does not exist", 1)
    # Also when the command has the same name.
    assert failure("/no/such", cwd="/no/such") == ("the working directory '/no/such' does not exist", 1)


def test_a_working_directory_that_is_a_file() -> None:
    assert failure("true", cwd="/etc/passwd") == ("the working directory '/etc/passwd' is not a directory", 1)


@as_root
def test_a_working_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0)

    def test() -> None:
        become_nobody()
        assert failure("true", cwd=str(tmp_path)) == (
            f"the working directory {str(tmp_path)!r} cannot be entered: permission denied",
            1,
        )

    isolated(test)
    tmp_path.chmod(0o700)


def test_too_many_arguments() -> None:
    text, code = failure("true", "x" * 200_000)
    assert "argument list too long" in text
    assert code == 1


@pytest.mark.parametrize(
    ("argv", "env", "cwd", "text"),
    [
        (["true", "a\0b"], {}, None, "cannot start 'true': an argument holds a NUL byte"),
        (["tr\0ue"], {}, None, r"cannot start 'tr\x00ue': an argument holds a NUL byte"),
        (["true"], {}, "/\0", "cannot start 'true': the working directory holds a NUL byte"),
        (["true"], {"A": "\0"}, None, "the environment variable 'A' holds a NUL byte"),
        (["true"], {"A\0": ""}, None, r"the environment variable 'A\x00' holds a NUL byte"),
        (["true"], {"A=B": ""}, None, "the environment variable 'A=B' cannot have '=' in its name"),
    ],
)
def test_what_the_kernel_cannot_take(
    argv: list[str], env: dict[str, str], cwd: str | None, text: str
) -> None:
    assert failure(*argv, env={**ENV, **env}, cwd=cwd) == (text, 1)


def test_a_character_that_has_no_bytes() -> None:
    text, code = failure("true", "\ud800")
    assert text.startswith("cannot start 'true': ")
    assert code == 1


@as_root
def test_the_user_has_too_many_processes() -> None:
    def test() -> None:
        become_nobody()
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        text, code = failure("true")
        assert text.startswith("out of processes: raise the user's limit (ulimit -u, now 0)")
        assert code == 1

    isolated(test)


def test_too_many_open_files() -> None:
    def test() -> None:
        spawner = Spawner()
        gc.collect()  # what other tests have left may hold descriptors, and give one back in the middle
        first_free = os.dup(0)
        os.close(first_free)
        # Whatever words the error must be there already: an import takes a descriptor.
        sys.modules.pop("cbox_init.system.exec_failure", None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, first_free))
        for start in (lambda: spawner.spawn(make_request("true")), lambda: output_pipe(None)):
            with pytest.raises(SpawnError, match=rf"too many open files: .* \(ulimit -n, now {first_free}\)"):
                start()

    isolated(test)


def test_the_last_descriptors_are_kept_from_children() -> None:
    def test() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        pipes = []
        with pytest.raises(SpawnError, match="too many open files"):
            while True:
                pipes.append(output_pipe(None))
        assert len(pipes) > 50
        kept = [os.open("/proc/self/stat", os.O_RDONLY) for _ in range(RESERVED)]
        assert len(set(kept)) == RESERVED

    isolated(test)


def test_too_many_open_files_in_the_whole_system() -> None:
    found = out_of_descriptors(OSError(errno.ENFILE, "File table overflow"))
    assert str(found) == "too many open files in the whole system: raise fs.file-max"
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (OverflowError("uid is greater than maximum"), "cannot start 'true': uid is greater than maximum"),
    ],
)
def test_what_cannot_be_brought_about_here(error: Exception, text: str) -> None:
    found = exec_failure.explain(error, make_request("true"), None)
    assert str(found).startswith(text)
    assert found.exit_code == 1


@as_root
def test_root_without_the_capability_to_switch() -> None:
    prefix = ("setpriv", "--bounding-set", "-setuid,-setgid")
    assert run_program("switch_user.py", prefix=prefix) == (
        "cannot become user nobody (uid 65534, gid 65534): "
        "the daemon lacks the capability CAP_SETUID or CAP_SETGID\n"
    )


@as_root
def test_a_user_that_the_namespace_does_not_have() -> None:
    prefix = ("unshare", "--user", "--map-root-user")
    assert run_program("switch_user.py", prefix=prefix).startswith("cannot become user nobody (uid 65534")


def test_interpreters_are_followed_and_loops_end(tmp_path: Path) -> None:
    inner = make_file(tmp_path / "inner", b"#!/none\n")
    outer = make_file(tmp_path / "outer", f"#!{inner}\n".encode())
    assert first_unusable(outer, ".") == Interpreter("interpreter", "/none")
    loop = make_file(tmp_path / "loop", f"#!{tmp_path}/loop\n".encode())
    assert first_unusable(loop, ".") is None
    assert first_unusable("/bin/sh", ".") is None


@given(st.binary(max_size=300), st.sampled_from([b"#!", b"\x7fELF\2\1", b"\x7fELF\1\2", b""]))
@settings(deadline=None, max_examples=200)
def test_any_file_can_be_asked(tail: bytes, magic: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(magic + tail)
        file.flush()
        interpreter_of(file.name)
        first_unusable(file.name, ".")
