"""What all pages have: the bar at the top, the progress of commands above the keys, and the live state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from cbox_init.tui.look import clean, gauge, joined, memory, palette, percent, plural, state_look
from cbox_init.tui.rows import change_subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.worker import Worker

    from cbox_init.client import AsyncClient, ChangeEntry, ProcessEntry
    from cbox_init.tui.commands import GivenCommands, Send
    from cbox_init.tui.look import Palette
    from cbox_init.tui.state import ScreenState


class PageTab(NamedTuple):
    """One of the pages: its mode, its key and its title."""

    mode: str
    key: str
    title: str


TABS = (
    PageTab("processes", "1", "Processes"),
    PageTab("logs", "2", "Logs"),
    PageTab("schedules", "3", "Schedules"),
    PageTab("events", "4", "Events"),
    PageTab("changes", "5", "Changes"),
    PageTab("daemon", "6", "Daemon"),
)


#: The time until work that has failed is begun again, in seconds.
_AGAIN_S = 1.0


class TerminalHost(App[None]):
    """What a page needs of the app that it is in."""

    state: ScreenState
    commands: GivenCommands
    #: The address of the daemon, when it is known.
    where = ""

    @property
    def client(self) -> AsyncClient | None:
        """The connection to the daemon, while there is one."""
        raise NotImplementedError

    def action_go(self, mode: str) -> None:
        """Show the page of a tab."""
        raise NotImplementedError

    def open_logs(self, names: Sequence[str], instance: str | None = None) -> None:
        """Show the lines of these processes, or of one instance."""
        raise NotImplementedError

    def open_details(self, name: str) -> None:
        """Show all about a process."""
        raise NotImplementedError

    def command(self, what: str, entry: ProcessEntry, instance: str | None = None) -> None:
        """Give a command to a process or to one of its instances; what interrupts it is asked first."""
        raise NotImplementedError

    def configure(self, what: str, name: str | None) -> None:
        """Add a process, or edit or remove this one."""
        raise NotImplementedError

    def ask(self, title: str, text: str | Text, button: str, send: Send, *, dangerous: bool = False) -> None:
        """Give a command when the answer is yes."""
        raise NotImplementedError

    def give(self, send: Send) -> None:
        """Give a command; its progress is shown above the keys."""
        raise NotImplementedError


Work = Callable[[], Awaitable[object]]


def begin(
    owner: App[None] | Screen[None], work: Work, group: str, *, again: bool = False, exclusive: bool = False
) -> None:
    """Do some work beside everything else, for as long as ``owner`` is there.

    An error that nobody thought of is shown, and does not end the screen. With ``again`` the work is begun
    again after that, and when it has ended.
    """

    async def contained() -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001
                words = clean(f"{type(error).__name__}: {error}")
                owner.notify(words, title="A defect of this screen", severity="error", markup=False)
            if not again:
                return
            await asyncio.sleep(_AGAIN_S)

    _: Worker[None] = owner.run_worker(contained, group=group, exclusive=exclusive, exit_on_error=False)


class ScreenPage(Screen[None]):
    """A whole page. ``live`` is called whenever the state of the daemon may have changed."""

    DEFAULT_CSS = """
    ScreenPage { background: $background; color: $foreground; layout: vertical; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012  # as the base class has it
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", show=False)]

    #: What is said in the line of the tabs, for a page on top of another.
    heading = ""

    @property
    def terminal(self) -> TerminalHost:
        return _terminal(self)

    @property
    def palette(self) -> Palette:
        return palette(dark=self.app.current_theme.dark)

    def compose(self) -> ComposeResult:
        yield TopBar()
        yield from self.body()
        yield ChangeStrip()
        yield KeyBar()

    def work(self, work: Work, group: str, *, again: bool = False, exclusive: bool = False) -> None:
        """Do some work beside everything else, for as long as this page is there."""
        begin(self, work, group, again=again, exclusive=exclusive)

    def body(self) -> Iterable[Widget]:
        """What is between the bars."""
        return ()

    def live(self) -> None:
        """Show what is known now."""

    def show_live(self) -> None:
        """Show what is known now, with the bars."""
        self.query_one(TopBar).refresh()
        self.live()

    def show_changes(self) -> None:
        """Show the progress of the commands that were given here."""
        self.query_one(ChangeStrip).show(self.terminal.commands.shown())

    def on_mount(self) -> None:
        self.show_live()

    def on_screen_resume(self) -> None:
        if self.is_mounted:
            self.show_live()
            self.show_changes()

    def action_back(self) -> None:
        """Go back to the page below; on the first one, drop what is filtered or dismissed."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()
        else:
            self.terminal.commands.dismiss()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the commands that the caller may not give."""
        if action == "command":
            return self.terminal.state.caller.may_act
        if action == "configure":
            return self.terminal.state.caller.may_configure
        return True


class TopBar(Widget):
    """Two lines: the pages, then the counts of processes and the state of the connection."""

    DEFAULT_CSS = """
    TopBar { dock: top; height: 2; background: $surface; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, str]] = []

    def render(self) -> Text:
        page, app = self.screen, _terminal(self)
        colours = palette(dark=app.current_theme.dark)
        heading = page.heading if isinstance(page, ScreenPage) else ""
        first = self._first_line(app, colours, heading, titles=True)
        if first.cell_len > self.size.width:
            first = self._first_line(app, colours, heading, titles=False)
        return Text("\n").join([first, self._second_line(app, colours)])

    def _first_line(self, app: TerminalHost, colours: Palette, heading: str, *, titles: bool) -> Text:
        """The pages, with their titles where there is room, and what is open on top of one."""
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(" ▌", colours.style("key"))
        line.append("cbox-init", "bold")
        line.append("  ")
        self._places = []
        for tab in TABS:
            here = tab.mode == app.current_mode
            start = line.cell_len
            line.append(f" {tab.key} ", colours.style("key bold" if here else "muted"))
            if titles or here:
                role = "text bold underline" if here and not heading else "text bold" if here else "head"
                line.append(tab.title, colours.style(role))
            self._places.append((start, line.cell_len, tab.mode))
        if heading:
            line.append(f" / {heading}", colours.style("key bold"))
        return line

    def _second_line(self, app: TerminalHost, colours: Palette) -> Text:
        state, counted = app.state, app.state.counted()
        left = Text("  ", no_wrap=True)
        numbers = (
            ("running", counted.running, "running"),
            ("starting", counted.busy, "changing"),
            ("failed", counted.failed, "failed"),
            ("stopped", counted.stopped, "stopped"),
        )
        for look, count, word in numbers:
            if count or look == "running":
                sign, role = state_look(look)
                left.append(f"{sign} {count} {word}   ", colours.style(role))
        entries = state.processes.values()
        cpu, resident = sum(one.cpu_percent for one in entries), sum(one.memory_rss_bytes for one in entries)
        figures = f"CPU {percent(cpu)}  MEM {memory(resident)}"
        right = Text(no_wrap=True)
        if state.connection == "live":
            right.append("● ", colours.style("good"))
            for words in (joined((app.where, app.state.caller.role)), app.state.caller.role, ""):
                if left.cell_len + len(figures) + cell_len(words) + 6 <= self.size.width:
                    right.append(words, colours.style("head"))
                    break
        elif state.connection == "connecting":
            right.append("◌ connecting", colours.style("care"))
        else:
            right.append("✖ not connected, trying again", colours.style("bad bold"))
            room = self.size.width - left.cell_len - right.cell_len - 6
            if state.problem and room > 10:
                right.append(f": {set_cell_size(clean(state.problem), min(room, cell_len(state.problem)))}")
        if left.cell_len + len(figures) + right.cell_len + 2 <= self.size.width:
            left.append(figures, colours.style("head"))
        gap = max(1, self.size.width - left.cell_len - right.cell_len - 2)
        return left + Text(" " * gap) + right

    def on_click(self, event: events.Click) -> None:
        for start, end, mode in self._places:
            if event.y == 0 and start <= event.x < end:
                _terminal(self).action_go(mode)


class KeyBar(Widget):
    """The keys that work here, in one line. A click on one is as good as the key."""

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $surface; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda screen: self.refresh())

    def render(self) -> Text:
        colours = palette(dark=self.app.current_theme.dark)
        seen: set[str] = set()
        keys: list[tuple[str, str, str]] = []
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in seen:
                seen.add(binding.action)
                keys.append((self.app.get_key_display(binding), binding.description, binding.key))
        keys.sort(key=lambda key: key[0] in ("?", "q"))  # the two that are the same everywhere
        while len(keys) > 1 and sum(cell_len(f" {key[0]} {key[1]} ") for key in keys) > self.size.width:
            keys.pop(-3 if len(keys) > 3 else -1)
        line, self._places = Text(no_wrap=True), []
        for shown, words, key in keys:
            start = line.cell_len
            line.append(f" {shown} ", colours.style("key bold"))
            line.append(f"{words} ", colours.style("head"))
            self._places.append((start, line.cell_len, key))
        return line

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._places:
            if start <= event.x < end:
                self.app.simulate_key(key)


class ChangeStrip(Widget):
    """The progress of the commands that were given here, a line each."""

    DEFAULT_CSS = """
    ChangeStrip {
        dock: bottom; height: auto; max-height: 4; margin-bottom: 1; display: none;
        background: $panel; color: $foreground;
    }
    ChangeStrip.-some { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = Text()

    def show(self, changes: Iterable[ChangeEntry]) -> None:
        """Show these, the latest last."""
        colours = palette(dark=self.app.current_theme.dark)
        text = Text("\n").join([change_line(entry, colours) for entry in changes])
        self.set_class(bool(text), "-some")
        if text != self._text:
            self._text = text
            self.refresh(layout=True)

    def render(self) -> Text:
        return self._text

    def on_click(self) -> None:
        _terminal(self).action_go("changes")


def change_line(entry: ChangeEntry, colours: Palette) -> Text:
    """One change in a line: what, how far, and why it has failed."""
    sign, role = state_look(entry.status)
    line = Text(" ", no_wrap=True, overflow="ellipsis")
    line.append(f"{sign} ", colours.style(role))
    line.append(f"{clean(entry.kind)} {change_subject(entry)}", "bold")
    done, total = entry.progress.done, entry.progress.total
    if total:
        line.append(f"  {gauge(done, total)} {done}/{total}", colours.style(role))
    if entry.status == "doing":
        busy = [step.id for step in entry.instances if step.status == "doing"]
        words = clean(entry.reason) if isinstance(entry.reason, str) else ", ".join(map(clean, busy[:3]))
        line.append(f"  {words}", colours.style("muted"))
        return line
    line.append("  done" if entry.status == "done" else f"  {entry.status}", colours.style(role))
    if isinstance(entry.reason, str) and entry.status != "done":
        line.append(f": {clean(entry.reason)}", colours.style("text"))
    failed = next(
        (s for s in entry.instances if s.status == "failed" and isinstance(s.last_output, tuple)), None
    )
    if failed is not None and isinstance(failed.last_output, tuple) and failed.last_output:
        line.append(f"  {failed.id}: {clean(failed.last_output[-1])}", colours.style("muted"))
    more = len(entry.instances) - 1
    if entry.status == "failed" and more > 0:
        line.append(f"  {plural(len(entry.instances), 'instance')}", colours.style("muted"))
    return line


def _terminal(widget: Widget) -> TerminalHost:
    app = widget.app
    assert isinstance(app, TerminalHost)
    return app
