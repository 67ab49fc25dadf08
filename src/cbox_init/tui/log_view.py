"""Shows the last lines of a log: filtered, searched, wrapped, at their end or where one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cbox_init.client import LogEntry
from cbox_init.tui.look import LEVEL_ROLES, clean, local_time, palette, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.style import Style

    from cbox_init.client import LogRecord

KEPT = 5000
"""Lines that are kept."""
SLACK = 2500
"""Lines that may come on top until the oldest are dropped, as that cuts all again."""
_LONGEST = 4000
_LEVELS = ("debug", "info", "warn", "error")


class LogLine(NamedTuple):
    """A line as it is shown; where lines are missing ``process`` is empty."""

    time: str
    process: str
    instance: str
    level: str
    text: str

    @classmethod
    def of(cls, record: LogRecord) -> LogLine:
        if isinstance(record, LogEntry):
            time = local_time(record.timestamp, date=False, fraction=True)
            text = clean(record.message[:_LONGEST])
            return cls(time, record.process, clean(record.instance), record.level, text)
        count = record.count if isinstance(record.count, int) else None
        words = "some lines" if count is None else plural(count, "line")
        return cls("", "", "", "warn", f"— {words} not shown: more came than could be sent —")


class _Piece(NamedTuple):
    """One line on the screen: a line of the log, or a part of one that is wrapped."""

    line: LogLine
    text: str
    first: bool


class LogView(ScrollView, can_focus=True):
    """The lines of a log. ``take`` adds lines, whatever is filtered at the moment."""

    DEFAULT_CSS = """
    LogView { height: 1fr; background: $background; color: $foreground; }
    """
    ALLOW_MAXIMIZE = False

    class Changed(Message):
        """What is followed, filtered, wrapped or searched is not as before."""

    def __init__(self, *, id: str = "log") -> None:  # noqa: A002
        super().__init__(id=id)
        self.following = True
        self.wrapped = False
        self.least_level = "debug"
        self.searched = ""
        self.empty = "No lines yet."
        self.dropped = 0
        self._lines: list[LogLine] = []
        self._pieces: list[_Piece] = []
        self._hits: list[int] = []
        self._hit = -1
        self._instance_width = 8
        self._longest = 0
        self._styles: dict[str, Style] = {}

    # -- lines -------------------------------------------------------------------------------------------

    def take(self, records: Iterable[LogRecord]) -> None:
        """Add lines at the end."""
        new = [LogLine.of(record) for record in records]
        if not new:
            return
        widest = max(cell_len(line.instance) for line in new[-KEPT:])
        self._lines += new
        if len(self._lines) > KEPT + SLACK or widest > self._instance_width:
            self._instance_width = min(24, max(widest, self._instance_width))
            before = len(self._pieces)
            del self._lines[:-KEPT]
            self._lay_out()
            gone = max(0, before + len(new) - len(self._pieces))
            if not self.following:
                self.scroll_to(y=max(0, self.scroll_offset.y - gone), animate=False)
        else:
            for line in new:
                self._add(line)
            self._sized()
        if self.following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        self.refresh()

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()
        self._lay_out()

    def set_empty(self, text: str) -> None:
        """What is said while there is no line."""
        self.empty = text
        if not self._pieces:
            self.refresh()

    @property
    def counted(self) -> tuple[int, int]:
        """How many lines are shown, and how many are kept."""
        return sum(piece.first for piece in self._pieces), len(self._lines)

    @property
    def hits(self) -> tuple[int, int]:
        """Which hit of the search was gone to last, from 1, and how many there are."""
        return self._hit + 1, len(self._hits)

    # -- what is shown -----------------------------------------------------------------------------------

    def follow(self, on: bool) -> None:
        """Stay at the end, or where it is."""
        self.following = on
        if on:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        self.post_message(self.Changed())

    def wrap(self, on: bool) -> None:
        """Wrap long lines, or let them be scrolled to the side."""
        self.wrapped = on
        self.scroll_to(x=0, animate=False)
        self._lay_out()
        self.post_message(self.Changed())

    def next_level(self) -> None:
        """Raise the least level by one; after error come all again."""
        self.least_level = _LEVELS[(_LEVELS.index(self.least_level) + 1) % len(_LEVELS)]
        self._lay_out()
        self.post_message(self.Changed())

    def search(self, text: str) -> None:
        """Mark this text; the view goes to its last hit."""
        self.searched = text.casefold()
        self._find()
        self._hit = len(self._hits)
        if self._hits:
            self.go_to_hit(-1)
        self.refresh()
        self.post_message(self.Changed())

    def go_to_hit(self, by: int) -> None:
        """Go to the next hit, or with -1 to the one before."""
        if not self._hits:
            return
        self._hit = (self._hit + by) % len(self._hits)
        self.following = False
        self.scroll_to(y=max(0, self._hits[self._hit] - self.size.height // 2), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        self._lay_out()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._new_colours())

    def _new_colours(self) -> None:
        self._styles.clear()
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        at_end = new_value >= self.max_scroll_y
        if self.following and not at_end and new_value < old_value:
            self.following = False
            self.post_message(self.Changed())

    def _shown(self, line: LogLine) -> bool:
        level = _LEVELS.index(line.level) if line.level in _LEVELS else 1
        return level >= _LEVELS.index(self.least_level)

    def _lay_out(self) -> None:
        """Cut all lines again."""
        self._pieces, self._hits, self._longest = [], [], 0
        for line in self._lines:
            self._add(line)
        self._find()
        self._sized()
        if self.following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        self.refresh()

    def _add(self, line: LogLine) -> None:
        if not self._shown(line):
            return
        room = self._room
        if self.wrapped and (len(line.text) > room or cell_len(line.text) > room):
            for index, text in enumerate(chop_cells(line.text, max(10, room))):
                self._pieces.append(_Piece(line, text, index == 0))
        else:
            self._longest = max(self._longest, cell_len(line.text))
            self._pieces.append(_Piece(line, line.text, True))
        if self.searched and self.searched in line.text.casefold():
            self._hits.append(len(self._pieces) - 1)

    def _find(self) -> None:
        wanted = self.searched
        self._hits = (
            [i for i, piece in enumerate(self._pieces) if wanted in piece.text.casefold()] if wanted else []
        )

    @property
    def _prefix(self) -> int:
        return 12 + 2 + self._instance_width + 1 + 5 + 1

    @property
    def _room(self) -> int:
        return self.scrollable_content_region.width - self._prefix - 1

    def _sized(self) -> None:
        room = self.scrollable_content_region.width
        width = room if self.wrapped else max(room, self._prefix + self._longest + 1)
        self.virtual_size = Size(width, max(1, len(self._pieces)))

    # -- drawing -----------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        index = y + self.scroll_offset.y
        if index >= len(self._pieces):
            if not self._pieces and y == max(0, self.size.height // 2 - 1):
                text = self.empty
                left = max(0, (width - cell_len(text)) // 2)
                strip = Strip([Segment(" " * left + text, self._style("muted"))])
                return strip.adjust_cell_length(width, self._style("text"))
            return Strip.blank(width, self._style("text"))
        x = self.scroll_offset.x
        return self._strip(index).crop_extend(x, x + width, self._style("text"))

    def _strip(self, index: int) -> Strip:
        line, text, first = self._pieces[index]
        body = self._style(LEVEL_ROLES.get(line.level, "text"))
        if not line.process:
            return Strip([Segment(text, body)])
        if first:
            name = line.instance
            taken = cell_len(name)
            name = name if taken <= self._instance_width else name[: self._instance_width - 1] + "…"
            name += " " * max(0, self._instance_width - cell_len(name))
            segments = [
                Segment(f"{line.time}  ", self._style("muted")),
                Segment(f"{name} ", self._style(f"process:{line.process}")),
                Segment(f"{line.level.upper()[:5]:<5} ", body),
            ]
        else:
            segments = [Segment(" " * self._prefix, body)]
        current = self._hits[self._hit] == index if 0 <= self._hit < len(self._hits) else False
        segments += self._marked(text, body, current)
        return Strip(segments)

    def _marked(self, text: str, body: Style, current: bool) -> list[Segment]:
        wanted = self.searched
        folded = text.casefold()
        if not wanted or wanted not in folded or len(folded) != len(text):
            return [Segment(text, body)]
        found = self._style("found bold") if current else self._style("found")
        segments, end = [], 0
        while (start := folded.find(wanted, end)) >= 0:
            segments.append(Segment(text[end:start], body))
            end = start + len(wanted)
            segments.append(Segment(text[start:end], found))
        return [*segments, Segment(text[end:], body)]

    def _style(self, role: str) -> Style:
        style = self._styles.get(role)
        if style is None:
            colours = palette(dark=self.app.current_theme.dark)
            style = self._styles[role] = colours.rich_style("base") + colours.rich_style(role)
        return style
