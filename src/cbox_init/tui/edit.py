"""The form for a process, checked by the daemon as one types; reload and save with their diffs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Label, Select, Static, TextArea

from cbox_init.errors import ClientError
from cbox_init.tui.commands import in_words
from cbox_init.tui.look import clean, palette, plural
from cbox_init.tui.page import ScreenPage, TerminalHost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from cbox_init.client import AsyncClient, ProblemEntry, ReloadReply, ValidateReply
    from cbox_init.tui.look import Palette

_Reply = TypeVar("_Reply")

_PAUSE_S = 0.25
"""How long nothing has to be typed until the daemon is asked whether it is right."""


class FormField(NamedTuple):
    """A key of a process with a field of its own."""

    key: str
    label: str
    hint: str


FIELDS = (
    FormField("command", "Command", "program and arguments, or a list such as [sh, -c, 'run me']"),
    FormField("scale", "Instances", "1"),
    FormField("working_dir", "Directory", "/var/www/html"),
    FormField("user", "User", "that of the daemon"),
    FormField("depends_on", "Depends on", "names, with commas between"),
    FormField("schedule", "Schedule", "*/5 * * * *   or   @every 90s   (a job in place of a service)"),
)
_POLICIES = ("always", "on-failure", "never")


class ParsedForm(NamedTuple):
    """The keys that a form has, and what cannot be read as a key, by the field."""

    process: dict[str, Any]
    problems: dict[str, str]


def parse_form(values: dict[str, str]) -> ParsedForm:
    """The texts of the fields as keys of a process. Pure."""
    import yaml

    process: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for key, text in values.items():
        text = text.strip()
        if not text or key in ("env", "more"):
            continue
        if key == "depends_on":
            process[key] = [part.strip() for part in text.split(",") if part.strip()]
        elif key == "scale":
            process[key] = int(text) if text.isascii() and text.isdigit() else text
        elif key == "command" and text.startswith("["):
            try:
                process[key] = yaml.safe_load(text)
            except yaml.YAMLError:
                problems[key] = "the list is not closed, or a quotation mark is missing"
        else:
            process[key] = text
    env: dict[str, str] = {}
    for number, line in enumerate(values.get("env", "").splitlines(), 1):
        name, sign, value = line.partition("=")
        if not line.strip():
            continue
        if not sign or not name.strip():
            problems["env"] = f"line {number}: expected NAME=value"
            continue
        env[name.strip()] = value
    if env:
        process["env"] = env
    try:
        more = yaml.safe_load(values.get("more", "")) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        problems["more"] = f"{where}{getattr(error, 'problem', None) or 'this is not YAML'}"
        more = {}
    if isinstance(more, dict):
        process = {**{str(key): value for key, value in more.items()}, **process}
    else:
        problems["more"] = "expected keys with values, such as: max_scale: 10"
    return ParsedForm(process, problems)


def form_values(config: dict[str, Any]) -> dict[str, str]:
    """The keys of a process as the texts of the fields; keys without a field are in "more". Pure."""
    import yaml

    rest = dict(config)
    values: dict[str, str] = {}
    for field in FIELDS:
        value = rest.pop(field.key, None)
        if value is None:
            continue
        if field.key == "depends_on" and isinstance(value, list):
            values[field.key] = ", ".join(map(str, value))
        elif isinstance(value, list | dict):
            values[field.key] = yaml.safe_dump(
                value, default_flow_style=True, width=10_000, allow_unicode=True
            ).strip()
        else:
            values[field.key] = str(value)
    if isinstance(rest.get("restart"), str):
        values["restart"] = rest.pop("restart")
    env = rest.get("env")
    if isinstance(env, dict) and all("\n" not in str(value) for value in env.values()):
        values["env"] = "\n".join(f"{key}={value}" for key, value in rest.pop("env").items())
    values["more"] = yaml.safe_dump(rest, sort_keys=False, allow_unicode=True) if rest else ""
    return values


async def process_config(client: AsyncClient, name: str) -> dict[str, Any]:
    """The keys of a process that differ from their defaults, with secrets masked."""
    processes = (await client.config()).config.get("processes")
    found = processes.get(name) if isinstance(processes, dict) else None
    if not isinstance(found, dict):
        raise ClientError(f"the configuration has no process {name}")
    return found


class EditPage(ScreenPage):
    """The form for a new process, or for the one with this name."""

    DEFAULT_CSS = """
    EditPage #form { padding: 1 2; }
    EditPage .row { height: auto; margin-bottom: 1; }
    EditPage.-narrow .row { margin-bottom: 0; }
    EditPage .row Label { width: 14; color: $secondary; padding-top: 0; text-align: right; margin-right: 2; }
    EditPage .row Vertical { height: auto; width: 1fr; max-width: 100; }
    EditPage .row Input { width: 100%; background: $surface; }
    EditPage .row Select { width: 30; }
    EditPage .row TextArea { width: 100%; height: 6; border: none; background: $surface; padding: 0 1; }
    EditPage .problem { height: auto; color: $error; display: none; }
    EditPage .problem.-some { display: block; }
    EditPage.-narrow #form { padding: 0 1; }
    EditPage #form { height: 1fr; }
    EditPage #end { height: auto; background: $surface; padding: 0 1; }
    EditPage #verdict { height: auto; max-height: 5; }
    EditPage #buttons { height: 1; align-horizontal: right; }
    EditPage #buttons Button { margin-right: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "Save to the daemon", priority=True),
        Binding("escape", "back", "Cancel"),
    ]

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        self._edited = name
        self._restart_default = True
        self._valid = False
        self.heading = f"edit {clean(name)}" if name else "add a process"

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(id="form", can_focus=False):
            if self._edited is None:
                yield self._row("name", "Name", Input(placeholder="web", id="name", compact=True))
            for field in FIELDS:
                yield self._row(
                    field.key, field.label, Input(placeholder=field.hint, id=field.key, compact=True)
                )
            policies = Select(
                [(one, one) for one in _POLICIES], prompt="as configured for all", id="restart", compact=True
            )
            yield self._row("restart", "Restart", policies)
            yield self._row("env", "Environment", TextArea(id="env", placeholder="NAME=value, a line each"))
            more = TextArea(
                id="more",
                placeholder="every other key, as in the file, such as\nhealth_check: {type: http, url: 'http://127.0.0.1:8080/'}",
            )
            yield self._row("more", "More (YAML)", more)
        with Vertical(id="end"):
            yield Static(id="verdict", markup=False)
            with Horizontal(id="buttons"):
                word = "Add" if self._edited is None else "Apply"
                yield Button(f"{word} (Ctrl-S)", id="submit", variant="primary", compact=True)
                yield Button("Cancel (Esc)", id="cancel", compact=True)

    def _row(self, key: str, label: str, widget: Widget) -> Widget:
        problem = Static(id=f"problem-{key}", classes="problem", markup=False)
        return Horizontal(Label(label), Vertical(widget, problem), classes="row")

    def on_mount(self) -> None:
        if self._edited is not None:
            self.work(self._fill, "fill")
        else:
            self.query_one("#name").focus()
            self._check_soon()

    async def _fill(self) -> None:
        name = self._edited or ""
        client = self.terminal.client
        try:
            if client is None:
                raise ClientError("not connected to the daemon")
            config = await process_config(client, name)
        except ClientError as error:
            self._say_verdict(f"{clean(name)} cannot be edited: {in_words(error)}", "bad")
            return
        for key, text in form_values(config).items():
            widget = self.query_one(f"#{key}")
            if isinstance(widget, TextArea):
                widget.text = text
            elif isinstance(widget, Select):
                if text in _POLICIES:
                    widget.value = text
            elif isinstance(widget, Input):
                widget.value = text
        self.query_one("#command").focus()
        self._check_soon()

    # -- checking ------------------------------------------------------------------------------------------

    def on_input_changed(self) -> None:
        self._check_soon()

    def on_text_area_changed(self) -> None:
        self._check_soon()

    def on_select_changed(self) -> None:
        self._check_soon()

    def on_input_submitted(self) -> None:
        self.app.action_focus_next()

    def _check_soon(self) -> None:
        self.work(self._check, "check", exclusive=True)

    @property
    def _process_name(self) -> str:
        return self._edited or self.query_one("#name", Input).value.strip()

    def _parsed(self) -> ParsedForm:
        values = {}
        for key in (*(field.key for field in FIELDS), "restart", "env", "more"):
            widget = self.query_one(f"#{key}")
            if isinstance(widget, TextArea):
                values[key] = widget.text
            elif isinstance(widget, Select):
                values[key] = "" if widget.value is Select.NULL else str(widget.value)
            elif isinstance(widget, Input):
                values[key] = widget.value
        return parse_form(values)

    async def _check(self) -> bool:
        """Ask the daemon whether it would take this, and say so beside the fields."""
        await asyncio.sleep(_PAUSE_S)
        name, (process, problems) = self._process_name, self._parsed()
        client = self.terminal.client
        reply: ValidateReply | None = None
        self._valid = False
        if not name:
            self._show_problems(problems)
            self._say_verdict("Give it a name.", "muted")
            return False
        if not process.get("command"):
            self._show_problems(problems)
            self._say_verdict("Give it a command.", "muted")
            return False
        if problems:
            self._show_problems(problems)
            self._say_verdict("Not valid yet.", "bad")
            return False
        try:
            if client is None:
                raise ClientError("not connected to the daemon; what was typed stays here")
            reply = await client.validate_process(name, process)
        except ClientError as error:
            self._say_verdict(in_words(error), "bad")
            return False
        others = []
        for entry in (*reply.errors, *reply.warnings, *reply.suggestions):
            key = self._field_of(entry, name)
            if key is not None and key not in problems:
                problems[key] = _problem_words(entry)
            else:
                others.append(
                    f"{clean(entry.field)}: {_problem_words(entry)}" if entry.field else _problem_words(entry)
                )
        self._show_problems(problems)
        self._valid = reply.valid
        verdict = "✔ Valid." if reply.valid else f"✖ {plural(len(reply.errors), 'error')}."
        self._say_verdict("\n".join((verdict, *others[:8])), "good" if reply.valid else "bad")
        return reply.valid

    def _field_of(self, entry: ProblemEntry, name: str) -> str | None:
        """The field that a problem is about; None when it has none."""
        path = entry.field
        if path == "name" or path == f"processes.{name}":
            return "name" if self._edited is None else None
        if not path.startswith(f"processes.{name}."):
            return None
        key = path[len(f"processes.{name}.") :].partition(".")[0].partition("[")[0]
        fields = {field.key for field in FIELDS} | {"restart", "env"}
        return key if key in fields else "more"

    def _show_problems(self, problems: dict[str, str]) -> None:
        for widget in self.query(".problem"):
            assert isinstance(widget, Static)
            text = problems.get((widget.id or "").removeprefix("problem-"), "")
            widget.update(clean(text))
            widget.set_class(bool(text), "-some")

    def _say_verdict(self, text: str, role: str) -> None:
        self.query_one("#verdict", Static).update(Text(text, self.palette.style(role)))

    # -- the end -------------------------------------------------------------------------------------------

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "submit":
            self.action_submit()
        else:
            self.action_back()

    def action_submit(self) -> None:
        self.work(self._submit, "check", exclusive=True)

    async def _submit(self) -> None:
        if not await self._check():
            return
        name, process = self._process_name, self._parsed().process
        edited = self._edited

        async def send(client: AsyncClient) -> object:
            if edited is None:
                return await client.add_process(name, process)
            return await client.update_process(name, process)

        app = self.terminal
        self.action_back()
        app.give(send)


