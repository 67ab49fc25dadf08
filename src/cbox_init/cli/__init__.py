"""The command line: one module a command group. It talks to the daemon through ``cbox_init.client`` alone.

Nothing is imported here: ``serve`` passes through this package without click, rich or httpx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code is 0, or 1 after one line on standard error."""
    from cbox_init.cli.app import run

    return run(arguments)
