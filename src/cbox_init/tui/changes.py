"""The page of the changes: the last commands, from wherever they came, and what has become of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from cbox_init.errors import ClientError
from cbox_init.tui.commands import in_words
from cbox_init.tui.dialogs import TextDialog
from cbox_init.tui.grid import Grid
from cbox_init.tui.look import clean, gauge, local_time, state_look
from cbox_init.tui.page import ScreenPage
from cbox_init.tui.rows import CHANGE_COLUMNS, change_row, change_subject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from cbox_init.client import ChangeEntry
    from cbox_init.tui.look import Palette

_MOST = 200
_AGAIN_S = 1.0


class ChangesPage(ScreenPage):
    """GivenCommands and their progress, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Instances"),
        Binding("A", "command('abandon')", "Abandon rollout"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._changes: dict[str, ChangeEntry] = {}

    def body(self) -> Iterable[Widget]:
        yield Grid(CHANGE_COLUMNS, "No command has been given yet.", id="changes")

    def on_mount(self) -> None:
        self.work(self._follow, "changes", again=True)

    async def _follow(self) -> None:
        """Ask for the list while this page is seen."""
        while True:
            client = self.terminal.client
            if client is not None and self.app.current_mode == "changes":
                try:
                    found = await client.changes(limit=_MOST)
                    self._changes = {entry.id: entry for entry in found.changes}
                    self.query_one(Grid).show([change_row(entry) for entry in found.changes])
                except ClientError as error:
                    self.query_one(Grid).set_empty(f"The changes cannot be shown.\n{in_words(error)}")
            await asyncio.sleep(_AGAIN_S)

    def on_grid_chosen(self) -> None:
        self.action_open()

    def _chosen(self) -> ChangeEntry | None:
        return self._changes.get(self.query_one(Grid).key or "")

    def action_open(self) -> None:
        if entry := self._chosen():
            title = f"{clean(entry.kind)} {change_subject(entry)}"
            self.app.push_screen(TextDialog(title, change_text(entry, self.palette)))

    def action_command(self, what: str) -> None:
        entry = self._chosen()
        if entry is None or what != "abandon":
            return
        if entry.status != "doing":
            self.notify(f"It has ended already: {entry.status}.", severity="warning")
            return
        text = "No more instances are replaced. The old ones that are left stay."
        self.terminal.ask(
            f"Abandon {clean(entry.kind)} of {change_subject(entry)}",
            text,
            "Abandon",
            lambda client: client.abandon_change(entry.id),
            dangerous=True,
        )


def change_text(entry: ChangeEntry, colours: Palette) -> Text:
    """A change with each of its instances, and the last output of those that have failed."""
    sign, role = state_look(entry.status)
    text = Text()
    text.append(f"{sign} {entry.status}", colours.style(role))
    text.append(f"  {gauge(entry.progress.done, entry.progress.total)} ", colours.style(role))
    text.append(f"{entry.progress.done}/{entry.progress.total}\n")
    facts = {
        "Change": entry.id,
        "Asked for by": entry.actor.id,
        "Started": local_time(entry.started_at),
        "Ended": local_time(entry.ended_at) if isinstance(entry.ended_at, str) else "",
        "Why": entry.reason if isinstance(entry.reason, str) else "",
        "Because": entry.why if isinstance(entry.why, str) else "",
    }
    for label, value in facts.items():
        if value:
            text.append(f"{label:<14}", colours.style("head"))
            text.append(f"{clean(value)}\n")
    for step in entry.instances:
        sign, role = state_look(step.status)
        text.append(f"\n{sign} {clean(step.id)}", colours.style(role))
        text.append(f"  {step.state}", colours.style(state_look(step.state).role))
        if isinstance(step.reason, str):
            text.append(f"  {clean(step.reason)}")
        if isinstance(step.last_output, tuple):
            for line in step.last_output:
                text.append(f"\n    {clean(line)}", colours.style("muted"))
    return text
