"""What the pages look like, and what keys and clicks do."""

from __future__ import annotations

import pytest

from cbox_init.client import EventEntry, LiveProcesses, LogEntry, RunEntry
from cbox_init.errors import ApiError, DaemonUnreachable
from cbox_init.tui.grid import Grid
from tests.tui.conftest import check_picture, screen_of, screen_text, until, until_shown
from tests.tui.fake import NOW, FakeClient, a_change, instance, process, some_processes


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
async def test_processes(size: tuple[int, int]) -> None:
    async with screen_of(FakeClient(some_processes()), size) as (app, pilot):
        await pilot.press("j", "right", "j", "j", "j")
        await until_shown(pilot, "web-1")
        check_picture(app, f"processes-{size[0]}x{size[1]}")


async def test_no_process_says_what_to_do() -> None:
    async with screen_of(FakeClient()) as (app, _):
        check_picture(app, "no-processes")


async def test_no_daemon_says_what_to_do() -> None:
    client = FakeClient()
    client.problem = DaemonUnreachable("nothing listens on /run/cbox-init.sock")
    async with screen_of(client) as (app, pilot):
        await until_shown(pilot, "nothing listens")
        check_picture(app, "no-daemon")


async def test_a_viewer_sees_no_actions() -> None:
    client = FakeClient(some_processes(), role="viewer")
    async with screen_of(client) as (app, pilot):
        shown = screen_text(app)
        assert "Details" in shown
        assert not any(word in shown for word in ("Restart", "Stop", "Add"))
        await pilot.press("r", "s", "x", "+", "-", "a", "e", "D", "R", "W")
        await pilot.pause()
        assert (len(app.screen_stack), client.sent) == (1, [])


async def test_an_operator_cannot_configure() -> None:
    async with screen_of(FakeClient(some_processes(), role="operator")) as (app, pilot):
        await pilot.press("a", "e", "D")
        await pilot.pause()
        assert "Restart" in screen_text(app)
        assert len(app.screen_stack) == 1


async def test_a_restart_is_asked_and_followed() -> None:
    client = FakeClient(some_processes())
    client.change_entry = a_change()
    async with screen_of(client) as (app, pilot):
        await pilot.press("j", "r")
        await until_shown(pilot, "2 instances will be replaced")
        check_picture(app, "confirm-restart")
        await pilot.press("n", "r", "y")
        await until_shown(pilot, "1/2  web-1")
        assert client.sent == [("restart", "web")]
        client.change_entry = a_change("failed", reason="web-1 is not ready")
        await until_shown(pilot, "failed: web-1 is not ready")
        await pilot.press("escape")
        await until(pilot, lambda: "not ready" not in screen_text(app), "Escape takes it away")


async def test_keys_of_one_instance_and_of_scale() -> None:
    client = FakeClient(some_processes())
    async with screen_of(client) as (_, pilot):
        await pilot.press("down", "right", "down", "down", "r", "y", "+", "minus")
        await until_shown(pilot, "down to 1?")
        await pilot.press("enter", "x")
        await until(pilot, lambda: len(client.sent) == 4, "all were sent")
        assert client.sent == [
            ("restart", "web-1"),
            ("scale", "web", 1),
            ("scale", "web", -1),
            ("restart", "web-1"),
        ]


async def test_a_refused_command_says_why() -> None:
    client = FakeClient(some_processes())

    async def refuse(name: str) -> None:
        raise ApiError(409, "web is being removed", ["wait until it is gone"])

    client.start = refuse  # type: ignore[method-assign]
    async with screen_of(client) as (_, pilot):
        await pilot.press("j", "x")
        await until_shown(pilot, "wait until it is gone")


async def test_mouse_and_tabs() -> None:
    async with screen_of(FakeClient(some_processes())) as (app, pilot):
        grid = app.screen.query_one(Grid)
        await pilot.click(Grid, offset=(5, 3))
        assert grid.key == "queue"
        await pilot.click("TopBar", offset=(38, 0))
        await until(pilot, lambda: app.current_mode == "schedules", "the tab was clicked")
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "processes", "back")
        assert app.screen.query_one(Grid).key == "queue"


