"""Say on standard error what went wrong."""

from __future__ import annotations

import sys

PROGRAM = "cbox-init"


def complain(message: str) -> None:
    """One line on standard error, if there is one."""
    if sys.stderr is not None:
        print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr, flush=True)
