"""The arithmetic of the benchmark, and what it reads from the programs that it uses."""

import struct
from pathlib import Path

import msgspec
import pytest
from bench.errors import BenchError
from bench.figures import Figure, percentile, quantity, summarize
from bench.records import Record, parse
from bench.results import Line, Results, committed, write

from bench import report, wrk

WRK = """\
Running 1s test @ http://127.0.0.1:9180/api/v1/processes
  1 threads and 32 connections
  Latency Distribution
     50%    1.02ms
     99%    2.50ms
  15342 requests in 1.10s, 320.11MB read
Requests/sec:  13947.27
Transfer/sec:    291.01MB
"""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.1234, "0.123"),
        (4.5678, "4.57"),
        (99.12, "99.1"),
        (1141.4, "1,141"),
        (2_000_000, "2,000,000"),
    ],
)
def test_a_quantity_has_three_digits_that_count(value: float, text: str) -> None:
    assert quantity(value) == text


def test_a_summary_is_the_median_and_the_extremes() -> None:
    summary = summarize([3.0, 1.0, 10.0])
    assert (summary.median, summary.low, summary.high) == (3.0, 1.0, 10.0)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_records_end_with_the_last_whole_one() -> None:
    data = struct.pack("=qqqq", 5_000_000_000, 17, 6_000_000_000, 18)
    assert parse(data + b"\x01\x02") == [Record(5_000_000_000, 17), Record(6_000_000_000, 18)]


def test_the_output_of_wrk_is_read() -> None:
    assert wrk.parse(WRK) == wrk.Load(15342, 13947.27, 2.5)
    assert wrk.parse(WRK.replace("2.50ms", "812.00us")).p99_ms == pytest.approx(0.812)


@pytest.mark.parametrize(
    "bad", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"]
)
def test_a_load_with_bad_answers_does_not_count(bad: str) -> None:
    with pytest.raises(BenchError, match=bad.strip()):
        wrk.parse(WRK + bad)


def results(ours: float, theirs: float | None = None) -> Results:
    peers = {"cbox-init": summarize([ours])} | ({"s6": summarize([theirs])} if theirs else {})
    line = Line(Figure("up_1", "start", "ms"), peers)
    versions = {"cbox-init": "1", "s6": "2"}
    return Results(
        date="2026-11-24", rounds=1, machine={"cores": "2"}, versions=versions, notes=[], lines=[line]
    )


def test_a_peer_stands_beside_its_ratio_to_ours() -> None:
    assert "| start (ms) | 50.0 | 5.00, 0.100x |" in report.markdown(results(50, 5), None)


def test_a_peer_without_the_figure_is_a_dash() -> None:
    assert "| start (ms) | 50.0 | - |" in report.markdown(results(50), None)


@pytest.mark.parametrize(
    ("now", "change"),
    [(40, "-20 % better"), (60, "+20 % worse"), (50, "+0 %")],
    ids=["better", "worse", "same"],
)
def test_the_change_since_the_last_results_is_told(now: float, change: str) -> None:
    assert f"| start (ms) | 50.0 | {quantity(now)} | {change} |" in report.markdown(results(now), results(50))


def test_results_survive_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write(results(50, 5), path)
    assert msgspec.json.decode(path.read_bytes(), type=Results) == results(50, 5)
    assert committed(path) is None, "the file is in no commit"
