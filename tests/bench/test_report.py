"""The benchmark's Markdown, its place in the documentation, and its pictures."""

import xml.etree.ElementTree as ET

import pytest
from bench.docs import PAGE, replaced
from bench.errors import BenchError
from bench.figures import Figure, Summary, summarize
from bench.plot import bars, curves, decades, ticks
from bench.results import Absence, Line, SeriesLine, SeriesResult, Taken

from bench import growth, peers, report, rows

MS = Figure("up", "start <cold>", "ms")
SVG = "{http://www.w3.org/2000/svg}"


def line(**medians: float) -> Line:
    return Line(MS, {name.replace("_", "-"): summarize([median]) for name, median in medians.items()})


def series(**medians: list[float]) -> SeriesResult:
    sizes = [1, 10, 100]
    peers = {
        name.replace("_", "-"): {size: summarize([value]) for size, value in zip(sizes, values, strict=False)}
        for name, values in medians.items()
    }
    return SeriesResult("children", "Children", "children", sizes, [SeriesLine(MS, peers)])


def widths(picture: str) -> list[float]:
    """The lengths of the bars, the background left out."""
    return [float(one.attrib["width"]) for one in ET.fromstring(picture).iter(f"{SVG}rect")][1:]


def points(picture: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in one.attrib["points"].split())]
        for one in ET.fromstring(picture).iter(f"{SVG}polyline")
    ]


def test_a_figure_that_nobody_has_is_no_line() -> None:
    assert report.table([Line(MS, {})], ["cbox-init"]).count("\n") == 1


def test_a_unit_that_is_none_is_not_shown() -> None:
    counted = Line(Figure("lost", "lines lost", ""), {"cbox-init": summarize([0])})
    assert report.table([counted], ["cbox-init"]).splitlines()[-1] == "| lines lost | 0 |"


def test_a_series_has_a_column_a_size() -> None:
    table = report.series_table(series(cbox_init=[5, 6, 700], s6=[4]))
    assert table.splitlines() == [
        "| children | | 1 | 10 | 100 |",
        "|---|---|---|---|---|",
        "| start <cold> (ms) | cbox-init | 5.00 | 6.00 | 700 |",
        "| start <cold> (ms) | s6 | 4.00 | - | - |",
    ]


def test_what_is_missing_is_told_by_peer_and_reason() -> None:
    absences = [
        Absence("list-rate", "s6", "it has no HTTP"),
        Absence("idle", "pm2", "slow"),
        Absence("flood-api (in part)", "s6", "it has no HTTP"),
        Absence("checks", "s6", "it has none"),
    ]
    taken = Taken(date="", rounds=1, machine={}, versions={}, notes=["pm2: gone"], absences=absences)
    assert report.notes(taken).splitlines() == [
        "- not measured: pm2: gone",
        "- without s6: list-rate, flood-api (in part): it has no HTTP; checks: it has none",
        "- without pm2: idle: slow",
    ]


def test_a_part_of_the_page_is_replaced_and_the_rest_kept() -> None:
    page = "by hand\n<!-- a: written by make bench -->\nold\n<!-- end of a -->\nby hand, too\n"
    new = replaced(page, {"a": "new \\1"})
    assert new == (
        "by hand\n<!-- a: written by make bench -->\n\nnew \\1\n\n<!-- end of a -->\nby hand, too\n"
    )
    assert replaced(new, {"a": "new \\1"}) == new


def test_a_page_without_the_marks_is_left_alone() -> None:
    with pytest.raises(BenchError, match="needs one line `<!-- a: written by make bench -->`"):
        replaced("nothing", {"a": "new"})


def test_the_page_has_the_marks() -> None:
    parts = dict.fromkeys(("results", "pictures", "growth"), "")
    replaced(PAGE.read_text(), parts)


def test_a_bar_is_as_long_as_its_value() -> None:
    ours, theirs = widths(bars("Start & stop", [line(cbox_init=10, s6=40)]))
    assert theirs == pytest.approx(4 * ours, rel=0.01)


def test_a_bar_among_much_longer_ones_is_seen() -> None:
    least, middle, most = widths(bars("Start", [line(cbox_init=1, s6=30, pm2=1000)]))
    assert 0 <= least < middle < most
    assert middle == pytest.approx(most * 1.477 / 3, rel=0.01), "logarithmic"


def test_nothing_but_zeros_can_be_drawn() -> None:
    assert widths(bars("Lost", [line(cbox_init=0, s6=0)])) == [1, 1], "a line, so that it is seen"


def test_a_curve_goes_through_its_sizes_at_equal_ratios() -> None:
    first, second = points(curves(series(s6=[1, 2], cbox_init=[10, 20, 40])))
    assert len(first) == 2
    assert len(second) == 3, "ours is the last, above the others"
    assert second[1][0] - second[0][0] == pytest.approx(second[2][0] - second[1][0], abs=0.2)
    assert second[0][1] > second[1][1] > second[2][1], "more is higher up"


def test_zero_is_below_all_else_on_a_logarithmic_axis() -> None:
    picture = curves(series(cbox_init=[0, 1, 1000]))
    labels = [one.text for one in ET.fromstring(picture).iter(f"{SVG}text") if one.text]
    assert labels[labels.index("start <cold> (ms)") + 1 :][:5] == ["0", "1", "10", "100", "1,000"]
    (zero, one, thousand) = points(picture)[0]
    assert zero[1] - one[1] == pytest.approx((one[1] - thousand[1]) / 3, abs=0.2), "a decade below"


@pytest.mark.parametrize("values", [[0.0, 0, 0], [0, 5, 0], [0.5, 5, 5000], [3, 3, 3]])
def test_a_curve_stays_within_the_picture(values: list[float]) -> None:
    picture = curves(series(cbox_init=values))
    height = float(ET.fromstring(picture).attrib["height"])
    assert all(0 < y < height for _, y in points(picture)[0])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (0, 83, [0, 25, 50, 75, 100]), (0, 4000, [0, 1000, 2000, 3000, 4000])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(2, 300, [1, 10, 100, 1000]), (1, 1, [1, 10]), (0.05, 0.9, [0.01, 0.1, 1])]
)
def test_decades_enclose(low: float, high: float, expected: list[float]) -> None:
    assert decades(low, high) == pytest.approx(expected)


def test_every_name_and_key_is_there_once() -> None:
    keys = [figure.key for row in rows.ALL for figure in row.figures]
    assert len(keys) == len(set(keys))
    names = [row.name for row in rows.ALL] + [f"growth-{one.name}" for one in growth.ALL]
    assert len(names) == len(set(names)), "they name pictures"


def test_we_have_all_that_is_measured() -> None:
    ours = peers.ALL[0]
    assert ours.name == "cbox-init"
    assert not ours.lacks


def test_the_spread_is_shown_where_there_is_one() -> None:
    spread = Line(MS, {"cbox-init": Summary(2, 1, 4, [1, 2, 4])})
    assert "2.00  (1.00 to 4.00)" in bars("Start", [spread])
