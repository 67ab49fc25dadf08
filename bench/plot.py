"""Pictures of results, as SVG: bars a peer for a row, curves for a series."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from bench.figures import Figure, Summary, quantity
from bench.names import OURS
from bench.results import Line, SeriesLine, SeriesResult

_WIDTH = 760
_LOGARITHMIC_FROM = 50  # times the smallest: below, a bar's length is its value
_NAMES_WIDTH = 130
_VALUES_WIDTH = 190
_BAR = 14
_BAR_STEP = 20
_HEAD = 40
_PANEL_HEAD = 26
_PANEL_GAP = 14
_CURVES_WIDTH, _CURVES_HEIGHT = 380, 250
# The same ones in every picture.
_COLOURS = {
    OURS: "#2563eb",
    "supervisord": "#d97706",
    "circus": "#059669",
    "s6": "#db2777",
    "runit": "#7c3aed",
    "monit": "#0891b2",
    "pm2": "#65a30d",
}
_OTHERS = "#9ca3af"
_INK, _FAINT = "#1f2937", "#e5e7eb"


def bars(title: str, lines: Sequence[Line]) -> str:
    """Return a picture with a panel a figure, and in it a bar a peer, with the spread of the rounds."""
    parts: list[str] = []
    top = _HEAD
    for line in lines:
        parts += _bar_panel(line, top)
        top += _PANEL_HEAD + len(line.peers) * _BAR_STEP + _PANEL_GAP
    return _svg(title, top, parts)


def curves(series: SeriesResult) -> str:
    """Return a picture with a panel a figure, a curve a peer over the size, on a logarithmic axis."""
    lines = [line for line in series.lines if line.peers]
    names = list(dict.fromkeys(name for line in lines for name in line.peers))
    colours = {name: _COLOURS.get(name, _INK) for name in names}
    parts = [*_legend(colours)]
    top = _HEAD + 22
    for number, line in enumerate(lines):
        left = number % 2 * _CURVES_WIDTH
        parts += _curve_panel(series, line, colours, left, top + number // 2 * _CURVES_HEIGHT)
    return _svg(series.title, top + math.ceil(len(lines) / 2) * _CURVES_HEIGHT, parts)


def ticks(low: float, high: float) -> list[float]:
    """Return some round numbers from `low` to the first that is not below `high`; `low` is below `high`."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.floor(low / step)
    return [number * step for number in range(first, math.ceil(high / step - 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten that `low` and `high` lie between, two at least."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _bar_panel(line: Line, top: float) -> Iterator[str]:
    values = [summary.high for summary in line.peers.values()]
    positive = [summary.low for summary in line.peers.values() if summary.low > 0]
    logarithmic = bool(positive) and max(values) > _LOGARITHMIC_FROM * min(positive)
    scale = decades(min(positive), max(values)) if logarithmic else [0, max(values) or 1]
    room = _WIDTH - _NAMES_WIDTH - _VALUES_WIDTH

    def x(value: float) -> float:
        return _NAMES_WIDTH + room * _share(value, scale, logarithmic)

    better = "more is better" if line.figure.more_is_better else "less is better"
    yield _text(12, top + 14, _label(line.figure), "bold")
    remark = f"{better}, logarithmic" if logarithmic else better
    yield _text(_WIDTH - 12, top + 14, remark, "faint", anchor="end")
    for number, (name, summary) in enumerate(line.peers.items()):
        y = top + _PANEL_HEAD + number * _BAR_STEP
        colour = _COLOURS[OURS] if name == OURS else _OTHERS
        end = x(summary.median)
        yield _text(_NAMES_WIDTH - 8, y + 11, name, "own" if name == OURS else "", anchor="end")
        yield _rect(_NAMES_WIDTH, y, max(end - _NAMES_WIDTH, 1), _BAR, colour)
        if summary.high > summary.low:
            yield _line(x(summary.low), y + _BAR / 2, x(summary.high), y + _BAR / 2, _INK)
        yield _text(max(end, x(summary.high)) + 6, y + 11, _value(summary))


def _curve_panel(
    series: SeriesResult, line: SeriesLine, colours: dict[str, str], left: float, top: float
) -> Iterator[str]:
    medians = [summary.median for sizes in line.peers.values() for summary in sizes.values()]
    positive = [median for median in medians if median > 0]
    logarithmic = bool(positive) and max(positive) > _LOGARITHMIC_FROM * min(positive)
    scale = decades(min(positive), max(positive)) if logarithmic else ticks(0, max(medians) or 1)
    labels = [_tick(tick) for tick in scale]
    if logarithmic and len(positive) < len(medians):
        scale, labels = [scale[0] / 10, *scale], ["0", *labels]  # the lowest line is for what is 0
    x0, x1, y0, y1 = left + 66, left + _CURVES_WIDTH - 20, top + _CURVES_HEIGHT - 46, top + 30
    # Each size is as far from the next as their ratio is large.
    span = math.log(series.sizes[-1] / series.sizes[0])

    def x(size: int) -> float:
        return x0 + (x1 - x0) * (math.log(size / series.sizes[0]) / span if span else 0.5)

    def y(value: float) -> float:
        return y0 + (y1 - y0) * _share(value, scale, logarithmic)

    yield _text(left + 12, top + 14, _label(line.figure), "bold")
    for tick, label in zip(scale, labels, strict=True):
        yield _line(x0, y(tick), x1, y(tick), _FAINT)
        yield _text(x0 - 6, y(tick) + 4, label, "faint", anchor="end")
    for size in series.sizes:
        yield _text(x(size), y0 + 16, f"{size:,}", "faint", anchor="middle")
    yield _text((x0 + x1) / 2, y0 + 32, series.of, "faint", anchor="middle")
    # Ours last, above the others.
    for name in sorted(line.peers, key=lambda name: name == OURS):
        points = [(x(size), y(summary.median)) for size, summary in sorted(line.peers[name].items())]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        width = 2.5 if name == OURS else 1.5
        yield f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="{width}"/>'
        yield from (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colours[name]}"/>' for a, b in points)


def _legend(colours: dict[str, str]) -> Iterator[str]:
    left = 12.0
    for name, colour in colours.items():
        yield _rect(left, _HEAD - 2, 12, 12, colour)
        yield _text(left + 17, _HEAD + 8, name)
        left += 34 + 7 * len(name)


def _share(value: float, scale: Sequence[float], logarithmic: bool) -> float:
    """Return where `value` lies between the ends of `scale`, from 0 to 1."""
    low, high = scale[0], scale[-1]
    if logarithmic:
        share = math.log(value / low) / math.log(high / low) if value > 0 else 0
    else:
        share = (value - low) / (high - low)
    return min(max(share, 0), 1)


def _label(figure: Figure) -> str:
    return f"{figure.label} ({figure.unit})" if figure.unit else figure.label


def _value(summary: Summary) -> str:
    if summary.high > summary.low:
        return f"{quantity(summary.median)}  ({quantity(summary.low)} to {quantity(summary.high)})"
    return quantity(summary.median)


def _tick(value: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size:
            return f"{value / size:,.10g}{suffix}"
    return f"{value:,.10g}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{style}>{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}"/>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    """Return the picture; on white, as a page may be dark."""
    style = (
        f"text{{font:12px system-ui,sans-serif;fill:{_INK}}}"
        ".bold,.own{font-weight:600}.faint{fill:#6b7280}.title{font-size:15px;font-weight:600}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
            f'width="{_WIDTH}" height="{height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            f'<rect width="{_WIDTH}" height="{height:.0f}" rx="6" fill="#fff"/>',
            _text(12, 22, title, "title"),
            *parts,
            "</svg>\n",
        ]
    )
