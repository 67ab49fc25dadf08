"""The hooks around the stop of an instance: ``shutdown.pre_stop_hook`` and ``post_stop_hook``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.supervisor.lifecycle.hooks import HookRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.model import HookConfig, ProcessConfig
    from cbox_init.core.hooks import HookResult
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.instance.launch import Launch
    from cbox_init.supervisor.runtime import Runtime


class StopHooks:
    """At most one hook of each instance runs at a time; ``on_over`` is called with the instance's index."""

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
        self._running: dict[int, HookRun] = {}

    def running(self, index: int) -> bool:
        """Whether a hook of the instance is not over."""
        return index in self._running

    def before(self, index: int, on_over: Callable[[int], None]) -> None:
        """Run the pre-stop hook."""
        hook = self._config.shutdown.pre_stop_hook
        assert hook is not None
        self._run(hook, "pre_stop_hook", index, on_over)

    def after(self, index: int, on_over: Callable[[int], None]) -> None:
        """Run the post-stop hook."""
        hook = self._config.shutdown.post_stop_hook
        assert hook is not None
        self._run(hook, "post_stop_hook", index, on_over)

    def cancel(self, index: int) -> None:
        """End what runs of the instance's hooks; ``on_over`` is not called."""
        if (run := self._running.pop(index, None)) is not None:
            run.cancel()

    def cancel_all(self) -> None:
        for index in tuple(self._running):
            self.cancel(index)

    def _run(self, hook: HookConfig, key: str, index: int, on_over: Callable[[int], None]) -> None:
        def over(_: HookResult) -> None:
            del self._running[index]
            on_over(index)

        environ, instance = self._launch.environment(index), self._launch.instance_id(index)
        name = hook.name or key
        self._running[index] = HookRun(
            hook,
            name=name,
            moment=key.removesuffix("_hook"),
            shown_as=f"{instance}/{name}",
            process=self._name,
            runtime=self._runtime,
            log=self._log,
            environ=environ,
            working_dir=self._config.working_dir,
            on_over=over,
        )
