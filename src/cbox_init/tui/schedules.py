"""The page of the schedules, with the runs of the one that the cursor is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Static

from cbox_init.errors import ClientError
from cbox_init.tui.grid import Grid
from cbox_init.tui.look import clean
from cbox_init.tui.page import ScreenPage
from cbox_init.tui.rows import RUN_COLUMNS, SCHEDULE_COLUMNS, run_row, schedule_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from cbox_init.client import ProcessEntry

_RUNS = 200


class SchedulesPage(ScreenPage):
    """Every schedule, when it runs next, and how its last runs ended."""

    DEFAULT_CSS = """
    SchedulesPage #schedules { height: 2fr; }
    SchedulesPage #runs-title { height: 1; background: $panel; padding: 0 1; text-style: bold; }
    SchedulesPage #runs { height: 3fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "logs", "Logs"),
        Binding("d,i", "details", "Details", key_display="d"),
        Binding("x", "command('trigger')", "Run now"),
        Binding("p", "command('pause')", "Pause/resume"),
        Binding("tab", "app.focus_next", "Runs"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[object, ...] = ()

    def body(self) -> Iterable[Widget]:
        yield Grid(
            SCHEDULE_COLUMNS,
            'No schedules.\nGive a process a schedule such as: schedule: "*/5 * * * *"',
            id="schedules",
        )
        yield Static("Runs", id="runs-title", markup=False)
        yield Grid(RUN_COLUMNS, "No run has finished yet.\nPress x to run it now.", id="runs")

    @property
    def chosen(self) -> ProcessEntry | None:
        return self.terminal.state.processes.get(self.query_one("#schedules", Grid).key or "")

    def live(self) -> None:
        state = self.terminal.state
        now = state.now()
        rows = [schedule_row(one, now) for one in state.processes.values() if one.type == "scheduled"]
        self.query_one("#schedules", Grid).show(rows)
        self._show_runs()

    def on_grid_moved(self) -> None:
        self._show_runs()

    def on_grid_chosen(self) -> None:
        self.action_logs()

    def action_logs(self) -> None:
        if self.chosen:
            self.terminal.open_logs([self.chosen.name])

    def action_details(self) -> None:
        if self.chosen:
            self.terminal.open_details(self.chosen.name)

    def action_command(self, what: str) -> None:
        if entry := self.chosen:
            paused = entry.schedule_state == "paused"
            self.terminal.command("resume" if what == "pause" and paused else what, entry)

    def _show_runs(self) -> None:
        """Ask for the runs again when another schedule is chosen, or when one has ended."""
        entry = self.chosen
        if entry is None:
            self._asked = ()
            self.query_one("#runs", Grid).show([])
            return
        version = (entry.name, entry.last_run, entry.run_count, len(entry.instances))
        if version != self._asked and self.terminal.client is not None:
            self._asked = version
            self.work(lambda: self._load(entry.name), "runs", exclusive=True)

    async def _load(self, name: str) -> None:
        client = self.terminal.client
        grid = self.query_one("#runs", Grid)
        try:
            assert client is not None
            found = await client.schedule_history(name, limit=_RUNS)
        except ClientError as error:
            self._asked = ()
            grid.set_empty(f"The runs of {clean(name)} cannot be shown.\n{clean(str(error))}")
            grid.show([])
            return
        self.query_one("#runs-title", Static).update(f"Runs of {clean(name)}")
        grid.set_empty("No run has finished yet.\nPress x to run it now.")
        grid.show([run_row(run) for run in found.history])
