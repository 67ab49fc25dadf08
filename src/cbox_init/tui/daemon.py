"""The page of the daemon itself: what it uses, its event loop, where its log goes, and its notifications."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from cbox_init.errors import ClientError
from cbox_init.tui.look import clean, memory, percent, plural
from cbox_init.tui.page import ScreenPage
from cbox_init.tui.sections import Section, facts_text
from cbox_init.words import uptime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from cbox_init.client import DaemonEntry, LogOutputs, NotificationList
    from cbox_init.tui.look import Palette

_AGAIN_S = 5.0
_SLOW_LAG_MS = 100.0


class DaemonPage(ScreenPage):
    """The daemon: is it well, and what does it cost."""

    DEFAULT_CSS = """
    DaemonPage #daemon { layout: grid; grid-size: 2; grid-rows: auto; }
    DaemonPage.-narrow #daemon { layout: vertical; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "app.reload", "Reload file"),
        Binding("W", "app.save", "Save file"),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._outputs: LogOutputs | None = None
        self._notifications: NotificationList | None = None

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(id="daemon", classes="sections"):
            yield Section("Daemon", id="facts")
            yield Section("Event loop, log and API", id="health")
            yield Section("Log outputs", id="outputs")
            yield Section("Notifications", id="notifications")

    def on_mount(self) -> None:
        self.work(self._follow, "daemon", again=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("app.reload", "app.save"):
            return self.terminal.state.caller.may_configure
        return super().check_action(action, parameters)

    def action_scroll(self, by: int) -> None:
        self.query_one("#daemon").scroll_relative(y=by, animate=False)

    def live(self) -> None:
        state, colours = self.terminal.state, self.palette
        if state.daemon is None:
            self.query_one("#facts", Section).show(Text(clean(state.problem) or "Connecting …"))
            return
        self.query_one("#facts", Section).show(
            facts_text(_facts(state.daemon, state.daemon_cpu_percent, state.now()), colours)
        )
        self.query_one("#health", Section).show(facts_text(_health(state.daemon), colours))
        self.query_one("#outputs", Section).show(_outputs(self._outputs, colours))
        self.query_one("#notifications", Section).show(_notifications(self._notifications, colours))

    async def _follow(self) -> None:
        """Ask for what is not in the live state while this page is seen."""
        while True:
            client = self.terminal.client
            if client is not None and self.app.current_mode == "daemon":
                try:
                    self._outputs = await client.log_outputs()
                    self._notifications = await client.notifications()
                    self.live()
                except ClientError:
                    pass  # the bar at the top says when the connection is lost
            await asyncio.sleep(_AGAIN_S if self._outputs is not None else 0.2)


Facts = list[tuple[str, str, str]]


def _facts(entry: DaemonEntry, cpu: float | None, now: float) -> Facts:
    counts = entry.counts
    limit = "" if entry.max_file_descriptors < 0 else f" of {entry.max_file_descriptors}"
    return [
        ("Version", f"{entry.version} (Python {entry.python_version})", ""),
        ("PID", str(entry.pid), ""),
        ("Configuration", clean(entry.config or "none, only the environment"), ""),
        ("Uptime", uptime(now - entry.started_at), ""),
        ("Processes", f"{counts.processes}, {counts.scheduled} with a schedule", ""),
        ("Instances", f"{counts.instances}, {counts.running} running", ""),
        ("Failed", str(counts.failed), "bad" if counts.failed else "good"),
        ("Restarts", str(counts.restarts), "care" if counts.restarts else ""),
        ("CPU", f"{'-' if cpu is None else percent(cpu)} now, {entry.cpu_seconds:.1f} s in all", ""),
        ("Memory", f"{memory(entry.memory_rss_bytes)}, at most {memory(entry.memory_peak_bytes)}", ""),
        ("Threads", str(entry.threads), ""),
        ("Descriptors", f"{entry.file_descriptors}{limit}", ""),
    ]


def _health(entry: DaemonEntry) -> Facts:
    loop, log, api = entry.loop, entry.log, entry.api
    slow = "care" if loop.lag_max_ms >= _SLOW_LAG_MS else "good"
    return [
        ("Lag, median", f"{loop.lag_p50_ms:.1f} ms", "good"),
        ("Lag, p99", f"{loop.lag_p99_ms:.1f} ms", slow),
        ("Lag, longest", f"{loop.lag_max_ms:.1f} ms in the last minute", slow),
        ("Log records", f"{log.written_records} written", ""),
        ("Dropped", plural(log.dropped_records, "record"), "bad" if log.dropped_records else "good"),
        (
            "Queued",
            f"{memory(log.queued_bytes)}{', backed up' if log.backed_up else ''}",
            "bad" if log.backed_up else "",
        ),
        ("Followers", f"{log.subscribers} of the log", ""),
        ("API", f"{plural(api.requests, 'request')}, {plural(api.connections, 'connection')}", ""),
    ]


def _outputs(found: LogOutputs | None, colours: Palette) -> Text:
    if found is None:
        return Text("…", colours.style("muted"))
    facts: Facts = []
    for one in found.outputs:
        words = f"{clean(one.target)}  {one.written} written, {one.dropped} dropped"
        if one.error:
            words += f": {clean(one.error)}"
        facts.append((one.type, words, "bad" if one.error else "care" if one.dropped else ""))
    facts += [
        (clean(name), f"{count} held back by rate_limit", "care")
        for name, count in found.rate_limited.items()
    ]
    return facts_text(facts, colours)


def _notifications(found: NotificationList | None, colours: Palette) -> Text:
    if found is None or not found.notifications:
        return Text("None. Add some under `notifications` of the configuration.", colours.style("muted"))
    facts: Facts = []
    for one in found.notifications:
        words = f"{one.sent} sent, {one.failed} failed, {one.dropped} dropped"
        facts.append((clean(one.name), words, "bad" if one.failed else "good"))
    return facts_text(facts, colours)