def _problem_words(entry: ProblemEntry) -> str:
    hint = f" ({clean(entry.recommendation)})" if entry.recommendation else ""
    sign = {"error": "✖", "warning": "!", "suggestion": "·"}.get(entry.severity, "·")
    return f"{sign} {clean(entry.message)}{hint}"


# -- reload and save ---------------------------------------------------------------------------------------


async def reload_file(app: TerminalHost) -> None:
    """Show what a reload would change, and do it when the answer is yes."""
    found = await _previewed(
        app, lambda client: client.reload_config(dry_run=True), "The file cannot be loaded"
    )
    if found is None:
        return
    colours = palette(dark=app.current_theme.dark)
    if not (found.added or found.changed or found.adjusted or found.removed or found.diff):
        app.notify("The file is what runs: nothing to reload.", timeout=4)
        return
    text = reload_text(found, colours)
    app.ask("Reload the configuration", text, "Reload", lambda client: client.reload_config())


def reload_text(found: ReloadReply, colours: Palette) -> Text:
    """What a reload would do, then the diff."""
    text = Text()
    groups = (
        ("+ added", found.added, "good"),
        ("~ replaced", found.changed, "care"),
        ("~ adjusted, nothing restarts", found.adjusted, "info"),
        ("- removed", found.removed, "bad"),
        ("! only with a restart of the daemon", found.needs_restart, "care"),
    )
    keys = found.changed_keys if isinstance(found.changed_keys, dict) else {}
    for title, names, role in groups:
        for name in names:
            text.append(f"{title}: ", colours.style(role))
            text.append(clean(name), "bold")
            text.append(f"  {', '.join(keys[name])}\n" if keys.get(name) else "\n", colours.style("muted"))
    for warning in found.warnings[:5]:
        text.append(f"! {clean(warning)}\n", colours.style("care"))
    if isinstance(found.diff, str) and found.diff:
        text.append("\n")
        text.append_text(diff_text(found.diff, colours))
    text.rstrip()
    return text


