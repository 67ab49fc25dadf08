"""The command line: one module a command group. It talks to the daemon through ``cbox_init.client`` alone.

Nothing but ``sys`` is imported here: ``serve`` passes through this package without click or httpx.
"""

import sys

PROGRAM = "cbox-init"

COMPLETION_VARIABLE = "_CBOX_INIT_COMPLETE"
"""Set by a shell's completion (click's convention for the program's name)."""

FAILED, USAGE, NO_DAEMON = 1, 2, 3
"""Exit codes: something failed or is not well, a mistake in the command line, and no daemon answers."""

INTERRUPTED = 130
"""The exit code that a shell reports for a program that Ctrl-C ended."""


def complain(message: str) -> None:
    """Write one line to standard error, if there is one, without what a terminal would act on."""
    if sys.stderr is not None:
        line = " ".join(message.split())
        if not line.isprintable():
            line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)
