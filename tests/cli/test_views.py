"""What replies look like: lines for people, held to the letter."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from cbox_init.cli.console import Console, Span, TextStyle, cut, fit, table_lines, wants_colour
from cbox_init.cli.history import HISTORY_HEADER, execution_row, run_row
from cbox_init.cli.process_table import USUAL, all_run, is_well, rows, table, why
from cbox_init.cli.views import daemon_lines, status_lines
from cbox_init.client import OneshotEntry, RunEntry
from cbox_init.words import took
from tests.client.fake import daemon_entry, instance, process

if TYPE_CHECKING:
    from cbox_init.client import ProcessEntry

NOW = 1_700_000_123.9
"""123.9 seconds after the start of the instances that ``fake`` makes."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def text(lines: list[list[Span]]) -> list[str]:
    out = io.StringIO()
    Console(out, {}).lines(lines)
    return out.getvalue().splitlines()


def test_list() -> None:
    entries = [
        process(instance(0, restart_count=2), instance(1, started_at=1_700_000_120, restart_count=1)),
        process(
            instance(0, "failed", id="queue-default-0"),
            name="queue-default",
            state="failed",
            scale=0,
            desired_scale=3,
        ),
        process(name="late", state="stopped", wanted=False, desired_scale=1),
    ]
    assert text(table_lines(*rows(USUAL, entries, NOW))) == [
        "NAME           STATUS   SCALE  RESTARTS  UPTIME  PID/READY  CPU   MEMORY  HEALTH  WHY",
        "web            running  2/2    3         2m3s    2/2        1.0%  2.0MiB  -",
        "queue-default  failed   0/3    0         -       0/3        -     -       -       failed",
        "late           stopped  0/1    0         -       -          -     -       -",
    ]


def test_an_empty_list_is_its_header() -> None:
    assert text(table_lines(*rows(USUAL, [], NOW))) == [
        "NAME  STATUS  SCALE  RESTARTS  UPTIME  PID/READY  CPU  MEMORY  HEALTH  WHY"
    ]


def test_status_of_a_schedule() -> None:
    entry = process(
        name="backup",
        type="scheduled",
        state="scheduled",
        scale=0,
        desired_scale=0,
        schedule="0 3 * * *",
        schedule_state="idle",
        next_run=int(NOW) + 3661,
        last_run=int(NOW) - 90,
        run_count=3,
        success_rate=66.67,
        last_exit_code=1,
    )
    lines = text(status_lines(entry, NOW))
    assert lines[3:7] == [
        "Schedule:  0 3 * * * (idle)",
        "Next Run:  in 1h1m",
        "Last Run:  1m30s ago, last exit code 1",
        "Runs:      3, 66.7% succeeded",
    ]
    assert all_run([entry])


def test_status_of_a_schedule_that_is_paused_and_has_not_run() -> None:
    entry = process(
        name="backup",
        type="scheduled",
        state="paused",
        wanted=False,
        schedule="@daily",
        schedule_state="paused",
        run_count=0,
        success_rate=0.0,
    )
    assert text(status_lines(entry, NOW))[3:7] == [
        "Schedule:  @daily (paused)",
        "Next Run:  -",
        "Last Run:  -",
        "Runs:      0, 0.0% succeeded",
    ]


def test_status() -> None:
    entry = process(
        instance(0, restart_count=1),
        instance(1, "starting", reason="exit code 3", next_restart_at=NOW + 5.5, started_at=0),
        reason="exit code 3",
    )
    assert text(status_lines(entry, NOW)) == [
        "Name:      web",
        "Type:      longrun",
        "Status:    running",
        "Reason:    exit code 3",
        "Scale:     1/2",
        "Restarts:  1",
        "Instances:",
        "  ID     PID   STATE     UPTIME  RESTARTS",
        "  web-0  1000  running   2m3s    1",
        "  web-1  -     starting  -       0         exit code 3, restart in 5s",
        "CPU:       1.0%",
        "Memory:    2.0 MiB (0.2%)",
    ]


