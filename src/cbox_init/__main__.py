"""The program ``cbox-init``: the daemon by the shortest way, everything else through click."""

from __future__ import annotations

import sys

from cbox_init.options import parse_serve


def main() -> None:
    """Run the command line of this process and exit with its code."""
    arguments = sys.argv[1:]
    options = parse_serve(arguments)
    if options is not None:
        from cbox_init.cli.launch import launch

        sys.exit(launch(options))
    from cbox_init.cli import main as cli

    sys.exit(cli(arguments))


if __name__ == "__main__":
    main()
