"""The page of the events: what has happened, newest first, as it happens."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from cbox_init.client import EventEntry
from cbox_init.errors import ClientError
from cbox_init.tui.dialogs import PromptLine, TextDialog
from cbox_init.tui.grid import Grid
from cbox_init.tui.look import clean, local_time
from cbox_init.tui.page import ScreenPage
from cbox_init.tui.rows import EVENT_COLUMNS, event_role, event_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from cbox_init.tui.look import Palette

_KEPT = 1000
_TAIL = 300
_AGAIN_S = 1.0
_PAINT_S = 0.1


class EventsPage(ScreenPage):
    """Events of all processes and of the daemon."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Whole event"),
        Binding("slash", "filter", "Filter"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._events: deque[EventEntry] = deque(maxlen=_KEPT)
        self._fresh = False

    def body(self) -> Iterable[Widget]:
        yield Grid(EVENT_COLUMNS, "Nothing has happened yet.", id="events")
        yield PromptLine("/", "text of an event; Enter keeps the filter, Esc drops it")

    def on_mount(self) -> None:
        self.work(self._follow, "events", again=True)
        self.set_interval(_PAINT_S, self._paint)

    async def _follow(self) -> None:
        last: str | None = None
        while True:
            client = self.terminal.client
            try:
                if client is not None:
                    tail = _TAIL if last is None else None
                    async with client.events(tail=tail, last_event_id=last) as events:
                        async for event in events:
                            last = events.last_event_id
                            if isinstance(event, EventEntry):
                                self._events.appendleft(event)
                                self._fresh = True
                            if not events.pending:
                                await asyncio.sleep(0)
            except ClientError:
                pass  # the bar at the top says that the connection is lost
            await asyncio.sleep(_AGAIN_S)

    def _paint(self) -> None:
        if self._fresh and self.is_current:
            self.live()

    def live(self) -> None:
        self._fresh = False
        wanted = self.query_one(PromptLine).value.casefold()
        grid = self.query_one(Grid)
        at_top = grid.at_first
        rows = [event_row(event) for event in self._events]
        if wanted:
            rows = [row for row in rows if any(wanted in cell.text.casefold() for cell in row.cells)]
        grid.set_empty(
            "No event has this text.\nEsc drops the filter." if wanted else "Nothing has happened yet."
        )
        grid.show(rows)
        if at_top:
            grid.action_move(-len(rows))

    def action_filter(self) -> None:
        self.query_one(PromptLine).open()

    def on_input_changed(self) -> None:
        self.live()

    def on_input_submitted(self) -> None:
        self.query_one(Grid).focus()

    def action_back(self) -> None:
        prompt = self.query_one(PromptLine)
        if prompt.is_open:
            prompt.close()
            self.query_one(Grid).focus()
            self.live()
        else:
            super().action_back()

    def on_grid_chosen(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        key = self.query_one(Grid).key
        event = next((one for one in self._events if str(one.number) == key), None)
        if event is not None:
            self.app.push_screen(TextDialog(clean(event.kind), event_text(event, self.palette)))


def event_text(event: EventEntry, colours: Palette) -> Text:
    """All that is known of an event, a line each, and the last output of an instance."""
    text = Text()
    facts = {
        "Time": local_time(event.timestamp, fraction=True),
        "Process": event.process if isinstance(event.process, str) else "",
        "Instance": event.instance if isinstance(event.instance, str) else "",
        "Why": event.reason if isinstance(event.reason, str) else "",
        "Change": event.change if isinstance(event.change, str) else "",
    }
    data = event.data if isinstance(event.data, dict) else {}
    facts |= {str(key): str(value) for key, value in data.items() if key != "last_output"}
    for label, value in facts.items():
        if value:
            text.append(f"{clean(label):<16} ", colours.style("head"))
            text.append(
                f"{clean(value)}\n",
                (event_role(event) == "bad" and label == "Why" and colours.style("bad")) or "",
            )
    if data.get("last_output"):
        text.append("\nLast output\n", colours.style("head bold"))
        text.append("\n".join(clean(line) for line in str(data["last_output"]).splitlines()))
    return text