def test_the_daemon() -> None:
    lines = ["".join(span.text for span in line) for line in daemon_lines(daemon_entry())]
    assert lines == [
        "Version:     0.1.0 (Python 3.11.7)",
        "PID:         1",
        "Config:      /etc/cbox-init/cbox-init.yaml",
        "Uptime:      1h5m",
        "Processes:   5, 2 with a schedule",
        "Instances:   12, 11 running, 1 failed",
        "Restarts:    7",
        "CPU:         3.2 s, 2 threads",
        "Memory:      36.0 MiB, at most 40.0 MiB",
        "Descriptors: 42 of 1024",
        "Loop lag:    0.2 ms median, 1.2 ms p99, 5.3 ms max",
        "Log:         1000 records, 0 dropped, 12 B queued",
        "API:         3 requests, 1 connections, 0 follow the log",
    ]


def test_a_daemon_without_a_file_or_a_limit() -> None:
    entry = daemon_entry()
    backed_up = replace(entry.log, backed_up=True)
    entry = replace(entry, config=None, max_file_descriptors=-1, log=backed_up)
    text = "\n".join("".join(span.text for span in line) for line in daemon_lines(entry))
    assert "Config:      none, only the environment\n" in text
    assert "Descriptors: 42\n" in text
    assert "12 B queued, backed up\n" in text


def test_history_of_oneshots_and_of_schedules() -> None:
    at = "2026-11-24T09:08:{:06.3f}000000Z"
    base = {"id": 1, "process_name": "migrate", "instance_id": "migrate-0", "started_at": at.format(3.25)}
    over = {"finished_at": at.format(3.262), "duration": "12ms", "duration_ms": 12}
    nothing = {"finished_at": None, "exit_code": None, "success": None, "duration": None, "duration_ms": None}
    run = {"id": "job-run-2", "start_time": at.format(1), "end_time": "2026-11-24T09:10:04Z"}
    executions = [
        {**base, **nothing, "error": "", "trigger_type": "manual"},
        {**base, **over, "exit_code": 0, "success": True, "error": "", "trigger_type": "startup"},
    ]
    rows = [execution_row(entry) for entry in msgspec.convert(executions, list[OneshotEntry])]
    failed = {**run, "exit_code": 3, "success": False, "error": "exit code 3", "triggered": "schedule"}
    rows.append(run_row(msgspec.convert(failed, RunEntry)))
    assert text(table_lines(HISTORY_HEADER, rows)) == [
        "STARTED                   INSTANCE   TRIGGER   TOOK    EXIT  RESULT",
        "2026-11-24T09:08:03.250Z  migrate-0  manual    -       -     running",
        "2026-11-24T09:08:03.250Z  migrate-0  startup   0.012s  0     success",
        "2026-11-24T09:08:01.000Z  job-run-2  schedule  2m3s    3     exit code 3",
    ]


@pytest.mark.parametrize(
    ("ended", "words"),
    [("09:00:00.01Z", "0.010s"), ("09:00:59.94Z", "59.9s"), ("08:00:00Z", "0.000s"), ("soon", "-")],
)
def test_what_it_took(ended: str, words: str) -> None:
    assert took("2026-11-24T09:00:00Z", f"2026-11-24T{ended}") == words


def test_status_shows_what_an_instance_says_of_itself() -> None:
    well = {"status": "healthy", "ready": True, "consecutive_failures": 0, "notified": "ready"}
    entry = process(
        instance(0, health={**well, "status_text": "3 connections"}),
        instance(1, health=well),
        instance(
            2,
            health={**well, "ready": False, "notified": "reloading", "status_text": "reading"},
            reason="not ready: it reports reloading",
        ),
    )
    rows = text(status_lines(entry, NOW))
    assert [row.split("0         ")[1] for row in rows if row.startswith("  web-")] == [
        'healthy, says "3 connections"',
        "healthy",
        'not ready: it reports reloading, says "reading"',
    ]


