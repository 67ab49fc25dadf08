"""``list -w`` and ``top``: the table of processes, drawn again whenever something changes."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cbox_init.cli.console import BOLD, DIM, Span, TextStyle, cut, fit
from cbox_init.cli.follow import FIRST_PAUSE_S, LONGEST_PAUSE_S, is_temporary
from cbox_init.cli.selection import selected
from cbox_init.errors import ApiError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from cbox_init.cli.console import Console
    from cbox_init.client import Client, ProcessEntry

    Lines = Callable[[Sequence[ProcessEntry], float, int | None], list[list[Span]]]
    """Makes the table of processes at a time, for a terminal of a width."""

_ENTER = "\x1b[?1049h\x1b[?25l"
"""The other screen of the terminal, without a cursor."""

_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_END_OF_LINE = "\x1b[K"
_END_OF_SCREEN = "\x1b[J"


def watch_processes(
    connect: Callable[[], Client],
    names: Sequence[str],
    lines: Lines,
    out: Console,
    *,
    as_json: bool,
) -> int:
    """Show the processes until Ctrl-C, also after a restart of the daemon; gives the exit code.

    On a terminal the table stays in its place. Elsewhere each state is written below the one before it, with
    ``as_json`` as an object a line. Raises ClientError when the daemon does not answer the first time, and
    for an error that a retry cannot cure.
    """
    screen = _Screen(lines, out) if out.is_terminal and not as_json else _Listing(lines, out, as_json=as_json)
    watch = _Watch(connect, names, screen)
    with suppress(KeyboardInterrupt):
        with connect() as client:
            selected(client.processes(), names)  # an unknown name and an unreachable daemon are said at once
        with screen.shown():
            watch.run_for_ever()
    return 0


class _Watch:
    """Follows the live state, and hands what is to be shown to ``screen``."""

    def __init__(
        self, connect: Callable[[], Client], names: Sequence[str], screen: _Listing | _Screen
    ) -> None:
        self._connect = connect
        self._names = names
        self._screen = screen

    def run_for_ever(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if self._follow():
                    pause_s = FIRST_PAUSE_S
                why = "the daemon has ended"
            except ClientError as error:
                if not is_temporary(error):
                    raise
                why = str(error)
            self._screen.note(f"trying again: {why}")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _follow(self) -> bool:
        """Show one stream to its end; gives whether anything has come."""
        from cbox_init.client import LiveState

        state, came = LiveState(), False
        try:
            with self._connect() as client, client.live() as messages:
                for message in messages:
                    state.take(message)
                    came = True
                    entries = selected(tuple(state.processes.values()), self._names, missing_ok=True)
                    self._screen.show(entries, state.time)
        except ApiError as error:
            if error.status != 404:
                raise
            raise ClientError("this daemon cannot be watched: it is older than this command") from None
        return came


class _Listing:
    """Writes each state below the one before it."""

    def __init__(self, lines: Lines, out: Console, *, as_json: bool) -> None:
        self._lines = lines
        self._out = out
        self._as_json = as_json
        self._begun = False

    @contextmanager
    def shown(self) -> Iterator[None]:
        yield

    def show(self, entries: Sequence[ProcessEntry], now: float) -> None:
        if self._as_json:
            self._out.json({"processes": entries})
        else:
            if self._begun:
                self._out.text("")
            self._out.lines(self._lines(entries, now, None))
        self._begun = True
        self._out.flush()

    def note(self, text: str) -> None:
        from cbox_init.cli import complain

        complain(text)


class _Screen:
    """Draws the table over the one before it, on a screen of its own."""

    def __init__(self, lines: Lines, out: Console) -> None:
        self._lines = lines
        self._out = out
        self._entries: Sequence[ProcessEntry] = ()
        self._now = 0.0
        self._note = ""
        self._drawing = False

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The other screen of the terminal until the end of the ``with``, however that ends."""
        before = {one: signal.signal(one, _end) for one in (signal.SIGTERM, signal.SIGHUP)}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        self._out.write(_ENTER)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
            self._out.write(_LEAVE)
            self._out.flush()

    def show(self, entries: Sequence[ProcessEntry], now: float) -> None:
        self._entries, self._now, self._note = entries, now, ""
        self._draw()

    def note(self, text: str) -> None:
        self._note = text
        self._draw()

    def _draw(self) -> None:
        self._drawing = True
        out = self._out
        width, height = out.size
        width -= 1  # the last column is erased by some terminals when a line ends there
        lines = [self._head(width), *self._lines(self._entries, self._now, width)]
        if len(lines) > height:
            hidden = len(lines) - height + 1
            lines = [*lines[: height - 1], [Span(f"{hidden} more: the terminal has no room for them", DIM)]]
        # One write, without clearing the screen first: what stays the same does not flicker.
        shown = [out.rendered(fit(line, width)) for line in lines]
        out.write(_HOME + "\r\n".join(f"{line}{_END_OF_LINE}" for line in shown) + _END_OF_SCREEN)
        out.flush()
        self._drawing = False

    def _head(self, width: int) -> list[Span]:
        from cbox_init.cli.process_table import runs_as_it_should

        if self._note:
            return [Span(cut(self._note, width), TextStyle("red"))]
        bad = sum(not runs_as_it_should(entry) for entry in self._entries)
        count = len(self._entries)
        words = f"{count} process{'' if count == 1 else 'es'}"
        words += f", {bad} not as it should be" if bad else ""
        clock = time.strftime("%H:%M:%S %Z", time.localtime(self._now))
        return [Span(cut(f"{clock}  {words}  (Ctrl-C ends)", width), BOLD)]

    def _resized(self, signum: int, frame: FrameType | None) -> None:
        if not self._drawing:
            self._draw()


def _end(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)
