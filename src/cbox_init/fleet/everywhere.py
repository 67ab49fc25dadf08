"""Asks many daemons the same at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from cbox_init.errors import CboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cbox_init.client import Client
    from cbox_init.fleet.targets import DaemonTarget

_Result = TypeVar("_Result")


class DaemonAnswer(NamedTuple, Generic[_Result]):
    """What one daemon answered, or why it did not, in one line."""

    target: DaemonTarget
    result: _Result | None = None
    error: str | None = None


def ask_all(
    targets: Sequence[DaemonTarget],
    connect: Callable[[DaemonTarget], Client],
    ask: Callable[[Client], _Result],
    at_once: int,
) -> Iterator[DaemonAnswer[_Result]]:
    """What ``ask`` returns for each of ``targets``, in their order; at most ``at_once`` at the same time."""

    def one(target: DaemonTarget) -> DaemonAnswer[_Result]:
        try:
            with connect(target) as client:
                return DaemonAnswer(target, ask(client))
        except CboxError as error:
            return DaemonAnswer(target, error=str(error))

    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="fleet") as pool:
        yield from pool.map(one, targets)
