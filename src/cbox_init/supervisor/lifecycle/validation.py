"""Has PHP-FPM and nginx test their configuration before anything is started (``php-fpm -t``, ``nginx -t``).

A program that would refuse its configuration ends the start with the reason, rather than being restarted
until it is given up. Each test runs as the process would: its command with ``-t``, its user, directory and
variables.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.config.model import ProcessType
from cbox_init.config.rules import HOOK_KILL_S
from cbox_init.errors import SpawnError
from cbox_init.php.programs import is_nginx, is_php_fpm
from cbox_init.php.sizing import PM
from cbox_init.sensitive import command_without_secrets, without_secrets
from cbox_init.supervisor.instance.launch import Launch
from cbox_init.system.descriptors import output_pipe
from cbox_init.system.tree import kill_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.reaper import ExitStatus

#: How long a test may take, in seconds: nginx looks up the names of its upstreams.
TEST_S: Final = 30.0

_MOST_OUTPUT: Final = 64 * 1024
_LONGEST_REASON: Final = 1000

#: What the two programs write in a line that says what is wrong, with that which follows from it behind.
_FAULTS: Final = ("[emerg]", "[alert]", "[crit]", "[error]", "ALERT:", "ERROR:")

#: A setting of the process manager: ``pm``, ``pm.max_children``.
_OF_PM: Final = re.compile(r"\bpm\b")


def with_tests(processes: Mapping[str, ProcessConfig]) -> dict[str, ProcessConfig]:
    """Those that run PHP-FPM or nginx as a server, and are started with the daemon."""
    return {
        name: process
        for name, process in processes.items()
        if (is_php_fpm(process.command) or is_nginx(process.command))
        and process.starts_by_itself
        and process.type is not ProcessType.ONESHOT
        and not process.schedule
    }


class RuntimeValidation:
    """Tests the configurations of ``processes``, all at the same time.

    ``on_over`` is called once, with what is wrong or None; not after ``cancel``. What cannot be run is not
    tested: why is shown when the process itself is started.
    """

    def __init__(
        self,
        processes: Mapping[str, ProcessConfig],
        *,
        runtime: Runtime,
        on_over: Callable[[str | None], None],
    ) -> None:
        self._left = dict(processes)
        self._runtime = runtime
        self._on_over = on_over
        self._running: dict[int, _ConfigTest] = {}
        self._errors: list[str] = []
        self._kill_at = runtime.now() + TEST_S
        self._killed = False
        self._over = False
        runtime.run_queue.wake(self)

    def cancel(self) -> None:
        """Kill the tests; ``on_over`` is not called."""
        self._over = True
        for pid, test in self._running.items():
            kill_tree(pid)
            test.close()
        self._running.clear()

    def reconcile(self, stop_at: float) -> float | None:
        """Begin the tests; kill those that take too long."""
        if self._over:
            return None
        for name, config in self._left.items():
            self._begin(name, config)
        self._left.clear()
        now = self._runtime.now()
        if now >= self._kill_at and self._running:
            if self._killed:  # the kernel cannot end it
                for test in self._running.values():
                    self._failed(test, f"not done after {TEST_S:g} s, and could not be killed")
                self._running.clear()
            else:
                self._killed = True
                self._kill_at = now + HOOK_KILL_S
                for pid in self._running:
                    kill_tree(pid)
        if self._running:
            return self._kill_at
        self._over = True
        self._on_over("; ".join(self._errors) or None)
        return None

    def _begin(self, name: str, config: ProcessConfig) -> None:
        try:
            test = _ConfigTest(name, config, self._runtime)
        except SpawnError as error:
            self._runtime.log.warn("Configuration could not be tested", process=name, error=str(error))
            return
        self._running[test.pid] = test
        self._runtime.reaper.watch(test.pid, lambda status: self._exited(test, status))

    def _exited(self, test: _ConfigTest, status: ExitStatus) -> None:
        if self._running.pop(test.pid, None) is None:
            return
        output = test.output()
        test.close()
        if self._killed:
            self._failed(test, f"not done after {TEST_S:g} s")
        elif status.exit_code:
            secrets = self._runtime.secrets
            reason = secrets.masked(without_secrets(reason_in(output))) or status.describe()
            self._failed(test, f"{reason} ({test.hint})" if test.hint and _OF_PM.search(reason) else reason)
        else:
            self._runtime.log.info("Configuration tested", process=test.process, command=test.command)
        self._runtime.run_queue.wake(self)

    def _failed(self, test: _ConfigTest, reason: str) -> None:
        self._errors.append(f"the configuration of {test.process} is refused: {reason}")
        self._runtime.log.error(
            "Configuration test failed", process=test.process, command=test.command, error=reason
        )


class _ConfigTest:
    """One program that tests its configuration. Raises SpawnError when it cannot be started."""

    def __init__(self, process: str, config: ProcessConfig, runtime: Runtime) -> None:
        self.process = process
        launch = Launch(process, config, runtime.environ)
        self._output, write = output_pipe(launch.identity())
        try:
            request = launch.request(0, stdout_fd=write, stderr_fd=write)
            argv = (*request.argv, "-t")
            self.command = runtime.secrets.masked(" ".join(command_without_secrets(argv)))
            self.hint = ""
            if is_php_fpm(argv) and PM not in request.env:
                self.hint = f"{PM} and the like are not set: where the pool refers to them, choose a profile"
            self.pid = runtime.spawner.spawn(replace(request, argv=argv))
        except BaseException:
            self.close()
            raise
        finally:
            os.close(write)

    def output(self) -> str:
        """What it has written; the pipe holds it."""
        try:
            return os.read(self._output, _MOST_OUTPUT).decode(errors="replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Close the pipe; no error when it is closed."""
        if self._output >= 0:
            os.close(self._output)
            self._output = -1


def reason_in(output: str) -> str:
    """The line that says what is wrong, of what ``-t`` has written; empty for none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    named = (line for line in lines if any(word in line for word in _FAULTS))
    return next(named, lines[-1] if lines else "")[:_LONGEST_REASON]
