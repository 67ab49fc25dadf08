"""Whether a process is restarted, since one that it names in ``restart_with`` was replaced. Pure.

    a named process: an instance that has run before runs again ─▶ it is ready ─▶ it has lasted ─▶ restart

What counts is that an instance of the named process is newer than one of the process itself. So several
replacements lead to one restart, and one that has started since is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.core.instance import Phase
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbox_init.core.instance import Instance
    from cbox_init.core.states import Desired

#: How long a named process that nothing checks must have lasted, in seconds. After each restart for it that
#: follows shortly, twice as long, up to the longest.
_LASTED_S = 1.0
_LONGEST_S = 60.0
_MOST_DOUBLINGS = 6

#: Seconds without a restart after which the next one is the first of a row.
_ROW_S = 60.0


class Companion(Struct, frozen=True, kw_only=True):
    """A named process. ``again_at`` is the monotonic time of its last start of what had run before.

    ``coming``: it is not ready yet, or is being replaced, so that it is worth waiting for. ``checked``: more
    than running is known of it when it is ready.
    """

    name: str
    again_at: float = 0.0
    ready: bool = True
    coming: bool = False
    checked: bool = False


class Bond(Struct, frozen=True, kw_only=True):
    """What replacements until ``answered_at`` count no more, and how many restarts there were in a row."""

    answered_at: float
    restarts: int = 0
    restarted_at: float = 0.0


class RestartDecision(Struct, frozen=True):
    """The names that it is restarted for, if it is; when to decide again, if time decides that.

    ``pending``: it will be restarted, unless it starts by itself before.
    """

    names: tuple[str, ...] = ()
    until: float | None = None
    pending: bool = False


def last_start_again(desired: Desired, instances: Iterable[Instance]) -> float:
    """``again_at`` of a process; those that a rollout has beyond its scale do not count."""
    return max(
        (one.again_at for one in instances if one.index < desired.scale and not one.surge), default=0.0
    )


def decide_restart(
    bond: Bond, own: Iterable[Instance], companions: Sequence[Companion], *, now: float
) -> RestartDecision:
    """Whether to restart a process with the instances ``own``, which is wanted and has settled."""
    oldest = min((one.up_at for one in own if _is_concerned(one)), default=None)
    if oldest is None:
        return RestartDecision()
    since = max(oldest, bond.answered_at)
    renewed = [one for one in companions if one.again_at > since]
    if any(one.coming for one in companions):
        return RestartDecision(pending=bool(renewed))
    renewed = [one for one in renewed if one.ready]
    if not renewed:
        return RestartDecision()
    row = restarts_in_a_row(bond, now)
    lasted_at = max(one.again_at + _lasting_s(row, checked=one.checked) for one in renewed)
    if lasted_at > now:
        return RestartDecision(until=lasted_at, pending=True)
    return RestartDecision(names=tuple(one.name for one in renewed), pending=True)


def restarted(bond: Bond, *, now: float) -> Bond:
    """The bond after such a restart."""
    return Bond(answered_at=now, restarts=restarts_in_a_row(bond, now) + 1, restarted_at=now)


def restarts_in_a_row(bond: Bond, now: float) -> int:
    """How many restarts have followed each other until now."""
    lasting_s = _lasting_s(bond.restarts, checked=False)
    return bond.restarts if now - bond.restarted_at < _ROW_S + lasting_s else 0


def _lasting_s(row: int, *, checked: bool) -> float:
    if checked and not row:
        return 0.0
    return min(_LONGEST_S, _LASTED_S * 2.0 ** min(row, _MOST_DOUBLINGS))


def _is_concerned(instance: Instance) -> bool:
    """Whether it runs, has failed or has completed; what is on its way starts after the named process."""
    if instance.phase is Phase.ENDED:
        return instance.outcome is not State.STOPPED
    return instance.phase is Phase.RUNNING
