"""Commands around the life of the whole stack, or of one process."""

from typing import ClassVar

from msgspec import Struct, field

from cbox_init.config.model.kinds import Command, Count, PositiveSeconds, Seconds


class HookConfig(Struct, frozen=True, kw_only=True):
    zeros_are_absent: ClassVar[bool] = True

    name: str = ""
    command: Command = ()
    timeout: PositiveSeconds = 30.0
    retry: Count = 0
    retry_delay: Seconds = 1.0
    continue_on_error: bool = False
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str | None = None


class HooksConfig(Struct, frozen=True, kw_only=True, rename="kebab"):
    pre_start: tuple[HookConfig, ...] = ()
    post_start: tuple[HookConfig, ...] = ()
    pre_stop: tuple[HookConfig, ...] = ()
    post_stop: tuple[HookConfig, ...] = ()
