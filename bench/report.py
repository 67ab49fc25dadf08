"""Results as Markdown."""

from collections.abc import Iterator

from bench.figures import Summary, quantity
from bench.results import Results

OURS = "cbox-init"


def markdown(results: Results, before: Results | None) -> str:
    """Return the whole report: the table, the machine, the notes, and the change since `before`."""
    parts = [
        "\n".join(_table(results)),
        "\n".join(f"- {name}: {value}" for name, value in _facts(results).items()),
        "\n".join(f"- not measured: {note}" for note in results.notes),
        "\n".join(_changes(results, before)) if before else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _table(results: Results) -> Iterator[str]:
    names = list(results.versions)
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for line in results.lines:
        ours = line.peers.get(OURS)
        cells = [_cell(name, line.peers.get(name), ours) for name in names]
        yield f"| {line.figure.label} ({line.figure.unit}) | {' | '.join(cells)} |"


def _cell(name: str, summary: Summary | None, ours: Summary | None) -> str:
    """Return the median, the spread, and how many times ours it is."""
    if summary is None:
        return "-"
    cell = quantity(summary.median)
    if len(summary.samples) > 1:
        cell += f" ({quantity(summary.low)} to {quantity(summary.high)})"
    if name != OURS and ours and ours.median:
        cell += f", {quantity(summary.median / ours.median)}x"
    return cell


def _facts(results: Results) -> dict[str, str]:
    rounds = "one round" if results.rounds == 1 else f"medians of {results.rounds} rounds (lowest to highest)"
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return {
        "measured": f"{results.date}, {rounds}; x is the ratio to {OURS}",
        **results.machine,
        "versions": versions,
    }


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
        yield (
            f"| {figure.label} ({figure.unit}) | {quantity(then.median)} | {quantity(now.median)} "
            f"| {change}{verdict} |"
        )
