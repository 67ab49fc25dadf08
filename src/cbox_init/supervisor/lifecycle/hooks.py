"""Runs hooks: commands before and after the start and stop of the stack, or of one instance.

A hook blocks nothing: it has a timeout, after which its whole process group is killed, and a number of
retries. A callback reports its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.config.child_variables import without_settings
from cbox_init.config.rules import HOOK_KILL_S
from cbox_init.config.substitute import expand_instance
from cbox_init.core.hooks import HookRetry, after_try
from cbox_init.core.instance import DEFER_S
from cbox_init.errors import SpawnError
from cbox_init.supervisor.instance.live import spawn_captured
from cbox_init.system.spawn_request import SpawnRequest
from cbox_init.system.tree import kill_tree, signal_strays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.config.model import HookConfig
    from cbox_init.core.hooks import HookResult
    from cbox_init.logs.capture import Capture
    from cbox_init.logs.hub import LogHub
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.identity import Identity
    from cbox_init.system.reaper import ExitStatus
    from cbox_init.system.spawn_request import Sandbox

_SIGKILL = 9


class HookRun:
    """Runs one hook with its retries, from its construction on.

    ``on_over`` is called once, but not after ``cancel``.

    It runs in ``sandbox``, if there is one. Its output goes to ``log`` under the instance id ``shown_as``.
    ``moment`` is one of ``pre_start``, ``post_start``, ``pre_stop`` and ``post_stop``. ``identity`` gives the
    user that it runs as, None for the daemon's, or raises SpawnError; ``environ`` gives the environment for
    that user.
    """

    def __init__(
        self,
        hook: HookConfig,
        *,
        name: str,
        moment: str,
        shown_as: str,
        process: str | None,
        runtime: Runtime,
        log: ProcessLog,
        environ: Callable[[Identity | None], Mapping[str, str]],
        identity: Callable[[], Identity | None],
        working_dir: str | None,
        sandbox: Sandbox | None = None,
        on_over: Callable[[HookResult], None],
    ) -> None:
        self._hook = hook
        self._name = name
        self._moment = moment
        self._shown_as = shown_as
        self._process = process
        self._runtime = runtime
        self._log = log
        self._on_over = on_over
        self._working_dir = hook.working_dir or working_dir
        self._sandbox = sandbox
        self._environ = environ
        self._identity = identity
        self._tries = 0
        self._pid: int | None = None
        self._began_at = self._next_at = runtime.now()
        self._timed_out = False
        self._deferred = False
        self._over = False
        runtime.run_queue.wake(self)
        self._emit("hook.started")

    def reconcile(self, stop_at: float) -> float | None:
        """Begin the try that is due; kill one that has not ended in time."""
        if self._over:
            return None
        if self._next_at > self._runtime.now():
            return self._next_at
        if self._pid is None:
            self._try()
        elif not self._timed_out:
            self._timed_out = True
            kill_tree(self._pid)  # not reaped yet: no other process can have its pid
            self._next_at = self._runtime.now() + HOOK_KILL_S
        else:  # the kernel cannot end it
            self._pid = None
            self._tried(f"{self._timeout_reason}, and could not be killed")
        return None if self._over else self._next_at

    def cancel(self) -> None:
        """Kill it; ``on_over`` is not called."""
        if not self._over:
            self._emit("hook.ended", "cancelled")
        self._over = True
        if self._pid is not None:
            kill_tree(self._pid)

    @property
    def _timeout_reason(self) -> str:
        return f"not done after {self._hook.timeout:g} s"

    def _try(self) -> None:
        self._tries += 1
        self._timed_out = False
        try:
            identity = self._identity()
            request = self._request(identity)
            pid, capture = spawn_captured(
                self._runtime, self._log, self._shown_as, request, identity=identity
            )
        except SpawnError as error:
            if error.shortage and self._runtime.now() < self._began_at + self._hook.timeout:
                self._defer(error)
            else:
                self._tried(str(error))
            return
        self._runtime.reaper.watch(pid, lambda status: self._exited(pid, status, capture))
        self._pid = pid
        self._next_at = self._runtime.now() + self._hook.timeout
        self._runtime.log.info("Hook started", **self._fields, pid=pid)

    def _defer(self, error: SpawnError) -> None:
        """Try again soon when the machine lacks a resource; that does not count as a try."""
        self._tries -= 1
        self._next_at = self._runtime.now() + DEFER_S
        self._runtime.run_queue.wake(self)
        if not self._deferred:
            self._deferred = True
            self._runtime.log.warn("Hook waits to start", **self._fields, error=str(error))

    def _request(self, identity: Identity | None) -> Callable[[int, int], SpawnRequest]:
        environ = self._environ(identity)
        known = {**environ, "CBOX_INIT_HOOK_NAME": self._name}
        argv = tuple(expand_instance(word, known) for word in self._hook.command)
        own = {key: expand_instance(value, known) for key, value in self._hook.env.items()}
        env = {**environ, **own, "CBOX_INIT_HOOK_NAME": self._name}
        if self._runtime.job_variables is not None:
            env |= self._runtime.job_variables("hook", self._process or "", self._shown_as)
        return lambda stdout_fd, stderr_fd: SpawnRequest(
            argv, env, self._working_dir, identity, stdout_fd, stderr_fd, sandbox=self._sandbox
        )

    def _exited(self, pid: int, status: ExitStatus, capture: Capture) -> None:
        """Take in the end of a try, for the reaper. A hook that succeeds may leave processes behind."""
        with self._runtime.defects.contain("the last output of a hook could not be read", hook=self._name):
            capture.drain()
        if self._over or pid != self._pid:
            return
        self._pid = None
        if self._timed_out:
            self._tried(self._timeout_reason)
        elif status.exit_code == 0:
            self._tried(None)
        else:
            # Its pid may be another's by now; so signal only orphans that are in its group.
            rest = (stray for stray in self._runtime.orphans() if stray.pgid == pid)
            signal_strays(rest, _SIGKILL)
            self._tried(status.describe())

    def _tried(self, error: str | None) -> None:
        verdict = after_try(self._hook, self._tries, error)
        log = self._runtime.log
        if isinstance(verdict, HookRetry):
            log.warn("Hook failed and is tried again", **self._fields, error=error, delay=verdict.delay_s)
            self._next_at = self._runtime.now() + verdict.delay_s
            self._runtime.run_queue.wake(self)
            return
        self._over = True
        self._count(success=verdict.error is None)
        self._emit("hook.ended", verdict.error)
        if verdict.error is None:
            log.info("Hook done", **self._fields)
        else:
            log.error("Hook failed", **self._fields, error=verdict.error)
        self._on_over(verdict)

    def _count(self, *, success: bool) -> None:
        if self._runtime.counters is not None:
            took_s = self._runtime.now() - self._began_at
            self._runtime.counters.hooked(self._process, self._name, self._moment, took_s, success=success)

    def _emit(self, kind: str, error: str | None = None) -> None:
        instance = self._shown_as.partition("/")[0] if self._process else ""
        self._runtime.events.emit(
            kind, self._process or "", instance, reason=error, hook=self._name, moment=self._moment
        )

    @property
    def _fields(self) -> dict[str, str | None]:
        instance = self._shown_as if self._process else None
        return {"process": self._process, "instance_id": instance, "hook": self._name}


class HookChain:
    """Runs the hooks of one moment of the stack's life, one after another.

    ``on_over`` is called once with the error that ended the chain, or None; not after ``cancel``. A hook that
    fails ends the chain, unless its ``continue_on_error`` is set.
    """

    def __init__(
        self,
        moment: str,
        hooks: Sequence[HookConfig],
        *,
        runtime: Runtime,
        logs: LogHub,
        on_over: Callable[[str | None], None],
    ) -> None:
        self._moment = moment
        self._left = list(enumerate(hooks))
        self._runtime = runtime
        self._log = logs.open(f"hooks/{moment}", logs.defaults)
        self._on_over = on_over
        self._current: HookRun | None = None
        self._next()

    def cancel(self) -> None:
        """Kill the hook that runs and start no other; ``on_over`` is not called."""
        self._left.clear()
        if self._current is not None:
            self._current.cancel()

    def _next(self) -> None:
        if not self._left:
            self._on_over(None)
            return
        index, hook = self._left.pop(0)
        name = hook.name or f"{self._moment}-{index}"
        self._current = HookRun(
            hook,
            name=name,
            moment=self._moment.replace("-", "_"),
            shown_as=name,
            process=None,
            runtime=self._runtime,
            log=self._log,
            environ=lambda identity: without_settings(self._runtime.environ),
            identity=lambda: None,
            working_dir=None,
            on_over=lambda over: self._ended(name, over),
        )

    def _ended(self, name: str, over: HookResult) -> None:
        self._current = None
        if over.go_on:
            self._next()
        else:
            self._on_over(f"{self._moment} hook {name} failed: {over.error}")
