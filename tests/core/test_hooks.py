"""What follows a try of a hook."""

from __future__ import annotations

import pytest

from cbox_init.config.model import HookConfig
from cbox_init.config.rules import HOOK_KILL_S, longest_s
from cbox_init.core.hooks import HookResult, HookRetry, after_try


@pytest.mark.parametrize(
    ("hook", "tries", "error", "expected"),
    [
        (HookConfig(), 1, None, HookResult(None, go_on=True)),
        (HookConfig(retry=2), 3, None, HookResult(None, go_on=True)),
        (HookConfig(), 1, "exit code 1", HookResult("exit code 1", go_on=False)),
        (HookConfig(continue_on_error=True), 1, "exit code 1", HookResult("exit code 1", go_on=True)),
        (HookConfig(retry=2, retry_delay=5), 1, "exit code 1", HookRetry(5)),
        (HookConfig(retry=2, retry_delay=5), 2, "exit code 1", HookRetry(5)),
        (
            HookConfig(retry=2),
            3,
            "exit code 1",
            HookResult("exit code 1, in the last of 3 tries", go_on=False),
        ),
    ],
)
def test_after_a_try(
    hook: HookConfig, tries: int, error: str | None, expected: HookResult | HookRetry
) -> None:
    assert after_try(hook, tries, error) == expected


def test_the_longest_that_a_hook_takes() -> None:
    assert longest_s(HookConfig(timeout=30)) == 30 + HOOK_KILL_S
    assert longest_s(HookConfig(timeout=30, retry=2, retry_delay=5)) == 3 * (30 + HOOK_KILL_S) + 2 * 5
