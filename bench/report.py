"""Results as Markdown."""

from collections.abc import Iterator, Sequence

from bench.figures import Figure, Summary, quantity
from bench.names import OURS
from bench.results import Growth, Line, Results, SeriesResult, Taken


def markdown(results: Results, before: Results | None) -> str:
    """Return the whole report: the table, the machine, the notes, and the change since `before`."""
    changes = "\n".join(_changes(results, before)) if before else ""
    return _joined(table(results.lines, list(results.versions)), facts(results), notes(results), changes)


def growth(found: Growth) -> str:
    """Return the whole report of how figures grow: a table a series, the machine, the notes."""
    tables = [f"### {series.title}\n\n{series_table(series)}" for series in found.series]
    return _joined(*tables, facts(found), notes(found))


def table(lines: Sequence[Line], names: Sequence[str]) -> str:
    """Return a line a figure, a column a peer; a figure that nobody has is left out."""
    rows = []
    for line in lines:
        if line.peers:
            ours = line.peers.get(OURS)
            rows.append([_label(line.figure), *(_cell(name, line.peers.get(name), ours) for name in names)])
    return _grid(["", *names], rows)


def series_table(series: SeriesResult) -> str:
    """Return a line a figure and peer, a column a size."""
    rows = []
    for line in series.lines:
        for name, sizes in line.peers.items():
            cells = [quantity(sizes[size].median) if size in sizes else "-" for size in series.sizes]
            rows.append([_label(line.figure), name, *cells])
    return _grid([series.of, "", *(f"{size:,}" for size in series.sizes)], rows)


def facts(taken: Taken) -> str:
    """Return what a reader needs to know of the run, as a list."""
    rounds = "one round" if taken.rounds == 1 else f"medians of {taken.rounds} rounds (lowest to highest)"
    versions = ", ".join(f"{name} {version}" for name, version in taken.versions.items())
    lines = {
        "measured": f"{taken.date}, {rounds}; x is the ratio to {OURS}",
        **taken.machine,
        "versions": versions,
    }
    return "\n".join(f"- {name}: {value}" for name, value in lines.items())


def notes(taken: Taken) -> str:
    """Return what is not in the tables, and why, as a list."""
    lines = [f"- not measured: {note}" for note in taken.notes]
    absent: dict[str, dict[str, list[str]]] = {}
    for absence in taken.absences:
        absent.setdefault(absence.peer, {}).setdefault(absence.why, []).append(absence.row)
    for peer, reasons in absent.items():
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
        lines.append(f"- without {peer}: {told}")
    return "\n".join(lines)


def _label(figure: Figure) -> str:
    return f"{figure.label} ({figure.unit})" if figure.unit else figure.label


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    # An empty cell has one space, not two.
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]]).replace("|  |", "| |")


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _cell(name: str, summary: Summary | None, ours: Summary | None) -> str:
    """Return the median, the spread, and how many times ours it is."""
    if summary is None:
        return "-"
    cell = quantity(summary.median)
    if len(summary.samples) > 1 and summary.low != summary.high:
        cell += f" ({quantity(summary.low)} to {quantity(summary.high)})"
    if name != OURS and ours and ours.median:
        cell += f", {quantity(summary.median / ours.median)}x"
    return cell


def _changes(results: Results, before: Results) -> Iterator[str]:
    """Say how our own figures have changed, where both runs have them."""
    old = {line.figure.key: line.peers[OURS] for line in before.lines if OURS in line.peers}
    pairs = [
        (line.figure, old[line.figure.key], line.peers[OURS])
        for line in results.lines
        if OURS in line.peers and line.figure.key in old
    ]
    if not pairs:
        return
    elsewhere = "" if before.machine == results.machine else ", measured on a machine that was not the same"
    yield f"{OURS} since the last committed results ({before.date}{elsewhere}):"
    yield ""
    yield "| | before | now | change |"
    yield "|---|---|---|---|"
    for figure, then, now in pairs:
        change = f"{(now.median / then.median - 1) * 100:+.0f} %" if then.median else "-"
        # Within the spread of both runs there is nothing to see.
        apart = now.low > then.high or now.high < then.low
        verdict = ""
        if apart:
            verdict = " better" if (now.median > then.median) == figure.more_is_better else " worse"
        yield f"| {_label(figure)} | {quantity(then.median)} | {quantity(now.median)} | {change}{verdict} |"
