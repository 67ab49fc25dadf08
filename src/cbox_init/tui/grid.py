"""A table that draws only the lines that changed, and keeps its cursor on the same row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cbox_init.tui.look import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual import events

_MARGIN = 1
_NARROW = 100


class GridColumn(NamedTuple):
    """A column: its least width, whether it takes the room that is left, and when it is left out.

    The columns with the highest ``rank`` are left out first where the screen is narrow; 0 stays.
    """

    title: str
    width: int
    rank: int = 0
    grows: bool = False
    right: bool = False
    tail: bool = False
    """Whether the end of a text is shown that is too long, in place of its begin."""


class GridCell(NamedTuple):
    """A text in the colour of a role."""

    text: str
    role: str = ""


class GridRow(NamedTuple):
    """A row; its key is what the cursor stays on."""

    key: str
    cells: tuple[GridCell, ...]


class Grid(ScrollView, can_focus=True):
    """Rows under a header. A double click chooses one; the page has a key for that."""

    DEFAULT_CSS = """
    Grid { height: 1fr; background: $background; color: $foreground; overflow-x: hidden; }
    """
    ALLOW_MAXIMIZE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
    ]

    class AboutRow(Message):
        """What has happened to the row ``key``."""

        def __init__(self, grid: Grid, key: str) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> Grid:
            return self.grid

    class Chosen(AboutRow):
        """A double click on a row."""

    class Moved(AboutRow):
        """The cursor is on another row."""

    def __init__(self, columns: Sequence[GridColumn], empty: str = "Nothing here yet.", *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.empty = empty
        self.rows: list[GridRow] = []
        self.lines_drawn = 0
        self._cursor = 0
        self._hover = -1
        self._widths: list[int] = []
        self._gap = 2
        self._strips: dict[tuple[int, bool, bool], Strip] = {}
        self._styles: dict[str, Style] = {}

    # -- rows --------------------------------------------------------------------------------------------

    @property
    def key(self) -> str | None:
        """The key of the row that the cursor is on."""
        return self.rows[self._cursor].key if self.rows else None

    @property
    def at_first(self) -> bool:
        """Whether the cursor is on the first row."""
        return self._cursor == 0

    def show(self, rows: Sequence[GridRow]) -> int:
        """Show these rows. Returns how many lines have to be drawn again."""
        old, new = self.rows, list(rows)
        if len(old) == len(new) and all(a.key == b.key for a, b in zip(old, new, strict=True)):
            changed = [index for index, row in enumerate(new) if row.cells != old[index].cells]
            if not changed:
                return 0
            self.rows = new
            if self._fit():
                self._redraw()
                return len(new)
            for index in changed:
                self._draw_again(index, old[index])
            return len(changed)
        key = self.key
        self.rows = new
        self._cursor = next(
            (i for i, row in enumerate(new) if row.key == key), min(self._cursor, len(new) - 1)
        )
        self._cursor = max(0, self._cursor)
        self._fit()
        self.virtual_size = Size(self.size.width, len(new) + 1)
        self._redraw()
        self._keep_in_view()
        if self.key is not None and self.key != key:
            self.post_message(self.Moved(self, self.key))
        return len(new)

    def set_empty(self, text: str) -> None:
        """What is said when there is no row."""
        if text != self.empty:
            self.empty = text
            if not self.rows:
                self.refresh()

    def go_to(self, key: str) -> None:
        """Put the cursor on the row with this key, if there is one."""
        for index, row in enumerate(self.rows):
            if row.key == key:
                self._move_to(index)

    # -- keys and mouse ----------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._move_to(self._cursor + by)

    def action_page(self, direction: int) -> None:
        self._move_to(self._cursor + direction * max(1, self.size.height - 2))

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: events.Click) -> None:
        index = self._row_at(event.y)
        if index is None:
            return
        again = index == self._cursor
        self._move_to(index)
        if again and event.chain > 1:
            self.action_choose()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        index = self._row_at(event.y)
        self._set_hover(-1 if index is None else index)

    def on_leave(self) -> None:
        self._set_hover(-1)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        self._fit()
        self._redraw()
        self._keep_in_view()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._forget_styles())

    def _forget_styles(self) -> None:
        self._styles.clear()
        self._redraw()

    def _row_at(self, y: int) -> int | None:
        index = y - 1 + self.scroll_offset.y
        return index if y >= 1 and 0 <= index < len(self.rows) else None

    def _set_hover(self, index: int) -> None:
        if index != self._hover:
            before, self._hover = self._hover, index
            self.refresh_lines(before + 1, 1)
            self.refresh_lines(index + 1, 1)

    def _move_to(self, index: int) -> None:
        index = max(0, min(index, len(self.rows) - 1))
        if index == self._cursor or not self.rows:
            return
        before, self._cursor = self._cursor, index
        self.refresh_lines(before + 1, 1)
        self.refresh_lines(index + 1, 1)
        self._keep_in_view()
        self.post_message(self.Moved(self, self.rows[index].key))

    def _keep_in_view(self) -> None:
        room = self.size.height - 1
        if room <= 0:
            return
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + room:
            self.scroll_to(y=self._cursor - room + 1, animate=False)

    # -- drawing -----------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        self._strips.clear()
        self.refresh()

    def _draw_again(self, index: int, old: GridRow) -> None:
        """Draw the cells of a row that are not as they were."""
        for key in [(index, cursor, hover) for cursor in (False, True) for hover in (False, True)]:
            self._strips.pop(key, None)
        y = index + 1 - self.scroll_offset.y
        if not 1 <= y < self.size.height:
            return
        x, row, places = _MARGIN, self.rows[index], []
        for width, cell, before in zip(self._widths, row.cells, old.cells, strict=False):
            if width:
                if cell != before:
                    places.append((x, x + width))
                x += width + self._gap
        if places:
            first, last = places[0][0], places[-1][1]
            self.refresh(Region(first, y, last - first, 1))

    def _fit(self) -> bool:
        """Give each column its width. Returns whether one has changed."""
        room = self.scrollable_content_region.width - 2 * _MARGIN
        self._gap = 1 if room < _NARROW else 2
        shown = [True] * len(self.columns)

        def needed() -> int:
            widths = [column.width for column, on in zip(self.columns, shown, strict=True) if on]
            return sum(widths) + self._gap * max(0, len(widths) - 1)

        by_rank = sorted(range(len(self.columns)), key=lambda i: -self.columns[i].rank)
        for index in by_rank:
            if needed() <= room or not self.columns[index].rank:
                break
            shown[index] = False
        widths = [column.width if on else 0 for column, on in zip(self.columns, shown, strict=True)]
        spare = room - needed()
        growing = [i for i, column in enumerate(self.columns) if column.grows and shown[i]]
        for index in growing:
            most = max((cell_len(row.cells[index].text) for row in self.rows), default=0)
            more = max(0, min(spare, most - widths[index])) if index != growing[-1] else max(0, spare)
            widths[index] += more
            spare -= more
        changed, self._widths = widths != self._widths, widths
        return changed

    def render_line(self, y: int) -> Strip:
        self.lines_drawn += 1
        width = self.size.width
        if not self.rows:
            return self._empty_line(y, width)
        if y == 0:
            titles = [GridCell(column.title, "head bold") for column in self.columns]
            return self._line(titles, width, self._style("band"))
        index = y - 1 + self.scroll_offset.y
        if index >= len(self.rows):
            return Strip.blank(width, self._style("base"))
        key = (index, index == self._cursor, index == self._hover)
        strip = self._strips.get(key)
        if strip is None or strip.cell_length != width:
            _, cursor, hover = key
            role = "cursor" if cursor else "hover" if hover else "base"
            strip = self._strips[key] = self._line(self.rows[index].cells, width, self._style(role))
        return strip

    def _line(self, cells: Sequence[GridCell], width: int, base: Style) -> Strip:
        segments = [Segment(" " * _MARGIN, base)]
        length = _MARGIN
        for column, size, cell in zip(self.columns, self._widths, cells, strict=False):
            if not size:
                continue
            text = cell.text
            taken = cell_len(text)
            if taken > size and column.tail:
                text = text[-size:]
            elif taken > size:
                text = set_cell_size(text, max(0, size - 1)) + "…"
            elif taken < size:
                text = " " * (size - taken) + text if column.right else text + " " * (size - taken)
            segments.append(Segment(text, base + self._style(cell.role)))
            segments.append(Segment(" " * self._gap, base))
            length += size + self._gap
        return Strip(segments, length).adjust_cell_length(width, base)

    def _empty_line(self, y: int, width: int) -> Strip:
        lines = self.empty.split("\n")
        first = max(0, (self.size.height - len(lines)) // 2 - 1)
        if not first <= y < first + len(lines):
            return Strip.blank(width, self._style("base"))
        text = lines[y - first]
        left = max(0, (width - cell_len(text)) // 2)
        base = self._style("base")
        style = base + self._style("text bold" if y == first else "muted")
        shown = set_cell_size(text, min(cell_len(text), width))
        return Strip([Segment(" " * left, base), Segment(shown, style)]).adjust_cell_length(width, base)

    def _style(self, role: str) -> Style:
        style = self._styles.get(role)
        if style is None:
            style = self._styles[role] = palette(dark=self.app.current_theme.dark).rich_style(role)
        return style