async def save_file(app: TerminalHost) -> None:
    """Show what would be written to the file, and write it when the answer is yes."""
    found = await _previewed(
        app, lambda client: client.save_config(dry_run=True), "The file cannot be written"
    )
    if found is None:
        return
    if not found.diff:
        app.notify("The file has everything: nothing to save.", timeout=4)
        return
    text = diff_text(found.diff, palette(dark=app.current_theme.dark))
    app.ask("Save to the configuration file", text, "Save", lambda client: client.save_config())


async def _previewed(
    app: TerminalHost, preview: Callable[[AsyncClient], Awaitable[_Reply]], failed: str
) -> _Reply | None:
    """The reply of a dry run; None when there is none, which is shown under the title ``failed``."""
    try:
        if app.client is None:
            raise ClientError("Not connected to the daemon.")
        return await preview(app.client)
    except ClientError as error:
        app.notify(in_words(error), title=failed, severity="error", timeout=15, markup=False)
        return None


def diff_text(diff: str, colours: Palette) -> Text:
    """A unified diff in colours."""
    text = Text()
    for line in diff.splitlines():
        role = "good" if line.startswith("+") else "bad" if line.startswith("-") else "text"
        if line.startswith(("+++", "---", "@@")):
            role = "head bold"
        text.append(f"{clean(line)}\n", colours.style(role))
    text.rstrip()
    return text
