"""Signals that end the daemon, whatever else comes with them or goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.procfs import read_figures
from tests.e2e.daemon import DEADLINE_S, wait_for
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")

SLEEPER = """
global: {api_socket: SOCKET, shutdown_timeout: 1s}
processes:
  web: {command: [sleep, "1000"]}
"""
STUBBORN = """
global: {api_socket: SOCKET, shutdown_timeout: 600s}
processes:
  web:
    command: [sh, -c, "trap 'echo told' TERM; echo ready $$; while :; do sleep 0.05; done"]
    shutdown: {timeout: 600s}
"""


def broken(patch: str) -> tuple[str, ...]:
    """The command with a piece of Python that runs before it."""
    return (sys.executable, "-c", f"{patch}\nfrom cbox_init.__main__ import main\nmain()")


RELOAD_FAILS = """
from cbox_init import daemon
def fail(*_): raise RuntimeError("no reload today")
daemon.Daemon._reload = fail
"""


def test_sigterm_counts_that_comes_with_a_sighup_that_fails(serve: Serve) -> None:
    daemon = serve(SLEEPER, command=broken(RELOAD_FAILS))
    daemon.until_said("All processes started successfully")
    daemon.signal(signal.SIGSTOP)  # so that they come together
    for signum in (signal.SIGHUP, signal.SIGTERM):
        daemon.signal(signum)
    daemon.signal(signal.SIGCONT)
    assert daemon.wait() == 0
    assert "Unexpected: a signal could not be handled" in daemon.messages()


def test_a_sighup_that_fails_disturbs_nothing(serve: Serve) -> None:
    daemon = serve(SLEEPER, command=broken(RELOAD_FAILS))
    daemon.until_said("All processes started successfully")
    daemon.signal(signal.SIGHUP)
    daemon.until_said("Unexpected: a signal could not be handled")
    assert daemon.stop() == 0


# The first import of ours after the entry point, when Python has run for some 20 ms.
EARLY = """
import os, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "cbox_init.options":
            for signum in {signals}: os.kill(os.getpid(), signum)
sys.meta_path.insert(0, Finder())
"""


@as_root
def test_sigterm_to_pid_1_before_its_imports_is_not_lost(serve: Serve) -> None:
    daemon = serve(SLEEPER, pid_1=True, command=broken(EARLY.format(signals="(15,)")))
    assert daemon.wait() == 0
    assert "Shutting down" in daemon.messages()


@pytest.mark.parametrize("early", [True, False])
def test_signals_that_mean_nothing_do_not_end_it(serve: Serve, early: bool) -> None:
    nothing = (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1)
    patch = EARLY.format(signals=tuple(map(int, nothing))) if early else ""
    daemon = serve(SLEEPER, command=broken(patch))
    daemon.until_said("All processes started successfully")
    if not early:
        for signum in (signal.SIGALRM, signal.SIGPIPE, signal.SIGPWR, signal.SIGRTMIN + 3, *nothing):
            for _ in range(3):
                daemon.signal(signum)
    said = "Signal without a meaning is ignored"
    daemon.until_said(said, 1 if early else 3)
    daemon.until_said("Configuration reload requested")
    shown = [record["signal"] for record in daemon.records() if record["msg"] == said]
    assert shown == (["SIGUSR2"] if early else shown)
    assert len(shown) == len(set(shown))
    assert daemon.stop() == 0


def test_children_have_no_signal_blocked_or_ignored(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  show: {type: oneshot, command: [grep, -E, "Sig(Blk|Ign)", /proc/self/status]}
"""
    )
    assert daemon.wait() == 0
    of_libc = 0b11 << 31  # glibc's own two, which a posix_spawn of the test itself ignores
    masks = [int(str(line).split()[1], 16) & ~of_libc for line in daemon.lines("show")]
    assert masks == [0, 0]


def test_sigterm_twice_at_once_counts_once_and_later_ones_end_at_once(serve: Serve) -> None:
    daemon = serve(STUBBORN)
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    began_at = time.monotonic()
    while daemon.process.poll() is None:
        daemon.signal(signal.SIGTERM)
        time.sleep(0.05)
        assert time.monotonic() < began_at + DEADLINE_S
    assert time.monotonic() - began_at > 0.9
    assert daemon.wait() == 128 + signal.SIGTERM
    assert "told" in daemon.lines("web")


def test_sigint_twice_at_once_ends_at_once(serve: Serve) -> None:
    daemon = serve(STUBBORN)
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    daemon.signal(signal.SIGINT)
    daemon.until_said("Shutting down")
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 128 + signal.SIGINT


# No time limit of the shutdown itself is kept.
FORCED = """
from cbox_init import daemon
from cbox_init.supervisor.lifecycle import shutdown
daemon._BEGIN_S = 0.3
shutdown._FORCE_AFTER_S = -1.0
"""
BROKEN_LOOPS = {
    "the handler raises": "daemon.Daemon._handle = lambda *_: 1 / 0",
    "the read raises": "daemon.Daemon._on_signals = lambda *_: 1 / 0",
    "every look raises": "shutdown.Shutdown.reconcile = lambda *_: 1 / 0",
    "the loop does not turn": (
        "import time\ndef hang(*_):\n    while True: time.sleep(0.01)\ndaemon.Daemon._handle = hang"
    ),
}


@pytest.mark.parametrize("pid_1", [pytest.param(True, marks=as_root), False])
@pytest.mark.parametrize("how", BROKEN_LOOPS)
def test_a_shutdown_ends_in_time_whatever_fails_in_it(serve: Serve, how: str, pid_1: bool) -> None:
    text = STUBBORN.replace("shutdown_timeout: 600s", "shutdown_timeout: 500ms")
    daemon = serve(text, pid_1=pid_1, command=broken(FORCED + BROKEN_LOOPS[how]))
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    child = int(str(daemon.lines("web")[0]).split()[1])
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 1
    assert "everything is killed" in daemon.errors()
    if not pid_1:
        wait_for(lambda: not alive(child), "the end of what was killed")


def test_an_error_that_comes_again_and_again_is_said_at_intervals(serve: Serve) -> None:
    daemon = serve(STUBBORN, command=broken(FORCED + BROKEN_LOOPS["the read raises"]))
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    daemon.signal(signal.SIGHUP)  # the descriptor stays readable: an error at each turn of the loop
    wait_for(lambda: "ZeroDivisionError" in daemon.output(), daemon.errors())
    used_s = _cpu_s(daemon.pid)
    wait_for(lambda: _cpu_s(daemon.pid) > used_s + 0.3, "the loop turns")
    unexpected = [message for message in daemon.messages() if str(message).startswith("Unexpected")]
    assert 1 <= len(unexpected) <= 3, unexpected


def _cpu_s(pid: int) -> float:
    figures = read_figures(pid)
    assert figures
    return figures.cpu_s


@pytest.mark.parametrize("how", ["the handler raises", "the read raises", "the loop does not turn"])
def test_a_second_sigterm_works_whatever_fails(serve: Serve, how: str) -> None:
    daemon = serve(STUBBORN, command=broken(FORCED + BROKEN_LOOPS[how]))
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    child = int(str(daemon.lines("web")[0]).split()[1])
    end = time.monotonic() + DEADLINE_S
    while daemon.process.poll() is None and time.monotonic() < end:
        daemon.signal(signal.SIGTERM)
        time.sleep(0.05)
    assert daemon.wait(1) == 128 + signal.SIGTERM
    wait_for(lambda: not alive(child), "the end of what was killed")
