"""The daemon as users start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

#: 32 and 33, which glibc keeps for itself; ``make`` starts its children with one of them ignored.
GLIBC_SIGNALS = 0b11 << 31

WEB = """
global: {api_socket: SOCKET}
processes:
  web: {command: [sh, -c, "trap 'echo bye; exit 0' TERM; (echo ready; exec sleep 1000) & wait"]}
"""


def test_a_shutdown_lets_term_handlers_run_and_exits_with_0(serve: Serve) -> None:
    daemon = serve(WEB)
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    assert daemon.stop() == 0
    assert daemon.lines("web") == ["ready", "bye"]
    messages = daemon.messages()
    assert messages.index("bye") < messages.index("Process instance stopped")
    for message in ("Process instance started", "All processes started successfully"):
        assert message in messages
    assert messages[-1] == "Cbox Init shutdown complete"
    assert daemon.errors() == ""
    assert not daemon.socket.exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_end_it(serve: Serve, signum: int) -> None:
    daemon = serve(WEB)
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    daemon.signal(signum)
    assert daemon.wait() == 0


def test_sigusr1_does_not_end_it(serve: Serve) -> None:
    daemon = serve(WEB)
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    daemon.signal(signal.SIGUSR1)
    daemon.until_said("Reopening log files")
    assert daemon.stop() == 0


def test_it_exits_with_1_and_one_line_when_the_port_is_taken(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = serve(
            f"""
global: {{api_enabled: true, api_host: 127.0.0.1, api_port: {port}, api_socket: SOCKET}}
processes:
  web: {{command: [sh, -c, "touch DIR/started; sleep 1000"]}}
"""
        )
        assert daemon.wait() == 1
    assert str(port) in daemon.errors()
    assert "Traceback" not in daemon.errors()
    assert daemon.errors().count("\n") == 1
    assert not (daemon.folder / "started").exists()


def test_it_does_not_start_when_its_token_is_empty_and_others_reach_the_port(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_enabled: true, api_auth: "${NO_SUCH_TOKEN}", api_socket: SOCKET}
processes:
  web: {command: [sh, -c, "touch DIR/started; sleep 1000"]}
"""
    )
    assert daemon.wait() == 1
    assert "global.api_auth: is empty: anyone who reaches this port could run any command" in daemon.errors()
    assert "Traceback" not in daemon.errors()
    assert not (daemon.folder / "started").exists()


def test_a_second_daemon_does_not_steal_the_socket_of_a_living_one(serve: Serve) -> None:
    first = serve(WEB)
    wait_for(first.socket.exists, first.errors())
    second = serve(WEB.replace("SOCKET", str(first.socket)))
    assert second.wait() == 1
    assert str(first.socket) in second.errors()
    assert first.stop() == 0


def test_the_socket_of_a_dead_daemon_is_replaced(serve: Serve) -> None:
    first = serve(WEB)
    wait_for(lambda: first.lines("web"), first.errors())
    child = next(int(str(r["pid"])) for r in first.records() if r["msg"] == "Process instance started")
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait()
    os.killpg(child, signal.SIGKILL)
    assert first.socket.exists()
    second = serve(WEB.replace("SOCKET", str(first.socket)))
    wait_for(lambda: second.lines("web"), second.errors())
    assert second.stop() == 0


def test_what_a_child_wrote_before_it_died_comes_before_its_end(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  job:
    type: oneshot
    command: [sh, -c, "seq -f 'line %g' 0 499; printf unfinished; exit 9"]
"""
    )
    assert daemon.wait() == 9
    lines = daemon.lines("job")
    assert lines == [*(f"line {i}" for i in range(500)), "unfinished"]
    messages = daemon.messages()
    assert messages.index("unfinished") < messages.index("Process instance exited with error")


def test_children_inherit_nothing_but_their_three_descriptors(serve: Serve) -> None:
    inherited = os.open("/dev/null", os.O_RDONLY)
    try:
        daemon = serve(
            """
global: {api_socket: SOCKET}
processes:
  job: {type: oneshot, command: [sh, -c, "ls /proc/self/fd; cat /proc/self/status"]}
""",
            pass_fds=(inherited,),
        )
        assert daemon.wait() == 0
    finally:
        os.close(inherited)
    lines = [str(line) for line in daemon.lines("job")]
    assert lines[:4] == ["0", "1", "2", "3"]  # 3 is the folder that ls reads
    assert lines[4].startswith("Name:")
    for name in ("SigBlk", "SigIgn"):
        mask = next(line for line in lines if line.startswith(name)).split(":")[1]
        assert int(mask, 16) & ~GLIBC_SIGNALS == 0


def test_children_do_not_get_the_token_of_the_api(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  job: {type: oneshot, command: [env]}
""",
        env={"CBOX_INIT_GLOBAL_API_AUTH": "a-secret-token", "CBOX_INIT_GLOBAL_LOG_LEVEL": "debug"},
    )
    assert daemon.wait() == 0
    assert "CBOX_INIT_GLOBAL_LOG_LEVEL=debug" in daemon.lines("job")
    assert "a-secret-token" not in daemon.output()


def test_dry_run_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text(
        "processes:\n"
        f"  web: {{command: [touch, {tmp_path}/started], depends_on: [job]}}\n"
        "  job: {type: oneshot, command: ['true']}\n"
    )
    done = subprocess.run(
        [*COMMAND, "serve", "--dry-run", "-c", str(config)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert (
        done.stdout
        == f"job: oneshot, scale 1: true\nweb: longrun, scale 1 after job: touch {tmp_path}/started\n"
    )
    assert not (tmp_path / "started").exists()


def test_a_configuration_that_cannot_be_used_is_refused_with_every_problem(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text("processes:\n  web: {scale: -1}\n  job: {command: [a], depends_on: [nobody]}\n")
    done = subprocess.run([*COMMAND, "-c", str(config)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    for path in ("processes.web.scale", "processes.web.command", "processes.job.depends_on"):
        assert path in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
