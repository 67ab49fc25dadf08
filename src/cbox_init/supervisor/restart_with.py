"""Restarts a process with those that it names in ``restart_with``. Imported where a process has the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.config.rules import gets_ready
from cbox_init.core.restart_with import (
    Bond,
    Companion,
    RestartDecision,
    decide_restart,
    last_start_again,
    restarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cbox_init.core.instance import Instance
    from cbox_init.supervisor.managed import Host, Managed

#: Seconds until a restart that was refused is tried again.
_AGAIN_S = 1.0


class RestartWith:
    """The bond of one process with those that it names. ``host`` knows them, and restarts the process."""

    def __init__(self, process: str, names: tuple[str, ...], host: Host, *, now: float) -> None:
        self.names = names
        self._process = process
        self._host = host
        self._bond = Bond(answered_at=now)

    def pending(self, own: Iterable[Instance], now: float) -> bool:
        """Whether the process, whose instances are ``own``, will be restarted."""
        return self._decide(own, now).pending

    def follow(self, own: Iterable[Instance], now: float, begun: Callable[[str], None]) -> float | None:
        """Restart the process if that is due; gives the monotonic time to look again, if time decides.

        ``begun`` is called with the reason of a restart that was accepted.
        """
        decision = self._decide(own, now)
        if not decision.names:
            return decision.until
        names = decision.names
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        why = f"{listed} {'was' if len(names) == 1 else 'were'} restarted"
        before, self._bond = self._bond, restarted(self._bond, now=now)
        if self._host.restart_with(self._process, why):
            begun(why)
            return None
        self._bond = before
        return now + _AGAIN_S

    def _decide(self, own: Iterable[Instance], now: float) -> RestartDecision:
        companions = [self._host.companion(name) for name in self.names]
        return decide_restart(self._bond, own, [one for one in companions if one is not None], now=now)


def companion_of(process: Managed) -> Companion:
    """What another process has to know of ``process`` to be restarted with it."""
    desired, instances, ready = process.desired, process.instances, process.ready
    if process.schedule is not None:
        return Companion(name=process.name)
    wanted = desired.run and desired.scale > 0 and not process.ended_for_good
    return Companion(
        name=process.name,
        again_at=last_start_again(desired, instances),
        ready=ready,
        coming=wanted and (not ready or not process.settled or process.restart_pending),
        checked=gets_ready(process.config),
    )
