"""Runs a configuration for some seconds in a daemon of its own, and says which processes came up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.cli.connection import DaemonOptions, connect
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.client import ProcessEntry

#: A process that nobody starts, so that the daemon stays when all others have ended.
_KEEPER = "cbox-init-import-try"
_START_S = 15.0
_STOP_S = 10.0
_PAUSE_S = 0.1
_LONGEST_REASON = 300


class TrialResult(NamedTuple):
    """``processes`` says of each whether it came up, its state, and the reason when it did not."""

    all_up: bool
    processes: dict[str, dict[str, object]]

    @property
    def lines(self) -> list[str]:
        """One line for each process."""
        found = []
        for name, one in self.processes.items():
            reason = f": {one['reason']}" if one.get("reason") else ""
            found.append(f"{name}: {'' if one['up'] else 'did not come up: '}{one['state']}{reason}")
        return found


def try_configuration(text: str, seconds: float, environ: Mapping[str, str]) -> TrialResult:
    """Run the processes of ``text`` for ``seconds``, then end them.

    The daemon's socket and its log are in a directory of their own; it opens no port.
    """
    with tempfile.TemporaryDirectory(prefix="cbox-init-try-") as folder:
        socket = os.path.join(folder, "api.sock")
        config = os.path.join(folder, "cbox-init.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"{text}\n  {_KEEPER}: {{command: 'true', initial_state: stopped}}\n")
        own = {
            "CBOX_INIT_GLOBAL_API_SOCKET": socket,
            "CBOX_INIT_GLOBAL_API_SOCKET_MODE": "0600",
            "CBOX_INIT_GLOBAL_API_ENABLED": "false",
            "CBOX_INIT_GLOBAL_METRICS_ENABLED": "false",
        }
        with open(os.path.join(folder, "log"), "w+b") as log:
            daemon = subprocess.Popen(
                # -P: modules in the working directory are those of who wrote the imported files.
                [sys.executable, "-P", "-m", "cbox_init", "serve", "-c", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environ, **own},
            )
            try:
                seen = _watch(daemon, socket, seconds)
            finally:
                _end(daemon)
            if not seen:
                log.seek(0)
                return _not_started(log.read(100_000).decode(errors="replace"))
    verdicts = {one.name: verdict(one, last) for one, last in seen if one.name != _KEEPER}
    return TrialResult(all(bool(one["up"]) for one in verdicts.values()), verdicts)


def _watch(
    daemon: subprocess.Popen[bytes], socket: str, seconds: float
) -> tuple[tuple[ProcessEntry, str], ...]:
    """The processes, each with its last line of output, at the end of the time, or of the daemon before."""
    seen: tuple[ProcessEntry, ...] = ()
    lines: dict[str, str] = {}
    end = time.monotonic() + _START_S
    started = False
    while time.monotonic() < end and daemon.poll() is None:
        with suppress(ClientError), connect(DaemonOptions(socket=socket), 5.0) as client:
            seen = tuple(client.processes())
            for one in seen:
                if one.name not in lines and _restarts(one):
                    found = client.logs(one.name, limit=1).logs
                    lines[one.name] = found[0].message if found else ""
            if not started:
                started, end = True, time.monotonic() + seconds
        time.sleep(_PAUSE_S)
    return tuple((one, lines.get(one.name, "")) for one in seen)


def _restarts(entry: ProcessEntry) -> int:
    return sum(one.restart_count for one in entry.instances)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon with all processes: in order, then at once."""
    for signum, wait_s in ((signal.SIGTERM, _STOP_S), (signal.SIGINT, _STOP_S), (signal.SIGKILL, None)):
        if daemon.poll() is not None:
            return
        daemon.send_signal(signum)
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(wait_s)


def _not_started(log: str) -> TrialResult:
    lines = [line for line in log.splitlines() if line.strip()]
    reason = lines[-1][:_LONGEST_REASON] if lines else "it wrote nothing"
    return TrialResult(False, {"cbox-init": {"up": False, "state": "not started", "reason": reason}})


def verdict(entry: ProcessEntry, last_line: str) -> dict[str, object]:
    """Whether a process came up: it runs without a restart, has completed, or is not to start by itself.

    One whose health check has failed did not come up.
    """
    running = sum(one.state == "running" for one in entry.instances)
    restarts = _restarts(entry)
    waits = entry.waiting_for or ()
    state = str(entry.state)
    if entry.type == "scheduled":
        up = True
        state = f"scheduled, {entry.schedule}"
    elif not entry.wanted:
        up = True
        state = "stopped, as the configuration says"
    elif entry.type == "oneshot":
        up = state in ("completed", "running")
    else:
        up = state == "running" and not restarts and running >= entry.desired_scale
        if up and entry.desired_scale > 1:
            state = f"running, {running} instances"
        if up and any(one.health and one.health.status == "unhealthy" for one in entry.instances):
            up = False
            state = "running, but not healthy"
        if state == "stopped" and entry.instances and not any(one.exit_code for one in entry.instances):
            up = True
            state = "ended with 0, and is not started again"
    reason = "" if up else _reason(entry, restarts, last_line)
    if waits:
        reason = f"waits for {', '.join(waits)}"
    return {"up": up, "state": state, **({"reason": reason} if reason else {})}


def _reason(entry: ProcessEntry, restarts: int, last_line: str) -> str:
    parts: list[str] = []
    for one in entry.instances:
        if one.reason:
            parts.append(one.reason)
            lines = one.last_output or ()
            last_line = lines[-1] if lines else last_line
            break
    else:
        parts += [entry.reason] if entry.reason else []
    if restarts:
        parts.append("restarted once" if restarts == 1 else f"restarted {restarts} times")
    if last_line:
        parts.append(f"its last line: {last_line}")
    return "; ".join(parts)[:_LONGEST_REASON]