async def test_filter_and_order() -> None:
    async with screen_of(FakeClient(some_processes())) as (app, pilot):
        await pilot.press("slash", *"zz", "enter")
        await until(pilot, lambda: len(app.screen.query_one(Grid).rows) == 0, "nothing matches")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen.query_one(Grid).rows) == 8, "all again")
        await pilot.press("o")
        assert app.screen.query_one(Grid).rows[0].key == "broken"


async def test_the_cursor_stays_on_its_process() -> None:
    client = FakeClient(some_processes())
    async with screen_of(client) as (app, pilot):
        await pilot.press("j", "j")
        new = process("a-new-one", instance("a-new-one-0"))
        order = ("a-new-one", *(entry.name for entry in client.entries if entry.name != "web"))
        client.push(LiveProcesses(time=NOW, processes=(new,), removed=("web",), order=order))
        await until_shown(pilot, "a-new-one")
        assert app.screen.query_one(Grid).key == "queue"
        client.push(DaemonUnreachable("gone"))
        await until_shown(pilot, "not connected")
        await until(pilot, lambda: app.state.connection == "live", "connected again")
        await until_shown(pilot, "web")
        assert app.screen.query_one(Grid).key == "queue"


async def test_only_what_changed_is_drawn() -> None:
    """With 500 processes a message about one of them costs one line."""
    client = FakeClient([process(f"p{n:03}", instance(f"p{n:03}-0")) for n in range(500)])
    async with screen_of(client, (120, 40)) as (app, pilot):
        grid = app.screen.query_one(Grid)
        for name, cpu in (("p002", 40.0), ("p003", 50.0)):
            before = grid.lines_drawn
            changed = process(name, instance(f"{name}-0", cpu_percent=cpu))
            client.push(LiveProcesses(time=NOW, processes=(changed,), removed=()))
            await until_shown(pilot, f"{cpu}%")
        assert grid.lines_drawn - before <= 2
        assert len(grid.rows) == 500


async def test_details() -> None:
    client = FakeClient(some_processes())
    client.happened = [
        EventEntry(
            number=7,
            timestamp="2027-01-15T08:00:00Z",
            kind="instance.exited",
            process="web",
            instance="web-1",
            reason="exit code 1",
            data={"exit_code": 1, "requested": False, "last_output": "one\n\x1b[2Jtwo"},
        )
    ]
    async with screen_of(client, (120, 40)) as (app, pilot):
        await pilot.press("j", "d")
        await until_shown(pilot, "max_scale")
        check_picture(app, "details")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "back")


def line(number: int, message: str, level: str = "info", name: str = "web") -> LogEntry:
    return LogEntry(
        timestamp=f"2027-01-15T08:00:{number:02}Z",
        process=name,
        instance=f"{name}-0",
        stream="stdout",
        level=level,
        message=message,
    )


async def test_logs() -> None:
    client = FakeClient(some_processes())
    client.lines = [
        line(1, "plain"),
        line(2, "\x1b[31mred\x1b[0m and \x1b[2J clear, \x07 bell, \r return, \u202e reversed"),
        line(3, "out of luck", "error", "queue"),
        line(4, "日本語のログ"),
        line(5, "a long line " * 12, "debug"),
    ]
    async with screen_of(client) as (app, pilot):
        await pilot.press("j", "enter")
        await until_shown(pilot, "out of luck")
        check_picture(app, "logs")
        await pilot.press("w")
        await until_shown(pilot, "wrapped")
        check_picture(app, "logs-wrapped")
        await pilot.press("v", "v", "v")
        await until_shown(pilot, "1 of 5 lines")
        assert "plain" not in screen_text(app)
        await pilot.press("v", "slash", *"LUCK", "enter")
        await until_shown(pilot, "/luck: 1 of 1")
        assert "paused" in screen_text(app)
        await pilot.press("f")
        await until_shown(pilot, "following")


