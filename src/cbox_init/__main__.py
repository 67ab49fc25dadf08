"""The program ``cbox-init``: starts the daemon without click, which is faster; all else uses click."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it; `signal` takes 1 ms
import os
import sys

from cbox_init.cli import COMPLETION_VARIABLE, INTERRUPTED, complain
from cbox_init.own_path import put_own_path_first

put_own_path_first()  # before any import for which the application may have a module of the same name


def main() -> None:
    """Run the command line of this process and exit with its code."""
    _hold_signals()
    try:
        sys.exit(_run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        hint = _hint(error.name or "")
        if not hint:
            raise
        complain(f"Python has no module {error.name}: {hint}")
        sys.exit(1)


def _hint(module: str) -> str:
    """How to install a module that is missing; empty for a module of cbox-init itself."""
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names:
        return (
            "its standard library is incomplete; on Debian and Ubuntu install python3, beside python3-minimal"
        )
    if package in ("", __package__):
        return ""
    return "a package that cbox-init needs is not installed; install cbox-init again with pip"


def _run(arguments: list[str]) -> int:
    from cbox_init.options import parse_serve

    # A shell that asks for completions calls without arguments, which would be serve.
    options = parse_serve(arguments) if COMPLETION_VARIABLE not in os.environ else None
    if options is not None:
        from cbox_init.cli.launch import launch

        return launch(options)
    if "run" in arguments:
        from cbox_init.cli.run import parse_run

        if (options := parse_run(arguments)) is not None:
            from cbox_init.cli.launch import launch

            return launch(options)
    elif "serve" not in arguments:  # other commands end by these signals as any program does
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if arguments[:1] == ["health"]:
        from cbox_init.cli.health_probe import parse_health, quick_health

        probing = parse_health(arguments)
        if probing is not None:
            return quick_health(probing)
    from cbox_init.cli.app import run

    return run(arguments)


def _hold_signals() -> None:
    """Block the signals that the daemon handles or ignores, until it does so.

    The imports of a start take a tenth of a second. Meanwhile PID 1 would lose signals that it has no handler
    for, and any other process would be ended by a signal that is to reload it. Stop signals are blocked in
    PID 1 only: any other process may end at once, as nothing has been started.
    """
    signals = {_signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGALRM}
    if os.getpid() == 1:
        signals |= {_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, signals)


if __name__ == "__main__":
    main()