def test_status_shows_health() -> None:
    well = {"status": "healthy", "ready": True, "consecutive_failures": 0, "last_result": "success"}
    slow = {"status": "starting", "ready": False, "consecutive_failures": 2, "reason": "a:1: refused"}
    entry = process(
        instance(
            0, health={**well, "latency_ms": 1.234}, restart_count=3, restart_reasons={"health_check": 2}
        ),
        instance(1, health=slow),
        instance(2, health={"status": "starting", "ready": False, "consecutive_failures": 0}),
        instance(
            3, health={**slow, "status": "unhealthy"}, reason="unhealthy after 3 failed checks in a row"
        ),
        instance(4, health={**well, "latency_ms": 1.0, "not_checked": "a:1: Too many open files"}),
    )
    notes = [line.split("2m3s    ")[1][10:] for line in text(status_lines(entry, NOW)) if "  web-" in line]
    assert notes == [
        "healthy, checked in 1.2 ms, restarted 2x by its health check",
        "starting, 2 failed: a:1: refused",
        "starting",
        "unhealthy after 3 failed checks in a row",
        "healthy, not checked: a:1: Too many open files",
    ]


def test_status_of_a_process_that_waits() -> None:
    lines = text(status_lines(process(state="starting", desired_scale=1, waiting_for=["db", "cache"]), NOW))
    assert "Waits for: db, cache" in lines
    assert "Instances: none" in lines


@pytest.mark.parametrize(
    ("entry", "well"),
    [
        (process(instance()), True),
        (process(instance(0, "completed"), type="oneshot", state="completed"), True),
        (process(state="stopped", wanted=False, desired_scale=1), True),
        (process(instance(0, "stopping"), state="stopping", wanted=False), True),
        (process(state="starting", desired_scale=1), False),
        (process(instance(0, "failed"), state="failed"), False),
        (process(instance(0, "stopped"), state="stopped"), False),
        (process(instance(), instance(1, "failed")), False),
        (process(instance(), instance(1, "starting", next_restart_at=NOW + 5)), False),
        (process(instance(0, "failed"), state="stopped", wanted=False), True),
    ],
)
def test_what_runs_as_it_should(entry: ProcessEntry, well: bool) -> None:
    assert all_run([process(instance()), entry]) is well


def test_colours_are_for_terminals_that_want_them() -> None:
    assert not wants_colour(io.StringIO(), {})
    assert wants_colour(Terminal(), {})
    assert wants_colour(Terminal(), {"NO_COLOR": ""})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    terminal = Terminal()
    Console(terminal, {}).line([Span("plain "), Span("[red]failed[/red]", TextStyle("red", bold=True))])
    assert terminal.getvalue() == "plain \x1b[31m\x1b[1m[red]failed[/red]\x1b[0m\n"


def test_a_terminal_gets_no_control_characters_of_processes() -> None:
    given = "a\x1b]0;title\x07\rb\x1b[2J\x9b1m\tc\x1b[1;31md\x1b[0m\ne\u202ef\u2066g\u2028h"
    for shown in (Terminal(), io.StringIO()):
        Console(shown, {}).line([Span(given)])
        visible = (
            "a\\x1b]0;title\\x07\\rb\\x1b[2J\\x9b1m\tc\x1b[1;31md\x1b[0m\ne\\u202ef\\u2066g\\u2028h\x1b[0m"
        )
        assert shown.getvalue() == f"{visible if shown.isatty() else given}\n"


def test_json_on_a_terminal_has_no_control_characters() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for shown in (terminal, pipe):
        Console(shown, {}).json({"a": "\x1b[2J\x9b\u202e\xe9"})
        assert json.loads(shown.getvalue()) == {"a": "\x1b[2J\x9b\u202e\xe9"}
    assert terminal.getvalue() == '{"a":"\\u001b[2J\\u009b\\u202eé"}\n'


def test_a_reason_makes_no_lines_of_its_own() -> None:
    lines = text(status_lines(process(instance(reason="a\nb"), reason="x\nName: y"), NOW))
    assert "Reason:    x Name: y" in lines
    assert any(line.endswith("a b") for line in lines)


