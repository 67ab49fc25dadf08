"""Shares the turns of the event loop among the clients of one server.

What many clients ask for in the same turn would make it long for all. A turn has a budget; what is above it
waits for the next turns, in which one address after another has its place. So a flood of one address delays
the requests of the others by about one turn, however many requests and connections it has.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Hashable

#: The time that the work of one server may take in one turn, in seconds.
TURN_S: Final = 0.005
#: The same while turns are longer than `_LONG_TURN_S`, whatever makes them long.
_LEAST_TURN_S: Final = 0.001
_LONG_TURN_S: Final = 0.02

#: What a request is taken to cost: most of its work is done in a task, in the next turn.
REQUEST_S: Final = 0.00015


class Turns:
    """The work that clients wait for. An address has nothing waiting, or work in the order of its requests."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._share = TURN_S
        self._left = TURN_S
        self._waiting: dict[Hashable, deque[tuple[Callable[..., object], tuple[Any, ...], float]]] = {}
        self._scheduled = False
        self._began = 0.0

    def do(self, address: Hashable, cost: float, work: Callable[..., object], *args: Any) -> None:
        """Call ``work`` now, or in a later turn when this one has no time left.

        ``cost`` is the least that it counts for, in seconds.
        """
        if self._left > 0:
            self._run(work, args, cost)
        else:
            self.later(address, cost, work, *args)

    def later(self, address: Hashable, cost: float, work: Callable[..., object], *args: Any) -> None:
        """Call ``work`` in the next turn that has time left."""
        waiting = self._waiting.get(address)
        if waiting is None:
            waiting = self._waiting[address] = deque()
        waiting.append((work, args, cost))
        self._schedule()

    def _run(self, work: Callable[..., object], args: tuple[Any, ...], cost: float) -> None:
        self._schedule()
        began = self._loop.time()
        try:
            work(*args)
        finally:
            self._left -= max(cost, self._loop.time() - began)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._began = self._loop.time()
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        turn_s = self._loop.time() - self._began
        self._share = max(self._share / 2, _LEAST_TURN_S) if turn_s > _LONG_TURN_S else TURN_S
        self._left = self._share
        self._scheduled = False
        waiting = self._waiting
        while waiting and self._left > 0:
            address = next(iter(waiting))
            queue = waiting.pop(address)
            work, args, cost = queue.popleft()
            if queue:
                waiting[address] = queue  # behind the other addresses
            if waiting:
                self._schedule()  # also when what follows raises
            self._run(work, args, cost)
        if waiting:
            self._schedule()
