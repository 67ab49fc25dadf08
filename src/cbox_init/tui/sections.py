"""Boxes with a title and a text, as the pages of the details and of the daemon have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.tui.look import Palette


class Section(Static):
    """A box with a title. It is drawn again only when its text has changed."""

    DEFAULT_CSS = """
    Section {
        height: auto; padding: 0 1; margin: 0 0 0 0; border: round $border-blurred;
        border-title-color: $primary; border-title-style: bold;
    }
    """

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, markup=False)
        self.border_title = title
        self._shown: Text | None = None

    def show(self, text: Text) -> None:
        """Show this text; a box without one is hidden."""
        if text != self._shown or (self._shown is not None and text.spans != self._shown.spans):
            self._shown = text
            self.display = bool(text)
            self.update(text)


def facts_text(facts: Iterable[tuple[str, str, str]], colours: Palette) -> Text:
    """Labels with their values, a line each; a value has the colour of its role."""
    facts = [(label, value, role) for label, value, role in facts if value]
    width = max((len(label) for label, _, _ in facts), default=0)
    text = Text()
    for index, (label, value, role) in enumerate(facts):
        text.append("\n" if index else "")
        text.append(f"{label:<{width}}  ", colours.style("head"))
        text.append(value, colours.style(role or "text"))
    return text
