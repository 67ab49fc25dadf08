"""Events: what is kept of them, and what they cost whoever emits and listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.sensitive import KnownSecrets
from cbox_init.supervisor.defects import Defects
from cbox_init.supervisor.events import (
    KEPT,
    KEPT_EACH,
    KEPT_LEAST,
    KEPT_REMOVED,
    LATEST,
    LONGEST_TEXT,
    Event,
    Events,
)

if TYPE_CHECKING:
    from tests.supervisor.house import Build


class SilentLog:
    """Takes the messages of defects."""

    def error(self, message: str, **fields: object) -> None:
        pass


def events(*secrets: str) -> Events:
    return Events(KnownSecrets(lambda: secrets), Defects(SilentLog()))  # type: ignore[arg-type]


def numbers(found: list[Event] | None) -> list[int]:
    assert found is not None
    return [event.number for event in found]


def test_an_event_is_kept_and_heard() -> None:
    store, heard = events(), list[Event]()
    leave = store.listen(heard.append)
    store.emit("instance.exited", "web", "web-0", reason="exit code 3", exit_code=3, unknown=None)
    leave()
    store.emit("daemon.ready")
    assert [event.kind for event in heard] == ["instance.exited"]
    assert heard == list(store.history("web"))
    assert (heard[0].number, heard[0].reason, heard[0].data) == (1, "exit code 3", {"exit_code": 3})
    assert [event.number for event in store.history("")] == [2]


def test_secrets_are_masked_and_long_texts_cut() -> None:
    store = events("s3cret-value-99")
    store.emit(
        "daemon.defect", "web", reason="no s3cret-value-99", last_output="it is s3cret-value-99" + "x" * 5000
    )
    (event,) = store.history("web")
    assert event.reason == "no ***"
    assert str(event.data["last_output"]).startswith("it is ***xxx")
    assert len(str(event.data["last_output"])) == LONGEST_TEXT


def test_what_cannot_be_kept_raises_nothing() -> None:
    store = events()
    store._unix = lambda: 1 / 0
    store.emit("daemon.ready")
    assert store._defects.count == 1
    assert store.last == 0


def test_a_listener_that_raises_disturbs_nobody() -> None:
    store, heard = events(), list[Event]()

    def broken(event: Event) -> None:
        raise ZeroDivisionError

    store._defects.on_report = lambda where, error: store.emit("daemon.defect", reason=where)
    store.listen(broken)
    store.listen(heard.append)
    store.emit("daemon.ready")
    assert [event.kind for event in heard] == ["daemon.defect", "daemon.ready"]
    assert isinstance(store._defects.last, ZeroDivisionError)


def test_a_noisy_process_pushes_out_only_its_own() -> None:
    store = events()
    store.emit("daemon.started")
    store.emit("instance.started", "quiet")
    for _ in range(3 * LATEST):
        store.emit("instance.exited", "noisy")
    assert len(store.history("")) == len(store.history("quiet")) == 1
    assert len(store.history("noisy")) == KEPT_EACH
    kept = store.kept_after(0)
    assert numbers(kept) == [1, 2, *range(store.last - LATEST + 1, store.last + 1)]
    assert store.dropped_after(2, "noisy".__eq__)
    assert not store.dropped_after(2, "quiet".__eq__)


def test_the_latest_are_there_without_gaps() -> None:
    store = events()
    for number in range(LATEST + 10):
        store.emit("instance.exited", f"p{number % 7}")
    assert numbers(store.latest_after(store.last)) == []
    assert numbers(store.latest_after(store.last - 3)) == [store.last - 2, store.last - 1, store.last]
    assert len(store.latest_after(10) or ()) == LATEST
    assert store.latest_after(9) is None


def test_all_together_are_limited() -> None:
    store = events()
    processes = 100
    for _ in range(KEPT_EACH):
        for name in range(processes):
            store.emit("instance.exited", str(name))
    kept = sum(len(store.history(str(name))) for name in range(processes))
    assert kept == store._kept <= KEPT
    assert all(len(store.history(str(name))) >= KEPT_LEAST for name in range(processes))


def test_events_of_removed_processes_go_in_the_end() -> None:
    store = events()
    for name in range(KEPT_REMOVED + 2):
        store.emit("instance.exited", str(name))
        store.forget(str(name))
    assert store.history("0") == store.history("1") == ()
    assert len(store.history("2")) == 1
    assert store.dropped_after(1, "new".__eq__)
    store.emit("instance.started", "2")  # it is configured again
    store.emit("instance.exited", "last")
    store.forget("last")
    assert len(store.history("2")) == 2


async def test_a_crash_says_why_and_what_it_wrote(build: Build) -> None:
    house = build(
        """
processes:
  web:
    command: [sh, -c, "echo $API_TOKEN; echo out of luck >&2; exit 3"]
    restart: never
    env: {API_TOKEN: s3cret-value-99}
"""
    )
    found = house.runtime.events.history
    await house.until(lambda: any(event.kind == "instance.given_up" for event in found("web")))
    kinds = [event.kind for event in found("web")]
    assert kinds[:2] == ["process.state", "instance.started"]
    (crash,) = (event for event in found("web") if event.kind == "instance.exited")
    assert crash.reason == "exit code 3"
    assert crash.data["exit_code"] == 3
    assert crash.data["requested"] is False
    assert set(str(crash.data["last_output"]).splitlines()) == {"***", "out of luck"}
    await house.until(lambda: {"before": "running", "state": "failed"} in [one.data for one in found("web")])


@pytest.mark.parametrize("command", ["stop", "restart"])
async def test_an_end_by_a_command_is_requested(build: Build, command: str) -> None:
    house = build("processes: {web: {command: [sleep, '1000']}}")
    await house.until(lambda: house.pids("web"))
    getattr(house.supervisor, command)("web")
    found = house.runtime.events.history
    await house.until(lambda: any(event.kind == "instance.exited" for event in found("web")))
    (end,) = (event for event in found("web") if event.kind == "instance.exited")
    assert end.data["requested"] is True
    assert "last_output" not in end.data
