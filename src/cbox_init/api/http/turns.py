"""Shares the turns of the event loop among the clients of one server.

What many clients ask for in the same turn would make it long for all. A turn has a budget; what is above it
waits for the next turns, in which one address after another has its place. So a flood of one address delays
the requests of the others by about one turn, however many requests and connections it has.
"""

from __future__ import annotations

from asyncio import Future
from collections import deque
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Generator, Hashable

T = TypeVar("T")

#: The time that the work of one server may take in one turn, in seconds.
TURN_S: Final = 0.005
#: The same while turns are longer than `_LONG_TURN_S`, whatever makes them long.
_LEAST_TURN_S: Final = 0.001
_LONG_TURN_S: Final = 0.02

_HALF_S: Final = TURN_S / 2

#: The least that a piece of work counts for, in seconds.
LEAST_WORK_S: Final = 0.00005


class ClientTurns:
    """The work that clients wait for: functions, and tasks that wait for their turn.

    Work of the same address is done in the order in which it came.
    """

    def __init__(self, loop: AbstractEventLoop, clock: Callable[[], float] = monotonic) -> None:
        self.left = TURN_S
        """What is left of the budget of this turn, in seconds; nothing more is begun when it is used up.

        It is full at the latest in the turn after one that has used half of it, so that a few requests cost
        nothing but their subtraction.
        """
        self.request_s = LEAST_WORK_S
        """What a step of a task has taken lately, in seconds; it rises at once and falls slowly.

        It is taken from the budget when a request is begun, since its task runs in the next turn.
        """
        self._loop = loop
        self._clock = clock
        self._share = TURN_S
        self._waiting: dict[Hashable, deque[Callable[[], object] | Future[None]]] = {}
        self._scheduled = False
        self._began = 0.0

    def spend(self, seconds: float) -> None:
        """Take some time from the budget of this turn, at least LEAST_WORK_S."""
        self.left -= max(LEAST_WORK_S, seconds)
        if self.left < _HALF_S and not self._scheduled:
            self._schedule()

    @property
    def overdrawn(self) -> bool:
        """Whether the tasks of this turn took much longer than was taken from the budget for them."""
        return self.left <= -TURN_S

    def do(self, address: Hashable, work: Callable[[], object]) -> None:
        """Call ``work`` now, or in a later turn when this one has no time left."""
        if self.left > 0:
            self._run(work)
        else:
            self.later(address, work)

    def later(self, address: Hashable, work: Callable[[], object] | Future[None]) -> None:
        """Call ``work``, or set the result of a future, in the next turn that has time for it."""
        waiting = self._waiting.get(address)
        if waiting is None:
            waiting = self._waiting[address] = deque()
        waiting.append(work)
        if not self._scheduled:
            self._schedule()

    async def wait(self, address: Hashable) -> None:
        """For a task that finds the budget overdrawn: return in its turn."""
        turn: Future[None] = self._loop.create_future()
        self.later(address, turn)
        await turn

    @coroutine
    def measured(self, work: Coroutine[Any, Any, T], paid_s: float = 0.0) -> Generator[Any, Any, T]:
        """Run ``work``, and take the time of its steps from the budget, but for what is paid already."""
        step: Callable[[Any], Any] = work.send
        sent: Any = None
        clock = self._clock
        while True:
            began = clock()
            try:
                awaited = step(sent)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                took_s = max(LEAST_WORK_S, clock() - began)
                self.request_s = max(took_s, (3 * self.request_s + took_s) / 4)
                if took_s > paid_s:
                    self.spend(took_s - paid_s)
                paid_s = 0.0
            try:
                step, sent = work.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001  # also that the task is cancelled
                step, sent = work.throw, error

    def _run(self, work: Callable[[], object]) -> None:
        began = self._clock()
        try:
            work()
        finally:
            self.spend(self._clock() - began)

    def _schedule(self) -> None:
        self._scheduled = True
        self._began = self._clock()
        self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        turn_s = self._clock() - self._began
        self._share = max(self._share / 2, _LEAST_TURN_S) if turn_s > _LONG_TURN_S else TURN_S
        self.left = self._share
        self._scheduled = False
        waiting = self._waiting
        if waiting:
            self._schedule()  # also when the work below raises
        given_s = 0.0  # to tasks: they take it in the next turn
        while waiting and self.left > given_s:
            address = next(iter(waiting))
            queue = waiting.pop(address)
            work = queue.popleft()
            if queue:
                waiting[address] = queue  # behind the other addresses
            if not isinstance(work, Future):
                self._run(work)
            elif not work.done():
                work.set_result(None)
                given_s += self.request_s
