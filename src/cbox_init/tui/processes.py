"""The first page: all processes with what they do now, and the commands for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from cbox_init.tui.dialogs import PromptLine
from cbox_init.tui.grid import Grid
from cbox_init.tui.look import clean, plural
from cbox_init.tui.page import ScreenPage
from cbox_init.tui.rows import INSTANCE_MARK, PROCESS_COLUMNS, instance_why, process_rows, restarts_of, why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.widget import Widget

    from cbox_init.client import ProcessEntry
    from cbox_init.tui.state import ScreenState

_STATE_ORDER = {"failed": 0, "starting": 1, "stopping": 2, "running": 3}

ORDERS: tuple[tuple[str, Callable[[ProcessEntry], object] | None], ...] = (
    ("the order of the file", None),
    ("state, failed first", lambda entry: (_STATE_ORDER.get(entry.state, 9), entry.name)),
    ("name", lambda entry: entry.name),
    ("CPU", lambda entry: (-entry.cpu_percent, entry.name)),
    ("memory", lambda entry: (-entry.memory_rss_bytes, entry.name)),
    ("restarts", lambda entry: (-restarts_of(entry), entry.name)),
)


class ProcessesPage(ScreenPage):
    """All processes. Each can be unfolded into its instances."""

    DEFAULT_CSS = """
    ProcessesPage #why { height: auto; max-height: 2; padding: 0 1; background: $surface; display: none; }
    ProcessesPage #why.-some { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "logs", "Logs"),
        Binding("d,i", "details", "Details", key_display="d"),
        Binding("r", "command('restart')", "Restart"),
        Binding("s", "command('stop')", "Stop"),
        Binding("x", "command('start')", "Start"),
        Binding("plus,equals_sign", "command('more')", "Scale", key_display="+ -"),
        Binding("minus", "command('less')", "Scale down", show=False),
        Binding("a", "configure('add')", "Add"),
        Binding("e", "configure('edit')", "Edit", show=False),
        Binding("D", "configure('remove')", "Remove", show=False),
        Binding("slash", "filter", "Filter"),
        Binding("o", "order", "Order", show=False),
        Binding("right,l", "fold(False)", "Instances", show=False),
        Binding("left,h", "fold(True)", "Fold", show=False),
        Binding("space", "mark", "Mark", show=False),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._expanded: set[str] = set()
        self._marked: set[str] = set()
        self._order = 0
        self._why = Text()

    def body(self) -> Iterable[Widget]:
        yield Grid(PROCESS_COLUMNS, id="processes")
        yield Static(id="why")
        yield PromptLine("/", "part of a name; Enter keeps the filter, Esc drops it")

    @property
    def grid(self) -> Grid:
        return self.query_one("#processes", Grid)

    def live(self) -> None:
        state = self.terminal.state
        entries = list(state.processes.values())
        wanted = self.query_one(PromptLine).value.casefold()
        shown = [entry for entry in entries if wanted in entry.name.casefold()]
        order = ORDERS[self._order][1]
        if order is not None:
            shown.sort(key=order)  # type: ignore[arg-type]
        rows = process_rows(shown, state, state.now(), self._expanded, self._marked)
        self.grid.set_empty(_nothing(state, wanted, bool(entries), self.terminal.where))
        self.grid.show(rows)
        self._show_why()

    def on_grid_moved(self) -> None:
        self._show_why()

    def _show_why(self) -> None:
        """Say in full why the process or instance of the cursor is not as it should be."""
        chosen, now = self.chosen(), self.terminal.state.now()
        text = Text()
        if chosen is not None:
            entry, instance = chosen
            one = next((one for one in entry.instances if one.id == instance), None)
            words, role = why(entry, now) if one is None else instance_why(one, now)
            if words and entry.type != "scheduled":
                text.append(f"{clean(instance or entry.name)}: ", "bold")
                text.append(words, self.palette.style(role))
        line = self.query_one("#why", Static)
        if text != self._why:
            self._why = text
            line.update(text)
            line.set_class(bool(text), "-some")

    # -- which one ---------------------------------------------------------------------------------------

    def chosen(self) -> tuple[ProcessEntry, str | None] | None:
        """The process that the cursor is on, and the id of the instance if it is on one."""
        name, _, instance = (self.grid.key or "").partition(INSTANCE_MARK)
        entry = self.terminal.state.processes.get(name)
        return None if entry is None else (entry, instance or None)

    def action_fold(self, closed: bool) -> None:
        chosen = self.chosen()
        if chosen is None:
            return
        name = chosen[0].name
        if closed:
            self._expanded.discard(name)
            self.live()
            self.grid.go_to(name)
        else:
            self._expanded.add(name)
            self.live()

    def action_mark(self) -> None:
        if chosen := self.chosen():
            self._marked ^= {chosen[0].name}
            self.grid.action_move(1)
            self.live()

    def action_order(self) -> None:
        self._order = (self._order + 1) % len(ORDERS)
        self.live()
        self.notify(f"Sorted by {ORDERS[self._order][0]}.", timeout=2)

    def action_filter(self) -> None:
        self.query_one(PromptLine).open()

    def on_input_changed(self) -> None:
        self.live()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        prompt = self.query_one(PromptLine)
        if not event.value:
            prompt.close()
        self.grid.focus()

    def action_back(self) -> None:
        prompt = self.query_one(PromptLine)
        if prompt.is_open:
            prompt.close()
            self.grid.focus()
        elif self._marked:
            self._marked.clear()
        else:
            super().action_back()
        self.live()

    # -- what is done --------------------------------------------------------------------------------------

    def on_grid_chosen(self) -> None:
        self.action_logs()

    def action_logs(self) -> None:
        chosen = self.chosen()
        if self._marked:
            self.terminal.open_logs(sorted(self._marked))
        elif chosen is not None:
            self.terminal.open_logs([chosen[0].name], chosen[1])

    def action_details(self) -> None:
        if chosen := self.chosen():
            self.terminal.open_details(chosen[0].name)

    def action_command(self, what: str) -> None:
        if chosen := self.chosen():
            self.terminal.command(what, *chosen)

    def action_configure(self, what: str) -> None:
        chosen = self.chosen()
        self.terminal.configure(what, chosen[0].name if chosen else None)


