"""What follows an attempt of a hook: another one, or its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cbox_init.config.model import HookConfig


class HookRetry(Struct, frozen=True):
    """Run it once more after ``delay_s``."""

    delay_s: float


class HookResult(Struct, frozen=True):
    """The hook is over. ``error`` says why it failed, None when it did not; ``go_on`` whether what comes
    after it does.
    """

    error: str | None
    go_on: bool


def after_try(hook: HookConfig, tries: int, error: str | None) -> HookRetry | HookResult:
    """What follows the try number ``tries`` (from 1), which failed for the reason ``error``, or did not."""
    if error is None:
        return HookResult(None, go_on=True)
    if tries <= hook.retry:
        return HookRetry(hook.retry_delay)
    reason = error if tries == 1 else f"{error}, in the last of {tries} tries"
    return HookResult(reason, go_on=hook.continue_on_error)
