"""Token buckets, one for each key: limits how often something is done for one client, or recorded of it."""

from __future__ import annotations

from typing import Final

MOST_KEYS: Final = 4096
"""Keys that are remembered; beyond that the one that was used least recently is dropped."""


class TokenBuckets:
    """A bucket of ``burst`` requests for each key, which fills with ``rate`` requests a second.

    A bucket is one number: the time at which it will be full again (the generic cell rate algorithm). A
    full bucket need not be stored, and is dropped when other requests come, so no timer is needed.
    """

    def __init__(self, rate: float, burst: int, most_keys: int = MOST_KEYS) -> None:
        self._cost_s = 1 / rate
        self._depth_s = max(burst, 1) / rate
        self._most_keys = most_keys
        self._full_at: dict[str | bytes, float] = {}  # in the order of their last requests

    def __len__(self) -> int:
        """Number of keys that are remembered."""
        return len(self._full_at)

    def take(self, key: str | bytes, now: float) -> float:
        """Take one request from the bucket: 0.0, or the seconds until there will be one.

        ``now`` is a time in seconds that never goes back.
        """
        full_at = max(self._full_at.pop(key, now), now) + self._cost_s
        wait_s = full_at - self._depth_s - now
        if wait_s > 1e-9:  # the sums of a long burst are not exact
            self._full_at[key] = full_at - self._cost_s
            return wait_s
        self._full_at[key] = full_at
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop up to two keys, more than one request can add."""
        for _ in range(2):
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) <= self._most_keys:
                return
            del self._full_at[oldest]
