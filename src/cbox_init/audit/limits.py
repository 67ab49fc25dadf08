"""Limits events that anyone can cause without a token, so that an attacker cannot fill the disk with them."""

from __future__ import annotations

from typing import Final

from cbox_init.token_buckets import TokenBuckets

#: Events that anyone who reaches a port can cause, or that a defect repeats.
LIMITED: Final = frozenset(("auth.failure", "acl.deny", "rate_limit.exceed", "tls.handshake", "system.error"))

#: Records of one event type: how many at once, in how many seconds one more; of one address, and of all.
_BURST_OF_ONE: Final = 10
_EACH_S_OF_ONE: Final = 10.0
_BURST_OF_ALL: Final = 60
_EACH_S_OF_ALL: Final = 1.0
_MOST_KEYS: Final = 1024

#: How often it is said how many were left out, while some are, in seconds.
SAY_EACH_S: Final = 60.0


class EventLimit:
    """Says which events are recorded, and counts those that are not. ``now`` is a monotonic time."""

    def __init__(self) -> None:
        self._of_one = TokenBuckets(1 / _EACH_S_OF_ONE, _BURST_OF_ONE, _MOST_KEYS)
        self._of_all = TokenBuckets(1 / _EACH_S_OF_ALL, _BURST_OF_ALL)
        self._left_out: dict[str, int] = {}
        self.suppressed = 0
        """Events that were left out, since the start."""

    def take(self, event_type: str, key: str, now: float) -> bool:
        """Whether this event is recorded. ``key`` is what it is about: the address of the client."""
        if event_type not in LIMITED:
            return True
        waits = self._of_one.take(f"{event_type} {key}", now) or self._of_all.take(event_type, now)
        if not waits:
            return True
        self.suppressed += 1
        self._left_out[event_type] = self._left_out.get(event_type, 0) + 1
        return False

    def take_left_out(self) -> dict[str, int]:
        """How many events of each type were left out since the last call."""
        left_out, self._left_out = self._left_out, {}
        return left_out
