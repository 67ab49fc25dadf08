"""How many instances a process should have for its load. Pure: the supervisor measures and carries out.

The rule is that of Kubernetes' HorizontalPodAutoscaler: as many instances as bring each one to its target.
More are started at once; fewer only when no load of the stabilization window needed more.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

#: A load within this part of the target changes nothing: figures are never exact.
TOLERANCE: Final = 0.1

#: One decision at most doubles the instances, but may always add this many: a wrong figure costs little.
LEAST_STEP: Final = 4

#: Beyond what any process can need; keeps figures of any size apart from overflow.
_MANY: Final = 1_000_000


class AutoscaleRules(Struct, frozen=True, kw_only=True):
    """The range of the scale, the load of one instance at its best, and for how long a load counts."""

    least: int
    most: int
    target: float
    stabilization_s: float


class Load(Struct, frozen=True):
    """What the metric said: the ``total`` of ``measured`` instances, or of the whole process (None)."""

    total: float
    measured: int | None = None


class Needs(Struct, frozen=True):
    """What recent loads needed: monotonic times and numbers of instances, the numbers falling.

    A need is left out when a later one was as high, so that the first that is recent enough is the highest.
    """

    entries: tuple[tuple[float, int], ...] = ()

    def with_need(self, count: int, now: float, window_s: float) -> Needs:
        """With the need of now, and without those before the window."""
        kept = tuple((at, n) for at, n in self.entries if at > now - window_s and n > count)
        return Needs((*kept, (now, count)))

    @property
    def highest(self) -> int:
        return self.entries[0][1] if self.entries else 0


class ScaleVerdict(Struct, frozen=True):
    """The number of instances to have; ``needed`` is what the load alone asks for, within the limits."""

    scale: int
    needed: int
    needs: Needs


def rests(rules: AutoscaleRules, scale: int) -> bool:
    """Whether the process was scaled to 0 by hand, and stays so until it is scaled up by hand."""
    return scale == 0 and rules.least > 0


def autoscale(rules: AutoscaleRules, scale: int, load: Load, needs: Needs, now: float) -> ScaleVerdict:
    """Decide on ``scale`` instances under ``load``. ``needs`` are those of the last verdict."""
    needed = _within(rules, _needed(rules, scale, load))
    needs = needs.with_need(needed, now, rules.stabilization_s)
    current = _within(rules, scale)
    if needed > current:
        return ScaleVerdict(min(needed, current + max(LEAST_STEP, current)), needed, needs)
    return ScaleVerdict(min(current, needs.highest), needed, needs)


def held(scale: int, now: float) -> Needs:
    """The needs after the scale was set by hand, or when autoscaling begins: it stays for the window."""
    return Needs(((now, scale),))


def _needed(rules: AutoscaleRules, scale: int, load: Load) -> int:
    """How many instances bring each to the target; the present number when that is near enough."""
    total = load.total / rules.target
    if load.measured is None:
        return _rounded_up(total, scale)
    missing = max(0, scale - load.measured)
    if not load.measured or total == load.measured:
        return scale
    # Of an instance that is not measured (it starts) the figure is taken that changes least.
    if total > load.measured:
        return max(scale, _rounded_up(total, scale))
    return min(scale, _rounded_up(total + missing, scale))


def _rounded_up(total: float, scale: int) -> int:
    if scale and abs(total / scale - 1) <= TOLERANCE + 1e-9:
        return scale
    return math.ceil(min(total, _MANY) - 1e-9)


def _within(rules: AutoscaleRules, count: int) -> int:
    return max(rules.least, min(count, rules.most))
