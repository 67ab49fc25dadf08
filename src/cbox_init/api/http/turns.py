"""Shares the turns of the event loop among the clients of one server.

What many clients ask for in the same turn would make it long for all. A turn has a budget; what is above it
waits for the next turns, in which one address after another has its place. So a flood of one address delays
the requests of the others by about one turn, however many requests and connections it has.
"""

from __future__ import annotations

from collections import deque
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Coroutine, Generator, Hashable

T = TypeVar("T")

#: The time that the work of one server may take in one turn, in seconds.
TURN_S: Final = 0.005
#: The same while turns are longer than `_LONG_TURN_S`, whatever makes them long.
_LEAST_TURN_S: Final = 0.001
_LONG_TURN_S: Final = 0.02

#: The least that a piece of work counts for, in seconds.
LEAST_WORK_S: Final = 0.00005


class ClientTurns:
    """The work that clients wait for: functions, and tasks that wait for their turn.

    Work of the same address is done in the order in which it came.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._share = TURN_S
        self._left = TURN_S
        self._waiting: dict[Hashable, deque[Callable[[], object]]] = {}
        self._scheduled = False
        self._began = 0.0

    def do(self, address: Hashable, work: Callable[[], object]) -> None:
        """Call ``work`` now, or in a later turn when this one has no time left."""
        if self._left > 0:
            self._run(work)
        else:
            self.later(address, work)

    def later(self, address: Hashable, work: Callable[[], object]) -> None:
        """Call ``work`` in the next turn that has time for it."""
        waiting = self._waiting.get(address)
        if waiting is None:
            waiting = self._waiting[address] = deque()
        waiting.append(work)
        self._schedule()

    async def wait(self, address: Hashable) -> None:
        """For a task: return when the current turn has time for it."""
        while self._left <= 0:
            turn: Future[None] = self._loop.create_future()
            self.later(address, lambda turn=turn: turn.done() or turn.set_result(None))  # type: ignore[misc]
            await turn

    @coroutine
    def measured(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Run ``work``, and count the time of each of its steps."""
        step: Callable[[Any], Any] = work.send
        sent: Any = None
        while True:
            began = self._loop.time()
            try:
                awaited = step(sent)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                self._count(began)
            try:
                step, sent = work.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001  # also that the task is cancelled
                step, sent = work.throw, error

    def _run(self, work: Callable[[], object]) -> None:
        began = self._loop.time()
        try:
            work()
        finally:
            self._count(began)

    def _count(self, began: float) -> None:
        self._left -= max(LEAST_WORK_S, self._loop.time() - began)
        self._schedule()

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
            work = queue.popleft()
            if queue:
                waiting[address] = queue  # behind the other addresses
            self._run(work)  # which takes care that there is a next turn, also when it raises
