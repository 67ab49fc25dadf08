"""The terminal screen as a whole: its pages, the connection, and what a command asks before it is sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from cbox_init.tui.changes import ChangesPage
from cbox_init.tui.commands import GivenCommands
from cbox_init.tui.daemon import DaemonPage
from cbox_init.tui.details import DetailsPage
from cbox_init.tui.dialogs import ConfirmDialog, TextDialog, help_text
from cbox_init.tui.edit import EditPage, reload_file, save_file
from cbox_init.tui.events import EventsPage
from cbox_init.tui.link import Link
from cbox_init.tui.logs import LogsPage
from cbox_init.tui.look import DARK, LIGHT, clean
from cbox_init.tui.page import TABS, ScreenPage, TerminalHost, begin
from cbox_init.tui.processes import ProcessesPage, confirmation
from cbox_init.tui.schedules import SchedulesPage
from cbox_init.tui.state import ScreenState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.text import Text
    from textual.screen import Screen

    from cbox_init.client import AsyncClient, ProcessEntry
    from cbox_init.tui.commands import Outcome, Send

#: Durations and the time until a restart are drawn again this often, in seconds.
_TICK_S = 1.0


class TerminalApp(TerminalHost):
    """``connect`` makes a client for the daemon, whenever a connection is begun."""

    TITLE = "cbox-init"
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    Toast { max-width: 80; }
    CommandPalette > Vertical { width: 80%; }
    """
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "processes": ProcessesPage,
        "logs": LogsPage,
        "schedules": SchedulesPage,
        "events": EventsPage,
        "changes": ChangesPage,
        "daemon": DaemonPage,
    }
    DEFAULT_MODE = "processes"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(tab.key, f"go({tab.mode!r})", tab.title, show=False) for tab in TABS),
        Binding("question_mark", "help", "Help", show=False),
        Binding("q", "quit", "Quit", show=False),
        Binding("t", "theme", "Theme", show=False),
        Binding("ctrl+p", "command_palette", "Commands", show=False, priority=True),
        Binding("colon", "command_palette", "Commands", show=False),
        Binding("R", "reload", "Reload", show=False),
        Binding("W", "save", "Save", show=False),
    ]

    def __init__(
        self,
        connect: Callable[[], AsyncClient],
        *,
        where: str = "",
        clock: Callable[[], float] = time.time,
        tick_s: float = _TICK_S,
    ) -> None:
        super().__init__()
        self.where = where
        self.state = ScreenState(clock)
        self.link = Link(connect, self.state, self._state_changed)
        self.commands = GivenCommands(lambda: self.link.client, self._changes_changed, self._say)
        self._tick_s = tick_s
        self._caller = self.state.caller

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        begin(self, self.link.run, "link", again=True)
        if self._tick_s:
            self.set_interval(self._tick_s, self._tick)

    @property
    def client(self) -> AsyncClient | None:
        return self.link.client

    # -- what has changed --------------------------------------------------------------------------------

    def _state_changed(self) -> None:
        if self.link.client is not None and not self.where:
            self.where = self.link.client.address
        page = self._page()
        if page is None:
            return
        page.show_live()
        if self.state.caller != self._caller:
            self._caller = self.state.caller
            page.refresh_bindings()

    def _changes_changed(self) -> None:
        if (page := self._page()) is not None:
            page.show_changes()

    def _tick(self) -> None:
        self._state_changed()
        self._changes_changed()

    def _page(self) -> ScreenPage | None:
        """The page that is seen, also below a dialog."""
        if not self.is_running:
            return None
        found = next(
            (screen for screen in reversed(self.screen_stack) if isinstance(screen, ScreenPage)), None
        )
        return found if found is not None and found.is_mounted else None

    def _say(self, outcome: Outcome) -> None:
        if outcome.failed:
            self.notify(outcome.text, title="Not done", severity="error", timeout=12, markup=False)
        else:
            self.notify(outcome.text, timeout=4, markup=False)

    # -- pages -------------------------------------------------------------------------------------------

    def action_go(self, mode: str) -> None:
        if isinstance(self.screen, ScreenPage):
            self.switch_mode(mode)

    def open_logs(self, names: Sequence[str], instance: str | None = None) -> None:
        self.push_screen(LogsPage(names, instance))

    def open_details(self, name: str) -> None:
        self.push_screen(DetailsPage(name))

    def action_help(self) -> None:
        if not isinstance(self.screen, TextDialog):
            self.push_screen(TextDialog("Keys", help_text(dark=self.current_theme.dark)))

    def action_theme(self) -> None:
        """Dark, or light."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    # -- commands ----------------------------------------------------------------------------------------

    def command(self, what: str, entry: ProcessEntry, instance: str | None = None) -> None:
        if not self.state.caller.may_act:
            return
        if what in ("more", "less"):
            instance = None
        send = _request(what, entry.name, instance)
        if what in ("start", "more", "trigger", "pause", "resume"):
            self.give(send)
            return
        button = {"less": "Scale"}.get(what, what.capitalize())
        title = f"{button} {clean(instance or entry.name)}"
        dangerous = what in ("stop", "less")
        self.ask(title, confirmation(what, entry, instance), button, send, dangerous=dangerous)

    def ask(self, title: str, text: str | Text, button: str, send: Send, *, dangerous: bool = False) -> None:

        def answered(yes: bool | None) -> None:
            if yes:
                self.give(send)

        self.push_screen(ConfirmDialog(title, text, button, dangerous=dangerous), answered)

    def give(self, send: Send) -> None:
        begin(self, lambda: self.commands.carry_out(send), "commands")

    def configure(self, what: str, name: str | None) -> None:
        if not self.state.caller.may_configure:
            return
        if what == "add":
            self.push_screen(EditPage())
        elif name is not None and what == "edit":
            self.push_screen(EditPage(name))
        elif name is not None:
            text = f"{clean(name)} will be stopped and removed.\nThe file keeps it until W saves."
            self.ask(
                f"Remove {clean(name)}",
                text,
                "Remove",
                lambda client: client.remove_process(name),
                dangerous=True,
            )

    def action_reload(self) -> None:
        if self.state.caller.may_configure:
            begin(self, lambda: reload_file(self), "reload", exclusive=True)

    def action_save(self) -> None:
        if self.state.caller.may_configure:
            begin(self, lambda: save_file(self), "save", exclusive=True)

    # -- the command palette -------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """All that can be done, for the command palette."""
        for tab in TABS:
            yield SystemCommand(
                tab.title, f"Go to the page ({tab.key})", lambda tab=tab: self.action_go(tab.mode)
            )
        yield SystemCommand("Dark or light", "Change the colours (t)", self.action_theme)
        yield SystemCommand("Help", "Show all keys (?)", self.action_help)
        yield SystemCommand("Quit", "Leave; the daemon goes on (q)", self.exit)
        caller = self.state.caller
        if caller.may_configure:
            yield SystemCommand("Add process", "By a form (a)", lambda: self.configure("add", None))
            yield SystemCommand(
                "Reload configuration", "Read the file again, after its diff (R)", self.action_reload
            )
            yield SystemCommand("Save configuration", "Write changes to the file (W)", self.action_save)
        for name, entry in self.state.processes.items():
            shown = clean(name).replace("[", r"\[")  # the palette takes it for markup
            yield SystemCommand(f"Logs {shown}", "Its lines as they come", lambda n=name: self.open_logs([n]))
            yield SystemCommand(f"Details {shown}", "All about it", lambda n=name: self.open_details(n))
            scheduled = entry.type == "scheduled"
            words = ("trigger", "pause", "resume") if scheduled else ("restart", "stop", "start")
            for word in words if caller.may_act else ():
                yield SystemCommand(
                    f"{word.capitalize()} {shown}",
                    f"It is {entry.state} now",
                    lambda w=word, e=entry: self.command(w, e),
                )
            if caller.may_configure:
                yield SystemCommand(
                    f"Edit {shown}", "By a form (e)", lambda n=name: self.configure("edit", n)
                )


def _request(what: str, name: str, instance: str | None) -> Send:
    """How a command is sent."""
    if instance is not None and what in ("restart", "stop", "start"):
        if what == "stop":
            return lambda client: client.stop_instance(instance)
        return lambda client: client.restart_instance(instance)
    requests: dict[str, Send] = {
        "start": lambda client: client.start(name),
        "stop": lambda client: client.stop(name),
        "restart": lambda client: client.restart(name),
        "more": lambda client: client.scale_by(name, 1, settles=False),
        "less": lambda client: client.scale_by(name, -1, settles=False),
        "trigger": lambda client: client.trigger(name),
        "pause": lambda client: client.pause(name),
        "resume": lambda client: client.resume(name),
    }
    return requests[what]
