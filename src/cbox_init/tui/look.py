"""How the terminal screen looks: themes, colours and signs of states, figures and times in short."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from rich.style import Style
from textual.theme import Theme

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DARK = Theme(
    name="cbox-dark",
    primary="#5aa9ff",
    secondary="#8796b0",
    accent="#b79cff",
    success="#4cc38a",
    warning="#f0b849",
    error="#f4657f",
    foreground="#d7dde8",
    background="#0f131a",
    surface="#151b25",
    panel="#1d2532",
    dark=True,
    variables={
        "block-cursor-background": "#24466e",
        "block-cursor-foreground": "#ffffff",
        "border": "#5aa9ff",
        "border-blurred": "#2b3648",
        "footer-background": "#151b25",
        "footer-key-foreground": "#5aa9ff",
        "footer-description-foreground": "#8a96a9",
        "input-selection-background": "#5aa9ff 35%",
        "scrollbar": "#2b3648",
        "scrollbar-background": "#0f131a",
        "scrollbar-corner-color": "#0f131a",
    },
)

LIGHT = Theme(
    name="cbox-light",
    primary="#1264c4",
    secondary="#5c6878",
    accent="#7442c8",
    success="#177245",
    warning="#8f5f00",
    error="#c02c48",
    foreground="#1f2733",
    background="#fcfcfd",
    surface="#f1f4f8",
    panel="#e3e8ef",
    dark=False,
    variables={
        "block-cursor-background": "#cfe3fb",
        "block-cursor-foreground": "#0b2545",
        "border": "#1264c4",
        "border-blurred": "#c9d2de",
        "footer-background": "#f1f4f8",
        "footer-key-foreground": "#1264c4",
        "footer-description-foreground": "#5c6878",
        "input-selection-background": "#1264c4 25%",
        "scrollbar": "#c9d2de",
        "scrollbar-background": "#fcfcfd",
        "scrollbar-corner-color": "#fcfcfd",
    },
)


class Palette(NamedTuple):
    """The colours of what is drawn line by line, by the names of their roles."""

    colours: dict[str, str]
    processes: tuple[str, ...]

    def style(self, role: str) -> str:
        """A role such as "bad" or "good bold" as a style for Rich; "" has no colour of its own."""
        name, _, rest = role.partition(" ")
        return f"{self.colours.get(name, name)} {rest}".strip()

    def rich_style(self, role: str) -> Style:
        """The same for segments; the role of a process is "process:NAME"."""
        process = role.removeprefix("process:")
        return Style.parse((self.style(role) if process == role else self.process(process)) or "none")

    def process(self, name: str) -> str:
        """The colour of a process; it depends on its name alone."""
        return self.processes[crc32(name.encode(errors="replace")) % len(self.processes)]


_DARK_PALETTE = Palette(
    {
        "good": "#4cc38a",
        "care": "#f0b849",
        "bad": "#f4657f",
        "info": "#4cc9d6",
        "muted": "#75839a",
        "text": "#d7dde8",
        "head": "#8a96a9",
        "key": "#5aa9ff",
        "accent": "#b79cff",
        "base": "on #0f131a",
        "cursor": "on #24466e",
        "hover": "on #1a2230",
        "band": "on #151b25",
        "found": "#0f131a on #f0b849",
    },
    ("#4cc9d6", "#7ddc9b", "#d59bf6", "#7fb2ff", "#9be8ef", "#c4e88b", "#f5a9e1", "#b3c7ff"),
)
_LIGHT_PALETTE = Palette(
    {
        "good": "#177245",
        "care": "#8f5f00",
        "bad": "#c02c48",
        "info": "#0b7285",
        "muted": "#697586",
        "text": "#1f2733",
        "head": "#5c6878",
        "key": "#1264c4",
        "accent": "#7442c8",
        "base": "on #fcfcfd",
        "cursor": "on #cfe3fb",
        "hover": "on #e9eef5",
        "band": "on #f1f4f8",
        "found": "#1f2733 on #ffd766",
    },
    ("#0b7285", "#177245", "#8b2fc9", "#1264c4", "#00626e", "#4d6b00", "#a8228a", "#3b4ec4"),
)


def palette(*, dark: bool) -> Palette:
    """The colours for a dark or a light background."""
    return _DARK_PALETTE if dark else _LIGHT_PALETTE


class StateLook(NamedTuple):
    """The sign of a state and the role of its colour, which is that of the command line."""

    sign: str
    role: str


_STATES = {
    "running": StateLook("●", "good"),
    "completed": StateLook("✔", "info"),
    "starting": StateLook("◐", "care"),
    "stopping": StateLook("◑", "care"),
    "failed": StateLook("✖", "bad bold"),
    "stopped": StateLook("○", "muted"),
    "scheduled": StateLook("◷", "info"),
    "paused": StateLook("‖", "muted"),
    # of changes and their steps
    "doing": StateLook("◐", "care"),
    "done": StateLook("✔", "good"),
    "superseded": StateLook("○", "muted"),
    "aborted": StateLook("✖", "care"),
    # of schedules
    "idle": StateLook("◷", "info"),
    "executing": StateLook("●", "good"),
    # of health
    "healthy": StateLook("✔", "good"),
    "unhealthy": StateLook("✖", "bad"),
}
_UNKNOWN = StateLook("?", "")


def state_look(state: str) -> StateLook:
    """How a state is shown; one that a newer daemon added has a question mark."""
    return _STATES.get(state, _UNKNOWN)


LEVEL_ROLES = {"debug": "muted", "info": "text", "warn": "care", "error": "bad"}

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_COLOURS = re.compile("\x1b\\[[0-9;:]*m")


def clean(text: str) -> str:
    """``text`` in one line without what a terminal would act on: colours are removed, the rest is escaped.

    So are characters that reorder or hide others.
    """
    if text.isprintable():
        return text
    text = _COLOURS.sub("", text) if "\x1b" in text else text
    return _CONTROL.sub(_visible, text.expandtabs(4))


def _visible(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def memory(count: int) -> str:
    """Bytes in four or five characters, such as 512K, 12.3M, 1.5G."""
    value, unit = float(count), "B"
    for unit in ("B", "K", "M", "G", "T"):
        if value < 1000 or unit == "T":
            break
        value /= 1024
    return f"{value:.0f}{unit}" if value >= 99.95 or unit in "BK" else f"{value:.1f}{unit}"


def percent(value: float) -> str:
    """A share, such as 3.5%, or 250% from 100 on."""
    return f"{value:.0f}%" if value >= 99.95 else f"{value:.1f}%"


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int, least_top: float = 5.0) -> str:
    """The last ``width`` values as bars, right-aligned; a full one is the highest, or ``least_top``."""
    shown = list(values)[-width:]
    top = max([least_top, *shown])
    last = len(_BARS) - 1
    return "".join(_BARS[min(last, int(value / top * last + 0.5))] for value in shown).rjust(width)


def gauge(done: int, total: int, width: int = 10) -> str:
    """Progress as a bar, such as ▰▰▰▱▱."""
    full = width if total <= 0 else min(width, done * width // total)
    return "▰" * full + "▱" * (width - full)


def plural(count: int, word: str) -> str:
    """Such as "1 process", "2 processes"."""
    if count == 1:
        return f"{count} {word}"
    return f"{count} {word}{'es' if word.endswith('s') else 's'}"


def joined(parts: Iterable[str]) -> str:
    """The parts that are not empty, with dots between."""
    return " · ".join(part for part in parts if part)


def local_time(timestamp: str, *, date: bool = True, fraction: bool = False) -> str:
    """An RFC 3339 time in the time zone here; what is no time is returned as it is."""
    try:
        at = datetime.fromisoformat(timestamp).astimezone()
    except (ValueError, OverflowError):
        return clean(timestamp)
    text = at.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")
    return f"{text}.{at.microsecond // 1000:03}" if fraction else text
