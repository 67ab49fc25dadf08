"""The daemon itself: its start time, its configuration file and the latency of its event loop."""

from __future__ import annotations

import time

from cbox_init.telemetry.loop_lag import LagFigures, LoopLag


class Vitals:
    """``config`` is the path of the daemon's file, None when it has none.

    ``started_at`` is the monotonic time of its start, by default now.
    """

    def __init__(self, config: str | None = None, started_at: float | None = None) -> None:
        self.config = config
        self._started_at = time.monotonic() if started_at is None else started_at
        self.started_unix = time.time() - self.uptime_s
        self.lag = LoopLag()
        self.certificates: dict[str, float] = {}
        """When the certificate of a listener ("api", "metrics", "readiness") expires, in Unix seconds."""

    def expires(self, listener: str, unix: float | None) -> None:
        """The certificate of a listener expires then; None when it does not say."""
        if unix is None:
            self.certificates.pop(listener, None)
        else:
            self.certificates[listener] = unix

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_at

    def loop(self) -> LagFigures:
        """The latency of the event loop in the last minute."""
        return self.lag.figures(time.monotonic())