def _nothing(state: ScreenState, wanted: str, some: bool, where: str) -> str:
    """What is said in place of the table."""
    if some:
        return f"No process has {clean(wanted)!r} in its name.\nEsc drops the filter."
    if state.connection == "connecting":
        return "Connecting …"
    if state.connection == "lost":
        return (
            f"No daemon answers{f' at {where}' if where else ''}.\n{clean(state.problem)}\n\n"
            "It is tried again until it answers. Start one with: cbox-init serve -c FILE"
        )
    if state.caller.may_configure:
        return "No processes yet.\nPress a to add the first one."
    return "No processes.\nThe configuration has none, or this token may see none."


def confirmation(what: str, entry: ProcessEntry, instance: str | None) -> Text:
    """What a command is about to do, in one or two lines."""
    text = Text()
    if instance is not None:
        text.append(f"{what.capitalize()} instance ")
        text.append(clean(instance), "bold")
        text.append("?")
        if what == "stop":
            text.append("\nIt stays down until it, or its process, is started.")
        return text
    count = len(entry.instances)
    text.append("Scale " if what == "less" else f"{what.capitalize()} ")
    text.append(clean(entry.name), "bold")
    text.append(f" down to {max(0, entry.desired_scale - 1)}?" if what == "less" else "?")
    consequence = {
        "restart": f"{plural(count, 'instance')} will be replaced.",
        "stop": f"{plural(count, 'instance')} will be stopped.",
        "less": "One instance will be stopped.",
    }.get(what)
    if consequence:
        text.append(f"\n{consequence}")
    return text