async def test_schedules_with_their_runs() -> None:
    client = FakeClient(some_processes())
    client.runs = [
        RunEntry(
            id=f"report-run-{number}",
            start_time=f"2027-01-15T08:0{number}:00Z",
            end_time=f"2027-01-15T08:0{number}:02.5Z",
            exit_code=number % 2,
            success=not number % 2,
            error="exit code 1" if number % 2 else "",
            triggered="schedule",
        )
        for number in (3, 2, 1)
    ]
    async with screen_of(client) as (app, pilot):
        await pilot.press("3")
        await until_shown(pilot, "report-run-1")
        check_picture(app, "schedules")


async def test_changes_and_daemon_and_help() -> None:
    client = FakeClient(some_processes())
    client.change_entry = a_change("failed", reason="web-1 is not ready")
    async with screen_of(client) as (app, pilot):
        await pilot.press("5")
        await until_shown(pilot, "web-1 is not ready")
        check_picture(app, "changes")
        await pilot.press("enter")
        await until_shown(pilot, "Asked for by")
        await pilot.press("escape", "6")
        await until_shown(pilot, "1000 written")
        check_picture(app, "daemon")
        await pilot.press("question_mark")
        await until_shown(pilot, "Everywhere")
        check_picture(app, "help")


async def test_light_and_dark() -> None:
    async with screen_of(FakeClient(some_processes())) as (app, pilot):
        seen = [app.current_theme.dark]
        await pilot.press("t")
        await pilot.pause()
        assert [*seen, app.current_theme.dark] == [True, False]
        assert "migrate" in screen_text(app)


async def test_the_palette_has_every_process() -> None:
    async with screen_of(FakeClient(some_processes())) as (app, pilot):
        await pilot.press("ctrl+p", *"stopqueue")
        await until_shown(pilot, "Stop queue")
        await pilot.press("enter")
        await until_shown(pilot, "1 instance will be stopped")
        assert app.screen_stack


@pytest.mark.parametrize("name", ['[a="b]', "web[red]", "[@click=app.quit]x"])
async def test_a_name_is_no_markup(name: str) -> None:
    async with screen_of(FakeClient([process(name, instance(f"{name}-0"))])) as (app, pilot):
        await pilot.press("ctrl+p", *"stop")
        await until_shown(pilot, f"Stop {name}")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "the palette is closed")
        await pilot.press("s")
        await until_shown(pilot, f"Stop {name}")


async def test_events() -> None:
    client = FakeClient(some_processes())
    client.happened = [
        EventEntry(
            number=number,
            timestamp=f"2027-01-15T08:00:0{number}Z",
            kind=kind,
            process="web",
            instance="web-1",
            data={"exit_code": 1, "requested": False, "last_output": "the last line"},
        )
        for number, kind in ((1, "instance.started"), (2, "instance.exited"))
    ]
    async with screen_of(client) as (app, pilot):
        await pilot.press("4")
        await until_shown(pilot, "instance.exited")
        check_picture(app, "events")
        await pilot.press("enter")
        await until_shown(pilot, "the last line")


async def test_a_defect_of_a_page_is_shown_and_the_screen_goes_on() -> None:
    client = FakeClient(some_processes())
    works = client.changes

    async def fail(**keys: object) -> None:
        raise ZeroDivisionError("nobody thought of it")

    client.changes = fail  # type: ignore[method-assign,assignment]
    async with screen_of(client) as (app, pilot):
        await pilot.press("5")
        await until_shown(pilot, "nobody thought of it")
        client.changes = works  # type: ignore[method-assign]
        await until_shown(pilot, "✔ done")
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "processes", "keys are answered")


async def test_a_token_that_expires_is_said() -> None:
    client = FakeClient(some_processes())
    async with screen_of(client, (120, 24)) as (_, pilot):
        client.problem = ApiError(401, "authentication failed: token missing or wrong")
        client.push(DaemonUnreachable("the stream has ended"))
        await until_shown(pilot, "authentication failed")
        await until_shown(pilot, "migrate")
