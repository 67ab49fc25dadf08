"""Hand over to the daemon: the one way in, whether click read the options or the quick parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.cli.complain import complain
from cbox_init.errors import CboxError

if TYPE_CHECKING:
    from cbox_init.options import ServeOptions

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""


def launch(options: ServeOptions) -> int:
    """Run the daemon until it ends; its exit code. A start that fails is one line on standard error and 1."""
    try:
        from cbox_init.daemon import serve

        return serve(options)
    except CboxError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
