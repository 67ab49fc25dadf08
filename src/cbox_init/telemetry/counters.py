"""Counts events for the metrics that no state shows: checks, hooks and runs.

Used when ``metrics_enabled`` is set. Counting an event takes a look-up and two additions, and memory grows
with the number of names, not of events.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Upper bounds of the buckets, in seconds.
CHECK_BOUNDS_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
HOOK_BOUNDS_S: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
SHUTDOWN_BOUNDS_S: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 300.0)
RUN_BOUNDS_S: Final = (0.1, 1.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)


class Histogram:
    """Counts durations by upper bound."""

    __slots__ = ("_bounds", "_counts", "sum_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.sum_s = 0.0
        self._bounds = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)

    def note(self, duration_s: float) -> None:
        """Count a duration."""
        self.sum_s += duration_s
        self._counts[bisect_left(self._bounds, duration_s)] += 1

    def cumulative(self) -> list[tuple[float, int]]:
        """Each bound, the last one infinity, with the number of durations up to it."""
        return list(zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True))


class Outcomes:
    """Counts successes and failures of an action, with their durations."""

    __slots__ = ("durations", "failures", "successes")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.successes = 0
        self.failures = 0
        self.durations = Histogram(bounds_s)

    def note(self, duration_s: float, *, success: bool) -> None:
        """Count one execution."""
        self.successes += success
        self.failures += not success
        self.durations.note(duration_s)


class Pings:
    """Counts the heartbeats of a process, and has the Unix time of the last that was delivered.

    Each process's pings are sent one after another, so that no two threads count at the same time.
    """

    __slots__ = ("delivered_unix", "failures", "successes")

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.delivered_unix: float | None = None


class Counters:
    """Counts since the start of the daemon, by process; global hooks are under None."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Outcomes]] = {}
        self._hooks: dict[str | None, dict[tuple[str, str], Outcomes]] = {}
        self._runs: dict[str, Histogram] = {}
        self._pings: dict[str, Pings] = {}
        self.shutdowns = Histogram(SHUTDOWN_BOUNDS_S)

    def checked(self, process: str, kind: str, duration_s: float, *, success: bool) -> None:
        """Count a health check of this kind (tcp, http, exec)."""
        kinds = self._checks.setdefault(process, {})
        if kind not in kinds:
            kinds[kind] = Outcomes(CHECK_BOUNDS_S)
        kinds[kind].note(duration_s, success=success)

    def hooked(
        self, process: str | None, name: str, moment: str, duration_s: float, *, success: bool
    ) -> None:
        """Count a hook with all its attempts; ``process`` is None for a global hook."""
        hooks = self._hooks.setdefault(process, {})
        if (name, moment) not in hooks:
            hooks[name, moment] = Outcomes(HOOK_BOUNDS_S)
        hooks[name, moment].note(duration_s, success=success)

    def ran(self, process: str, duration_s: float) -> None:
        """Count a finished run of a scheduled process."""
        if process not in self._runs:
            self._runs[process] = Histogram(RUN_BOUNDS_S)
        self._runs[process].note(duration_s)

    def pinged(self, process: str, unix: float | None) -> None:
        """Count a heartbeat that was delivered at this Unix time, None for one that was lost. Any thread."""
        pings = self._pings.setdefault(process, Pings())
        if unix is None:
            pings.failures += 1
        else:
            pings.successes += 1
            pings.delivered_unix = unix

    def forget(self, process: str) -> None:
        """Drop the counts of a removed process."""
        self._checks.pop(process, None)
        self._hooks.pop(process, None)
        self._runs.pop(process, None)
        self._pings.pop(process, None)

    def checks(self, process: str) -> dict[str, Outcomes]:
        """The checks of a process, by kind."""
        return self._checks.get(process, {})

    def hooks(self) -> Iterator[tuple[str | None, str, str, Outcomes]]:
        """Every hook that has run: its process, name and moment."""
        for process, hooks in tuple(self._hooks.items()):
            for (name, moment), outcomes in tuple(hooks.items()):
                yield process, name, moment, outcomes

    def pings(self, process: str) -> Pings | None:
        """The heartbeats of a scheduled process; None before the first."""
        return self._pings.get(process)

    def runs(self, process: str) -> Histogram:
        """The durations of the runs of a scheduled process."""
        return self._runs.get(process) or Histogram(RUN_BOUNDS_S)
