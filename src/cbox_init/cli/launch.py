"""Run the daemon, for options that click or the quick parser has read.

A module of its own because ``serve`` must not import click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.cli import complain
from cbox_init.errors import CboxError, ConfigError, SpawnError
from cbox_init.imports import without

if TYPE_CHECKING:
    from cbox_init.options import ServeOptions


def launch(options: ServeOptions) -> int:
    """Run the daemon until it ends and return its exit code.

    A start that fails is 1, with the reason on standard error; 127 or 126 when the command of ``run`` is not
    there or not executable.
    """
    try:
        # msgspec imports it for names that Python 3.11 has itself, and it imports inspect, ast and dis:
        # 7 ms before the first child.
        with without("typing_extensions"):
            import msgspec  # noqa: F401

        from cbox_init.daemon import serve

        return serve(options)
    except ConfigError as error:
        complain(str(error))  # it names the first of the errors
        errors = [problem for problem in error.problems if problem.severity == "error"]
        for problem in errors[1:]:
            complain(f"and {problem}")
    except SpawnError as error:
        complain(str(error))
        return error.exit_code
    except CboxError as error:
        complain(str(error))
    return 1
