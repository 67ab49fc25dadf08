"""The start: pre-start hooks, tests of configurations, processes, post-start hooks.

pre-start hooks ─ php-fpm -t, nginx -t ─ processes, each when what it depends on is ready ─ all are up ─
post-start hooks
"""

from __future__ import annotations

import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from cbox_init.supervisor.run_queue import SLICE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cbox_init.config.model import HookConfig, HooksConfig
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.lifecycle.hooks import HookChain
    from cbox_init.supervisor.lifecycle.validation import RuntimeValidation
    from cbox_init.supervisor.runtime import Runtime


class Startup:
    """Runs the hooks and starts the processes, once; each step begins when the one before is over.

    ``hooks`` gives the hooks that are in force. ``validate`` begins the tests of configurations, if there are
    any, and calls what it is given with the error, or None. ``start`` starts one of the processes, which
    ``names`` gives; that takes several turns of the event loop when there are thousands. ``on_up`` is called
    when ``all_up`` holds for the first time. ``on_failed`` gets the error of a pre-start hook or a test; no
    process is started then. ``begun`` says whether the start of the processes has begun.
    """

    def __init__(
        self,
        *,
        runtime: Runtime,
        logs: LogHub,
        hooks: Callable[[], HooksConfig],
        validate: Callable[[Callable[[str | None], None]], RuntimeValidation | None],
        names: Callable[[], Iterable[str]],
        start: Callable[[str], None],
        all_up: Callable[[], bool],
        on_up: Callable[[], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self.begun = False
        self._runtime = runtime
        self._logs = logs
        self._hooks = hooks
        self._validate = validate
        self._names = names
        self._start = start
        self._to_start: deque[str] = deque()
        self._cancelled = False
        self._each_is_up = all_up
        self._on_up = on_up
        self._on_failed = on_failed
        self._chain: HookChain | RuntimeValidation | None = None
        self._start_requested = False
        self._all_up = False

    @property
    def held_back(self) -> bool:
        """Whether processes must wait for the pre-start hooks, tests of configurations, or their turn."""
        return bool(self._to_start) or (not self.begun and self._chain is not None)

    def begin(self) -> None:
        """Run the pre-start hooks, and start the processes when they are over."""
        if hooks := self._hooks().pre_start:
            self._run("pre-start", hooks, self._pre_start_over)
        else:
            self._start_when_tested()

    def go_on_if_all_up(self) -> None:
        """Log and run the post-start hooks when all processes are up for the first time."""
        if self._all_up or not self._start_requested or not self._each_is_up():
            return
        self._all_up = True
        self._runtime.log.info("All processes started successfully")
        self._on_up()
        if hooks := self._hooks().post_start:
            self._run("post-start", hooks, self._post_start_over)

    def cancel(self) -> None:
        """Kill the hooks and tests that run, and start nothing more."""
        self._cancelled = True
        self._to_start.clear()
        if self._chain is not None:
            self._chain.cancel()
            self._chain = None

    def _start_when_tested(self) -> None:
        self._chain = self._validate(self._tests_over)
        if self._chain is None:
            self._start_processes()

    def _tests_over(self, error: str | None) -> None:
        self._chain = None
        if error is None:
            self._start_processes()
        else:
            self._on_failed(error)

    def _start_processes(self) -> None:
        self.begun = True
        self._to_start.extend(self._names())
        self._runtime.run_queue.hold()  # what starts first does not delay the others
        self._start_some()

    def _start_some(self) -> None:
        """Start as many processes as a turn of the event loop has time for; all, while there is no loop."""
        loop = self._runtime.run_queue.loop
        stop_at = inf if loop is None else time.monotonic() + SLICE_S
        while self._to_start:
            name = self._to_start.popleft()
            with self._runtime.defects.contain("a process could not be started", process=name):
                self._start(name)
            if loop is not None and self._to_start and time.monotonic() >= stop_at:
                loop.call_soon(self._start_some)
                return
        self._runtime.run_queue.release()
        if not self._cancelled:
            self._start_requested = True
            self.go_on_if_all_up()

    def _pre_start_over(self, error: str | None) -> None:
        self._chain = None
        if error is None:
            self._start_when_tested()
        else:
            self._on_failed(error)

    def _post_start_over(self, error: str | None) -> None:
        self._chain = None
        if error is not None:
            self._runtime.log.warn("A post-start hook has failed; the processes go on", error=error)

    def _run(self, moment: str, hooks: Sequence[HookConfig], on_over: Callable[[str | None], None]) -> None:
        from cbox_init.supervisor.lifecycle.hooks import HookChain

        self._chain = HookChain(moment, hooks, runtime=self._runtime, logs=self._logs, on_over=on_over)
