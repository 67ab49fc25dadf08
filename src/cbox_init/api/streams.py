"""Replies that go on until somebody ends them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.subscription import Subscription


class Streams:
    """The subscriptions behind open streams; closing one lets its reply end in good order."""

    def __init__(self) -> None:
        self._open: set[Subscription] = set()
        self._closed = False

    @contextmanager
    def entry(self, subscription: Subscription) -> Iterator[Subscription]:
        """Count ``subscription`` among the open ones for as long as the block lasts, and close it then."""
        self._open.add(subscription)
        if self._closed:
            subscription.close()
        try:
            yield subscription
        finally:
            self._open.discard(subscription)
            subscription.close()

    def close(self) -> None:
        """End every stream, and those to come."""
        self._closed = True
        for subscription in tuple(self._open):
            subscription.close()
