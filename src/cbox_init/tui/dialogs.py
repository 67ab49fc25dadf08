"""What is asked or shown above a page: a confirmation, a text to read, the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from cbox_init.tui.look import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

_CSS = """
%s { align: center middle; background: $background 60%%; }
%s > .dialog {
    width: auto; min-width: 40; max-width: 90%%; height: auto; max-height: 85%%;
    background: $surface; border: round $border; padding: 1 2;
    border-title-color: $primary; border-title-style: bold;
}
%s .buttons { height: auto; width: 100%%; align-horizontal: right; margin-top: 1; }
%s Button { margin-left: 2; min-width: 12; }
"""


def _css(name: str) -> str:
    return _CSS % (name, name, name, name)


class ConfirmDialog(ModalScreen[bool]):
    """Asks whether something is to be done: y or Enter, n or Escape."""

    DEFAULT_CSS = (
        _css("ConfirmDialog")
        + """
        ConfirmDialog .text { width: auto; height: auto; max-height: 60vh; }
        ConfirmDialog .text Static { width: auto; max-width: 100; }
        """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
        Binding("left,h", "app.focus_previous", show=False),
        Binding("right,l", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, text: str | Text, button: str, *, dangerous: bool = False) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._button = button
        self._dangerous = dangerous

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self._title.replace("[", r"\[")  # it is taken for markup
            with VerticalScroll(classes="text", can_focus=False):
                yield Static(self._text, markup=False)
            with Horizontal(classes="buttons"):
                button = Button(f"{self._button} (y)", id="yes", compact=True)
                button.variant = "error" if self._dangerous else "primary"
                yield button
                yield Button("Cancel (n)", id="no", compact=True)

    def on_mount(self) -> None:
        self.query_one("#yes").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class TextDialog(ModalScreen[None]):
    """Shows a text that may be long; any of the usual keys closes it."""

    DEFAULT_CSS = (
        _css("TextDialog")
        + """
        TextDialog > .dialog { width: 90%; height: auto; padding: 1 1; }
        TextDialog VerticalScroll { height: auto; max-height: 100%; }
        """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "close", "Close"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self._title.replace("[", r"\[")  # it is taken for markup
            box.border_subtitle = "Esc closes"
            with VerticalScroll():
                yield Static(self._text)

    def action_close(self) -> None:
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


class KeyHelp(NamedTuple):
    """A group of keys in the help: pairs of keys and what they do."""

    title: str
    keys: Sequence[tuple[str, str]]


HELP = (
    KeyHelp(
        "Everywhere",
        (
            ("1 … 6", "go to a page; a click on its name does too"),
            ("Ctrl-P  :", "command palette: everything, by its name"),
            ("Esc", "back; take away a message or a filter"),
            ("t", "dark or light"),
            ("R", "reload the configuration file, after its diff was shown"),
            ("W", "save what was changed here to the configuration file"),
            ("?  q", "this help, quit"),
        ),
    ),
    KeyHelp(
        "Processes",
        (
            ("j k ↓ ↑", "move;  g G  first and last"),
            ("→ ←", "show and hide the instances"),
            ("Enter", "logs of the process, of the instance, or of all that are marked"),
            ("Space", "mark a process, to see the logs of several"),
            ("d", "details: instances, environment, checks, last exits, events"),
            ("r s x", "restart, stop, start; also one instance"),
            ("+ -", "one instance more, or less"),
            ("a e D", "add a process, edit it, remove it"),
            ("/ o", "filter by name; change the order"),
        ),
    ),
    KeyHelp(
        "Logs",
        (
            ("f", "follow the end, or stay where you are"),
            ("/ n N", "search; next and previous hit"),
            ("v", "least level: all, info, warn, error"),
            ("w", "wrap long lines"),
            ("c", "clear"),
        ),
    ),
    KeyHelp(
        "Schedules, changes",
        (
            ("x", "run a schedule now"),
            ("p", "pause or resume a schedule"),
            ("Enter", "logs of a schedule; the instances of a change"),
            ("A", "abandon a rollout: no more instances are replaced"),
        ),
    ),
)


def help_text(*, dark: bool) -> Text:
    """All keys, by where they work."""
    colours = palette(dark=dark)
    text = Text()
    for group in HELP:
        text.append(f"{group.title}\n", colours.style("key bold"))
        for keys, words in group.keys:
            text.append(f"  {keys:<10}", "bold")
            text.append(f" {words}\n", colours.style("text"))
        text.append("\n")
    text.rstrip()
    return text


class PromptLine(Horizontal):
    """A line to type in, above the keys; hidden until it is needed.

    Its input is made then: on a page that is still being made, one asks for the present page too early.
    """

    DEFAULT_CSS = """
    PromptLine { dock: bottom; height: 1; margin-bottom: 1; background: $panel; display: none; }
    PromptLine.-open { display: block; }
    PromptLine Label { width: auto; padding: 0 1; color: $primary; text-style: bold; }
    PromptLine Input { width: 1fr; background: $panel; }
    """

    def __init__(self, label: str, placeholder: str) -> None:
        super().__init__()
        self._label = label
        self._placeholder = placeholder
        self._input: Input | None = None

    def compose(self) -> ComposeResult:
        yield Label(self._label)

    def open(self) -> None:
        """Show it, and let it be typed in."""
        self.add_class("-open")
        if self._input is None:
            self._input = Input(placeholder=self._placeholder, compact=True)
            self.mount(self._input)
        self._input.focus()

    def close(self) -> None:
        """Hide it, and forget what it has."""
        self.remove_class("-open")
        if self._input is not None:
            self._input.value = ""

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    @property
    def value(self) -> str:
        """What has been typed."""
        return "" if self._input is None else self._input.value
