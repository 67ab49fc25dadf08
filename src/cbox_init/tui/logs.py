"""The page of the logs: the lines of one process, of several, or of all, as they come."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from cbox_init.client import MissedEvent, run_of
from cbox_init.errors import ApiError, ClientError
from cbox_init.tui.dialogs import PromptLine
from cbox_init.tui.log_view import KEPT, LogView
from cbox_init.tui.look import clean, joined
from cbox_init.tui.page import ScreenPage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from textual.widget import Widget

    from cbox_init.client import AsyncClient, LogRecord

_TAIL = 500
_AGAIN_S = 1.0
#: New lines are drawn this often; the reading of lines pauses after this long, so that keys are answered.
_PAINT_S = 0.1
_SLICE_S = 0.01


class LogsPage(ScreenPage):
    """The lines of the named processes, or of all; of one instance if it is given."""

    DEFAULT_CSS = """
    LogsPage #what { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow"),
        Binding("slash", "search", "Search"),
        Binding("n", "hit(1)", "Next", show=False),
        Binding("N", "hit(-1)", "Previous", show=False),
        Binding("v", "level", "Level"),
        Binding("w", "wrap", "Wrap"),
        Binding("c", "clear", "Clear"),
        Binding("escape", "back", "Back"),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("g,home", "top", show=False),
        Binding("G,end", "end", show=False),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, names: Sequence[str] = (), instance: str | None = None) -> None:
        super().__init__()
        self._names = tuple(names)
        self._instance = instance
        self._waiting: deque[LogRecord] = deque()
        self._left_out = 0
        self._problem = ""
        self.heading = clean(instance or ", ".join(names)) if names else ""

    def body(self) -> Iterable[Widget]:
        yield Static(id="what")
        yield LogView()
        yield PromptLine("/", "text to find; Enter goes on, n and N to the hits, Esc ends the search")

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def on_mount(self) -> None:
        self.view.focus()
        self.work(self._follow, "logs", again=True)
        self.set_interval(_PAINT_S, self._paint)

    # -- lines -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Read lines; after the connection was lost, go on behind the last one."""
        last: str | None = None
        tail: int | None = _TAIL
        while True:
            client = self.terminal.client
            try:
                if client is not None:
                    self._problem = ""
                    async for identity, record in self._records(client, tail, last):
                        last, tail = identity or last, None
                        self._hold(record)
            except ApiError as error:
                self._problem = clean(str(error))
                if last is not None and run_of(last):
                    last, tail = None, _TAIL  # the daemon no longer has that place
            except ClientError as error:
                self._problem = clean(str(error))
            await asyncio.sleep(_AGAIN_S)

    async def _records(
        self, client: AsyncClient, tail: int | None, last: str | None
    ) -> AsyncIterator[tuple[str | None, LogRecord]]:
        instances = [self._instance] if self._instance else None
        async with client.follow(*self._names, tail=tail, last_event_id=last, instance=instances) as records:
            began = time.monotonic()
            async for record in records:
                yield records.last_event_id, record
                if time.monotonic() - began > _SLICE_S:
                    await asyncio.sleep(0)
                    began = time.monotonic()

    def _hold(self, record: LogRecord) -> None:
        """Keep a line until it is drawn; more than can be shown are counted and left out."""
        if len(self._waiting) >= KEPT:
            self._waiting.popleft()
            self._left_out += 1
        self._waiting.append(record)

    def _paint(self) -> None:
        if not self._waiting or not self.is_attached:
            return
        records = list(self._waiting)
        self._waiting.clear()
        if self._left_out:
            records.insert(0, MissedEvent(self._left_out))
            self._left_out = 0
        self.view.take(records)
        self._show_what()

    # -- keys --------------------------------------------------------------------------------------------

    def live(self) -> None:
        self._show_what()

    def on_log_view_changed(self) -> None:
        self._show_what()

    def _show_what(self) -> None:
        view, colours = self.view, self.palette
        text = Text(no_wrap=True, overflow="ellipsis")
        if view.following:
            text.append("▼ following", colours.style("good"))
        else:
            text.append("‖ paused, f follows", colours.style("care"))
        shown, kept = view.counted
        level = "all levels" if view.least_level == "debug" else f"{view.least_level} and above"
        parts = [
            f"{shown} of {kept} lines" if shown != kept else f"{kept} lines",
            level,
            "wrapped" if view.wrapped else "",
        ]
        text.append(f"  {joined(parts)}", colours.style("head"))
        if view.searched:
            at, count = view.hits
            text.append(f"  /{clean(view.searched)}: ", colours.style("key"))
            text.append(
                f"{at} of {count}" if count else "not found", colours.style("key" if count else "care")
            )
        if self._problem:
            text.append(f"  {self._problem}", colours.style("bad"))
        self.query_one("#what", Static).update(text)
        view.set_empty(self._problem or ("No line has this level." if kept else "No lines yet."))

    def action_follow(self) -> None:
        self.view.follow(not self.view.following)

    def action_wrap(self) -> None:
        self.view.wrap(not self.view.wrapped)

    def action_level(self) -> None:
        self.view.next_level()

    def action_clear(self) -> None:
        self.view.clear()
        self._show_what()

    def action_scroll(self, by: int) -> None:
        self.view.scroll_relative(y=by, animate=False)

    def action_top(self) -> None:
        self.view.follow(False)
        self.view.scroll_home(animate=False)

    def action_end(self) -> None:
        self.view.follow(True)

    def action_hit(self, by: int) -> None:
        self.view.go_to_hit(by)

    def action_search(self) -> None:
        self.query_one(PromptLine).open()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.view.search(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value:
            self.query_one(PromptLine).close()
        self.view.focus()

    def action_back(self) -> None:
        prompt = self.query_one(PromptLine)
        if prompt.is_open:
            prompt.close()
            self.view.focus()
        else:
            super().action_back()
