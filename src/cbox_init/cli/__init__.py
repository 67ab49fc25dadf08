"""The command line: one module a command group. It talks to the daemon through ``cbox_init.client`` alone.

Nothing is imported here: ``serve`` passes through this package without click, rich or httpx.
"""

COMPLETION_VARIABLE = "_CBOX_INIT_COMPLETE"
"""Set by a shell's completion (click's convention for the program's name)."""

INTERRUPTED = 130
"""The exit code that a shell reports for a program that Ctrl-C ended."""
