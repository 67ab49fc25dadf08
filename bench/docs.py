"""The generated parts of docs/performance.md, and its pictures. What is around them is written by hand."""

from collections.abc import Iterator, Mapping

from bench import plot, report, rows, workspace
from bench.errors import BenchError
from bench.results import Growth, Line, Results, read
from bench.rows.base import Row

PAGE = workspace.PROJECT / "docs" / "performance.md"
PICTURES = workspace.PROJECT / "docs" / "performance"


def write() -> None:
    """Put the last whole results into the page, with a picture a row and a series."""
    parts: dict[str, str] = {}
    pictures: dict[str, str] = {}
    if results := read(workspace.RESULTS, Results):
        titled = {row.name: (row.title, _lines_of(row, results)) for row in rows.ALL}
        pictures |= {name: plot.bars(title, lines) for name, (title, lines) in titled.items() if lines}
        parts["results"] = _results(results)
        parts["pictures"] = "\n\n".join(
            _picture(name, title) for name, (title, lines) in titled.items() if lines
        )
    if found := read(workspace.GROWTH, Growth):
        pictures |= {f"growth-{series.name}": plot.curves(series) for series in found.series}
        parts["growth"] = "\n\n".join(_growth(found))
    page = PAGE.read_text()
    PAGE.write_text(replaced(page, parts))
    PICTURES.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (PICTURES / f"{name}.svg").write_text(picture)
    _remove_old(pictures)


def replaced(page: str, parts: Mapping[str, str]) -> str:
    """Return `page` with each of `parts` between its marks; BenchError where they are missing."""
    for name, text in parts.items():
        begin, end = f"<!-- {name}: written by make bench -->", f"<!-- end of {name} -->"
        if not page.count(begin) == page.count(end) == 1:
            raise BenchError(f"docs/performance.md needs one line `{begin}`, and one `{end}` below it")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def _lines_of(row: Row, results: Results) -> list[Line]:
    keys = {figure.key for figure in row.figures}
    return [line for line in results.lines if line.figure.key in keys and line.peers]


def _results(results: Results) -> str:
    parts = (
        report.table(results.lines, list(results.versions)),
        report.facts(results),
        report.notes(results),
    )
    return "\n\n".join(part for part in parts if part)


def _growth(found: Growth) -> Iterator[str]:
    for series in found.series:
        yield f"### {series.title}"
        yield _picture(f"growth-{series.name}", series.title)
        yield report.series_table(series)
    yield report.facts(found)
    if notes := report.notes(found):
        yield notes


def _picture(name: str, title: str) -> str:
    return f"![{title}](performance/{name}.svg)"


def _remove_old(pictures: Mapping[str, str]) -> None:
    """Leave no picture of a row that is not measured any more."""
    for old in PICTURES.glob("*.svg"):
        if old.stem not in pictures:
            old.unlink()
