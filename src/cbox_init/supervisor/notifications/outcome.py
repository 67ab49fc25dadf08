"""How one try to deliver a message has ended, and what a try is."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class DeliveryOutcome(NamedTuple):
    """``error`` is None for success. ``again``: another try may succeed, not before ``wait_s``."""

    error: str | None = None
    again: bool = False
    wait_s: float = 0.0


class Delivery(Protocol):
    """One try, under way. It calls back once with its `DeliveryOutcome`, in the loop; not after ``abort``."""

    def abort(self) -> None:
        """End it, also when it hangs."""
