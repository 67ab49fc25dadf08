"""What ``health`` does, and the quick reading of its options.

It runs every few seconds for the life of a container, so it imports no click: 25 of 75 ms of CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.cli import complain
from cbox_init.errors import ApiError, CboxError
from cbox_init.imports import without

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.client import Client, ReadinessReply

DEFAULT_TIMEOUT_S: Final = 3.0
LONGEST_TIMEOUT_S: Final = 600.0

_MOST_NAMES: Final = 10
_UNITS: Final = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0))


class HealthOptions(NamedTuple):
    """The options of ``health`` that the quick parser knows."""

    ready: bool = False
    as_json: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S


def parse_health(arguments: Sequence[str]) -> HealthOptions | None:
    """The options, when ``arguments`` are ``health`` and its own flags alone; else None."""
    if not arguments or arguments[0] != "health":
        return None
    options = HealthOptions()
    words = iter(arguments[1:])
    for word in words:
        flag, equals, value = word.partition("=")
        if word == "--ready":
            options = options._replace(ready=True)
        elif word == "--json":
            options = options._replace(as_json=True)
        elif flag == "--timeout":
            seconds = parse_timeout(value if equals else next(words, ""))
            if seconds is None:
                return None
            options = options._replace(timeout_s=seconds)
        else:
            return None
    return options


def parse_timeout(text: str) -> float | None:
    """Seconds of a text such as "3", "3s" or "500ms"; None when it is none of these or out of range."""
    unit, factor = next(pair for pair in _UNITS if text.endswith(pair[0]))
    digits = text.removesuffix(unit)
    if not digits.replace(".", "", 1).isdecimal() or not digits.isascii():
        return None
    seconds = float(digits) * factor
    return seconds if 0 < seconds <= LONGEST_TIMEOUT_S else None


def quick_health(options: HealthOptions) -> int:
    """``health`` for the daemon in one of the usual places; returns the exit code."""

    def connect() -> Client:
        with without("typing_extensions"):
            import msgspec  # noqa: F401

        from cbox_init.client import Client
        from cbox_init.client.address import ClientSettings
        from cbox_init.client.socket_transport import SocketTransport

        settings = ClientSettings.of(None, None, None, options.timeout_s)
        if settings.address.socket is None:
            from cbox_init.cli.connection import DaemonOptions, connect

            return connect(DaemonOptions(), options.timeout_s)
        return Client(SocketTransport(settings))

    return probe(connect, ready=options.ready, as_json=options.as_json)


def probe(connect: Callable[[], Client], *, ready: bool, as_json: bool) -> int:
    """Ask the daemon and print the result; 0 when it is healthy, or with ``ready`` the container ready."""
    report = None
    try:
        with connect() as client:
            if ready:
                report = client.readiness()
                problem = None if report.ready else _why_not(report)
            else:
                status = client.health().status
                problem = None if status == "healthy" else f"the daemon says {status}"
    except CboxError as error:
        older = isinstance(error, ApiError) and error.status == 404
        problem = (
            "the daemon is an older version without this route; use health alone" if older else str(error)
        )
    if as_json:
        print(_as_json(ready, problem, report))
    elif problem is None:
        print("ready" if ready else "healthy")
    else:
        complain(problem)
    return 0 if problem is None else 1


def _why_not(report: ReadinessReply) -> str:
    waiting = [f"{one.name} is {_state(one.state)}" for one in report.processes if one.health != "healthy"]
    more = f" and {len(waiting) - _MOST_NAMES} more" if len(waiting) > _MOST_NAMES else ""
    return f"not ready: {', '.join(waiting[:_MOST_NAMES]) or 'shutting down'}{more}"


def _state(state: str) -> str:
    return "running, but not healthy" if state == "running" else state


def _as_json(ready: bool, problem: str | None, report: ReadinessReply | None) -> str:
    from msgspec import json

    found: dict[str, object] = {"ready" if ready else "healthy": problem is None}
    if problem is not None:
        found["error"] = problem
    if report is not None:
        found["processes"] = report.processes
    return json.encode(found).decode()
