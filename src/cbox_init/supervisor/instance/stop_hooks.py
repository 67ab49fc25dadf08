"""Starts the hooks around the stop of an instance: ``shutdown.pre_stop_hook`` and ``post_stop_hook``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.supervisor.instance.launch import helper_identity
from cbox_init.supervisor.lifecycle.hooks import HookRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.model import HookConfig, ProcessConfig
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.instance.launch import Launch
    from cbox_init.supervisor.runtime import Runtime


class StopHooks:
    """Starts the stop hooks of one process's instances, as `helper_identity` says.

    ``on_over`` is called once, but not for a hook that is cancelled.
    """

    def __init__(
        self,
        name: str,
        config: ProcessConfig,
        *,
        launch: Launch,
        runtime: Runtime,
        log: ProcessLog,
    ) -> None:
        self._name = name
        self._config = config
        self._launch = launch
        self._runtime = runtime
        self._log = log

    def start_pre_stop(self, index: int, pid: int, on_over: Callable[[], None]) -> HookRun:
        """Run the pre-stop hook of the instance ``index``, whose main process is ``pid``."""
        hook = self._config.shutdown.pre_stop_hook
        assert hook is not None
        return self._start(hook, "pre_stop_hook", index, on_over, mounts_of=pid)

    def start_post_stop(self, index: int, on_over: Callable[[], None]) -> HookRun:
        """Run the post-stop hook of the instance ``index``."""
        hook = self._config.shutdown.post_stop_hook
        assert hook is not None
        return self._start(hook, "post_stop_hook", index, on_over)

    def _start(
        self,
        hook: HookConfig,
        key: str,
        index: int,
        on_over: Callable[[], None],
        *,
        mounts_of: int | None = None,
    ) -> HookRun:
        name = hook.name or key
        return HookRun(
            hook,
            name=name,
            moment=key.removesuffix("_hook"),
            shown_as=f"{self._launch.instance_id(index)}/{name}",
            process=self._name,
            runtime=self._runtime,
            log=self._log,
            environ=lambda identity: self._launch.environment(index, identity),
            identity=lambda: helper_identity(self._config),
            working_dir=self._config.working_dir,
            sandbox=self._launch.sandbox(mounts_of),
            on_over=lambda _: on_over(),
        )
