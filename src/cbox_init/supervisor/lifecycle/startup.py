"""The orderly start.

pre-start hooks ─ processes, each when what it depends on is ready ─ all are up ─ post-start hooks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.config.model import HookConfig, HooksConfig
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.lifecycle.hooks import HookChain
    from cbox_init.supervisor.runtime import Runtime


class Startup:
    """Goes once from the first hook to the last; each step begins when the one before is over.

    ``hooks`` gives those that are configured now. ``start`` asks the processes to start. ``on_up`` is called
    when ``all_up`` holds for the first time. ``on_failed`` gets the error of a pre-start hook: nothing is
    started then. ``begun`` says whether the processes have been asked to start.
    """

    def __init__(
        self,
        *,
        runtime: Runtime,
        logs: LogHub,
        hooks: Callable[[], HooksConfig],
        start: Callable[[], None],
        all_up: Callable[[], bool],
        on_up: Callable[[], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self.begun = False
        self._runtime = runtime
        self._logs = logs
        self._hooks = hooks
        self._start = start
        self._each_is_up = all_up
        self._on_up = on_up
        self._on_failed = on_failed
        self._chain: HookChain | None = None
        self._asked_all = False
        self._all_up = False

    @property
    def held_back(self) -> bool:
        """Whether the pre-start hooks are not done."""
        return not self.begun and self._chain is not None

    def begin(self) -> None:
        """Run the pre-start hooks, and start the processes when they are over."""
        if hooks := self._hooks().pre_start:
            self._run("pre-start", hooks, self._pre_start_over)
        else:
            self._start_processes()

    def one_is_up(self) -> None:
        """A process is up: perhaps it was the last."""
        if self._all_up or not self._asked_all or not self._each_is_up():
            return
        self._all_up = True
        self._runtime.log.info("All processes started successfully")
        self._on_up()
        if hooks := self._hooks().post_start:
            self._run("post-start", hooks, self._post_start_over)

    def cancel(self) -> None:
        """End the hooks that run."""
        if self._chain is not None:
            self._chain.cancel()
            self._chain = None

    def _start_processes(self) -> None:
        self.begun = True
        self._start()
        self._asked_all = True
        self.one_is_up()

    def _pre_start_over(self, error: str | None) -> None:
        self._chain = None
        if error is None:
            self._start_processes()
        else:
            self._on_failed(error)

    def _post_start_over(self, error: str | None) -> None:
        self._chain = None
        if error is not None:
            self._runtime.log.warn("A post-start hook has failed; the processes go on", error=error)

    def _run(self, moment: str, hooks: Sequence[HookConfig], on_over: Callable[[str | None], None]) -> None:
        from cbox_init.supervisor.lifecycle.hooks import HookChain

        self._chain = HookChain(moment, hooks, runtime=self._runtime, logs=self._logs, on_over=on_over)
