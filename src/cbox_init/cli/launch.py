"""Hand over to the daemon: the one way in, whether click read the options or the quick parser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cbox_init.cli.complain import complain
from cbox_init.errors import CboxError, ConfigError
from cbox_init.imports import without

if TYPE_CHECKING:
    from cbox_init.options import ServeOptions


def launch(options: ServeOptions) -> int:
    """Run the daemon until it ends; its exit code. Why a start failed is said on standard error, with 1."""
    _keep_early_signals()
    try:
        # msgspec looks there for what Python 3.11 has itself, and would bring inspect, ast and dis with it:
        # 7 ms before the first child.
        with without("typing_extensions"):
            import msgspec  # noqa: F401

        from cbox_init.daemon import serve

        return serve(options)
    except ConfigError as error:
        complain(str(error))  # with the first of the errors in it
        errors = [problem for problem in error.problems if problem.severity == "error"]
        for problem in errors[1:]:
            complain(f"and {problem}")
    except CboxError as error:
        complain(str(error))
    return 1


def _keep_early_signals() -> None:
    """The kernel throws away what PID 1 has no handler for: a stop that comes now has to wait for ours."""
    if os.getpid() == 1:
        import signal

        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
