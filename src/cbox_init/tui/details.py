"""The page of one process: its instances, checks, last exits with their output, environment and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec import UnsetType
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll

from cbox_init.errors import ApiError, ClientError
from cbox_init.tui.edit import process_config
from cbox_init.tui.grid import Grid, GridColumn
from cbox_init.tui.look import clean, joined, local_time, memory, percent, sparkline, state_look
from cbox_init.tui.page import ScreenPage
from cbox_init.tui.rows import (
    autoscale_words,
    event_role,
    event_words,
    health_words,
    instance_row,
    restarts_of,
    rollout_words,
    scale_of,
    uptime_of,
    why,
)
from cbox_init.tui.sections import Section, facts_text
from cbox_init.words import uptime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from textual.widget import Widget

    from cbox_init.client import EventEntry, ProcessEntry
    from cbox_init.tui.grid import GridCell
    from cbox_init.tui.look import Palette

_EVENTS = 30
_EXITS = 5
_SPARK = 40
_MOST_INSTANCES_SEEN = 12

INSTANCE_COLUMNS = (
    GridColumn("INSTANCE", 12, grows=True),
    GridColumn("STATE", 11),
    GridColumn("PID", 7, right=True),
    GridColumn("HEALTH", 9, rank=3),
    GridColumn("CPU", 5, right=True),
    GridColumn("", 6, rank=4, grows=True, tail=True),
    GridColumn("MEM", 5, right=True),
    GridColumn("RESTARTS", 8, rank=2, right=True),
    GridColumn("UPTIME", 6, rank=1, right=True),
    GridColumn("WHY", 10, rank=5, grows=True),
)


class DetailsPage(ScreenPage):
    """All that is known of one process."""

    DEFAULT_CSS = """
    DetailsPage #columns { height: auto; }
    DetailsPage .column { height: auto; width: 1fr; }
    DetailsPage.-narrow #columns { layout: vertical; }
    DetailsPage #instances { height: auto; max-height: 14; border: round $border-blurred;
        border-title-color: $primary; border-title-style: bold; }
    DetailsPage #instances:focus { border: round $border; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "logs", "Logs"),
        Binding("r", "command('restart')", "Restart"),
        Binding("s", "command('stop')", "Stop"),
        Binding("x", "command('start')", "Start"),
        Binding("plus,equals_sign", "command('more')", "Scale", key_display="+ -"),
        Binding("minus", "command('less')", "Scale down", show=False),
        Binding("i", "instance_command('restart')", "Restart instance", show=False),
        Binding("e", "configure('edit')", "Edit"),
        Binding("D", "configure('remove')", "Remove", show=False),
        Binding("J,pagedown", "scroll(8)", show=False),
        Binding("K,pageup", "scroll(-8)", show=False),
        Binding("escape", "back", "Back"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._process = name
        self._asked: object = None
        self.heading = clean(name)

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(id="details", can_focus=False):
            yield Section(clean(self._process), id="facts")
            grid = Grid(INSTANCE_COLUMNS, "No instance. Press x to start it.", id="instances")
            grid.border_title = "Instances"
            yield grid
            with Horizontal(id="columns"):
                with VerticalScroll(classes="column", can_focus=False):
                    yield Section("Checks", id="checks")
                    yield Section("Last exits", id="exits")
                    yield Section("Events", id="events")
                with VerticalScroll(classes="column", can_focus=False):
                    yield Section("Environment", id="environment")
                    yield Section("Configuration", id="config")

    def on_mount(self) -> None:
        self.query_one(Grid).focus(scroll_visible=False)

    @property
    def entry(self) -> ProcessEntry | None:
        return self.terminal.state.processes.get(self._process)

    def live(self) -> None:
        state, colours, entry = self.terminal.state, self.palette, self.entry
        facts = self.query_one("#facts", Section)
        if entry is None:
            if state.connection == "live":
                facts.show(Text("This process is no longer there. Esc goes back.", colours.style("care")))
                self.query_one(Grid).show([])
            return
        now = state.now()
        facts.show(process_facts(entry, state.recent_cpu(entry.name), now, colours))
        rows = [instance_row(entry, one, state, now) for one in entry.instances]
        grid = self.query_one(Grid)
        grid.show([row._replace(cells=_with_pid(row.cells)) for row in rows])
        grid.styles.height = min(len(rows), _MOST_INSTANCES_SEEN) + 3 if rows else 4
        self.query_one("#checks", Section).show(checks_text(entry, now, colours))
        version = (
            entry.state,
            entry.desired_scale,
            [(i.id, i.state, i.restart_count) for i in entry.instances],
        )
        if version != self._asked and self.terminal.client is not None:
            self._asked = version
            self.work(self._load, "details", exclusive=True)

    async def _load(self) -> None:
        """Ask for what is not in the live state: the configuration and the events."""
        client, colours = self.terminal.client, self.palette
        if client is None:
            self._asked = None
            return
        events, config = self.query_one("#events", Section), self.query_one("#config", Section)
        try:
            found = await client.process_events(self._process, limit=_EVENTS)
            events.show(events_text(found.events, colours))
            exits = await client.process_events(
                self._process, limit=_EXITS, kind=["instance.exited", "instance.start_failed"]
            )
            self.query_one("#exits", Section).show(exits_text(exits.events, colours))
        except ClientError as error:
            events.show(Text(clean(str(error)), colours.style("bad")))
        try:
            keys = await process_config(client, self._process)
        except ApiError as error:
            text = "Only an admin may see it." if error.status == 403 else clean(str(error))
            config.show(Text(text, colours.style("muted")))
            return
        except ClientError as error:
            config.show(Text(clean(str(error)), colours.style("bad")))
            return
        env = keys.get("env")
        self.query_one("#environment", Section).show(
            facts_text(
                [(clean(str(k)), clean(str(v)), "") for k, v in env.items()] if isinstance(env, dict) else [],
                colours,
            )
        )
        config.show(config_text({k: v for k, v in keys.items() if k != "env"}, colours))

    # -- what is done --------------------------------------------------------------------------------------

    def on_grid_chosen(self) -> None:
        self.action_logs()

    def action_logs(self) -> None:
        self.terminal.open_logs([self._process])

    def action_command(self, what: str) -> None:
        if entry := self.entry:
            self.terminal.command(what, entry)

    def action_instance_command(self, what: str) -> None:
        identity = (self.query_one(Grid).key or "").rpartition("/")[2]
        if identity and (entry := self.entry):
            self.terminal.command(what, entry, identity)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "instance_command":
            return self.terminal.state.caller.may_act
        return super().check_action(action, parameters)

    def action_configure(self, what: str) -> None:
        self.terminal.configure(what, self._process)

    def action_scroll(self, by: int) -> None:
        self.query_one("#details").scroll_relative(y=by, animate=False)


def _with_pid(cells: tuple[GridCell, ...]) -> tuple[GridCell, ...]:
    """An instance of the list of processes without its indentation."""
    first = cells[0]
    return (first._replace(text=first.text.strip()), *cells[1:])


def process_facts(entry: ProcessEntry, cpu: Iterable[float], now: float, colours: Palette) -> Text:
    """The process as a whole, in labelled lines."""
    look = state_look(entry.state)
    used = joined((f"CPU {percent(entry.cpu_percent)}", f"memory {memory(entry.memory_rss_bytes)}"))
    facts = [
        ("State", joined((f"{look.sign} {entry.state}", entry.type)), look.role),
        ("Why", *why(entry, now)),
        ("Instances", f"{scale_of(entry)} running, {restarts_of(entry)} restarts", ""),
        ("Uptime", uptime(uptime_of(entry, now)), ""),
        ("Uses", used, ""),
        ("CPU", sparkline(list(cpu), _SPARK), "key"),
    ]
    if isinstance(entry.waiting_for, tuple):
        facts.append(("Waits for", clean(", ".join(entry.waiting_for)), "care"))
    if not isinstance(entry.rollout, UnsetType):
        facts.append(("Rollout", *rollout_words(entry.rollout)))
    if not isinstance(entry.autoscale, UnsetType):
        facts.append(("Autoscale", autoscale_words(entry.autoscale), ""))
    if isinstance(entry.schedule, str):
        run = f"next run in {uptime(entry.next_run - now)}" if entry.next_run else "paused"
        facts.append(("Schedule", joined((clean(entry.schedule), run)), ""))
    return facts_text(facts, colours)


def checks_text(entry: ProcessEntry, now: float, colours: Palette) -> Text:
    """The last check of each instance."""
    facts = []
    for one in entry.instances:
        health = one.health
        if isinstance(health, UnsetType):
            continue
        look = state_look(health.status)
        took = f"{health.latency_ms:.1f} ms" if isinstance(health.latency_ms, float | int) else ""
        ago = f"{uptime(now - health.last_check)} ago" if isinstance(health.last_check, float | int) else ""
        words = joined((f"{look.sign} {clean(health.status)}", ago, took, health_words(health)))
        facts.append((clean(one.id), words, look.role))
    return facts_text(facts, colours)


def exits_text(events: Iterable[EventEntry], colours: Palette) -> Text:
    """The last ends of instances, newest first, each with the last lines of its output."""
    text = Text()
    for event in events:
        data = event.data if isinstance(event.data, dict) else {}
        if text:
            text.append("\n")
        text.append(f"{local_time(event.timestamp)}  ", colours.style("head"))
        where = event.instance if isinstance(event.instance, str) else ""
        text.append(f"{clean(where)}  ", colours.style("text bold"))
        reason = event.reason if isinstance(event.reason, str) else ""
        reason = reason or (f"exit code {data['exit_code']}" if "exit_code" in data else event.kind)
        text.append(clean(reason), colours.style(event_role(event)))
        for line in str(data.get("last_output", "")).splitlines()[-5:]:
            text.append(f"\n    {clean(line)}", colours.style("muted"))
    return text or Text("None since the daemon started.", colours.style("muted"))


def events_text(events: Iterable[EventEntry], colours: Palette) -> Text:
    """The last events, newest first, a line each."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for event in events:
        if text:
            text.append("\n")
        text.append(f"{local_time(event.timestamp, date=False)}  ", colours.style("head"))
        text.append(f"{clean(event.kind):<20} ", colours.style(event_role(event)))
        where = f"{clean(event.instance)}  " if isinstance(event.instance, str) else ""
        text.append(f"{where}{event_words(event)}", colours.style("text"))
    return text or Text("None yet.", colours.style("muted"))


def config_text(config: Mapping[str, object], colours: Palette) -> Text:
    """The keys of a process as YAML."""
    import yaml

    text = Text()
    dumped = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100)
    for line in dumped.splitlines():
        key, colon, value = line.partition(":")
        text.append(clean(key) if colon else "", colours.style("key"))
        text.append(f"{colon}{clean(value)}\n" if colon else f"{clean(line)}\n", colours.style("text"))
    text.rstrip()
    return text