def test_a_colour_of_a_process_ends_with_its_line() -> None:
    terminal, plain = Terminal(), Terminal()
    Console(terminal, {}).line([Span("a\x1b[31mb")])
    Console(plain, {}, colour=False).line([Span("a\x1b[31mb")])
    assert (terminal.getvalue(), plain.getvalue()) == ("a\x1b[31mb\x1b[0m\n", "ab\n")


def test_what_is_too_wide_is_cut() -> None:
    assert [cut("abcdef", 6), cut("abcdef", 5), cut("\u65e5\u672c\u8a9e", 5)] == [
        "abcdef",
        "abcd…",
        "\u65e5\u672c…",
    ]
    assert fit([Span("abc"), Span("def"), Span("ghi")], 5) == [Span("abc"), Span("d…")]
    line = [Span("web"), Span("exit code 3, and more about it")]
    assert text(table_lines(("NAME", "WHY"), [line], 24)) == ["NAME  WHY", "web   exit code 3, and …"]
    wide = table_lines(("A", "B"), [[Span("\u65e5\u672c"), Span("x")], [Span("ab"), Span("y")]])
    assert text(wide) == ["A     B", "\u65e5\u672c  x", "ab    y"]


def test_a_narrow_terminal_has_fewer_columns() -> None:
    entry = process(instance(0, "starting", reason="exit code 3, and more", next_restart_at=NOW + 9))
    for width, header in (
        (120, "NAME  STATUS   SCALE  RESTARTS  UPTIME  PID/READY  CPU  MEMORY  HEALTH  WHY"),
        (93, "NAME  STATUS   RESTARTS  UPTIME  PID/READY  CPU  MEMORY  HEALTH  WHY"),
        (72, "NAME  STATUS   UPTIME  PID/READY  CPU  HEALTH  WHY"),
        (20, "NAME  STATUS   PID/READY  HEALTH  WHY"),
    ):
        lines = text(table(USUAL, [entry], NOW, width, fits=True))
        assert lines[0] == header
        assert width < 50 or len(lines[1]) <= width


_HEALTHY = {"status": "healthy", "ready": True, "consecutive_failures": 0}
_UNHEALTHY = {"status": "unhealthy", "ready": False, "consecutive_failures": 3, "reason": "a:1: refused"}


@pytest.mark.parametrize(
    ("entry", "well", "reason"),
    [
        (process(instance()), True, ""),
        (
            process(state="starting", desired_scale=1, waiting_for=["db", "cache"]),
            False,
            "waits for db, cache",
        ),
        (
            process(
                instance(0, "starting", reason="exit code 3", next_restart_at=NOW + 5.5), state="starting"
            ),
            False,
            "exit code 3, restart in 5s",
        ),
        (
            process(instance(), instance(1, "failed", reason="exit code 3"), instance(2, "failed")),
            False,
            "web-1: exit code 3, and 1 more",
        ),
        (process(instance(health=_HEALTHY)), True, ""),
        (process(instance(health=_UNHEALTHY)), False, "unhealthy: a:1: refused"),
        (process(state="stopped", wanted=False, desired_scale=1), True, ""),
        (
            process(
                instance(),
                rollout={
                    "state": "failed",
                    "updated": 1,
                    "total": 3,
                    "instance": "web-3",
                    "reason": "not ready",
                },
            ),
            False,
            "rollout failed, 1/3 new: web-3: not ready",
        ),
        (process(state="scheduled", type="scheduled", last_exit_code=3), True, "last run: exit code 3"),
        (process(instance(0, "failed", reason="a\nb\tc"), state="failed"), False, "a b c"),
    ],
)
def test_why_something_is_not_well(entry: ProcessEntry, well: bool, reason: str) -> None:
    assert (is_well(entry), why(entry, NOW)) == (well, reason)


def test_colours_do_not_move_columns() -> None:
    lines = table_lines(*rows(USUAL, [process(instance())], NOW))
    terminal = Terminal()
    Console(terminal, {}).lines(lines)
    bare = terminal.getvalue()
    for code in ("\x1b[1m", "\x1b[32m", "\x1b[0m"):
        assert code in bare
        bare = bare.replace(code, "")
    assert bare.splitlines() == text(lines)
