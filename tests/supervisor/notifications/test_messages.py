"""Which events become messages, which of them are joined, and what is dropped."""

from __future__ import annotations

import pytest

from cbox_init.config.event_kinds import EVENT_KINDS
from cbox_init.config.model import NotificationConfig, WebhookConfig
from cbox_init.supervisor.events import KINDS, Event
from cbox_init.supervisor.notifications.messages import MOST_WAITING, Message, MessageQueue, MessageStatus
from cbox_init.supervisor.notifications.wording import (
    is_problem,
    problem_key,
    recovered_keys,
    severity,
    text,
    title,
)

Data = dict[str, str | int | float | bool | None]


def event(kind: str, process: str = "web", instance: str = "", reason: str = "", **data: object) -> Event:
    return Event(1, 1_000.0, kind, process, instance, "", reason, data)  # type: ignore[arg-type]


def crash(process: str = "web", code: int = 1) -> Event:
    return event(
        "instance.exited", process, f"{process}-0", f"exit code {code}", exit_code=code, failed=code != 0
    )


def queue(
    *events: str, processes: tuple[str, ...] = (), min_interval: float = 60, pagerduty: bool = False
) -> MessageQueue:
    webhook = WebhookConfig(template="pagerduty" if pagerduty else "json")
    return MessageQueue(
        NotificationConfig(events=events, processes=processes, webhook=webhook, min_interval=min_interval)
    )


def take_all(found: MessageQueue, now: float) -> list[Message]:
    messages = []
    while (message := found.take(now)) is not None:
        messages.append(message)
    return messages


def test_the_kinds_that_can_be_chosen_are_those_that_there_are() -> None:
    assert set(EVENT_KINDS) == set(KINDS), "config/event_kinds.py has those that can be chosen"


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_kind_has_words(kind: str) -> None:
    one = event(kind, instance="web-0", state="running", status="done")
    assert title(one).startswith("web-0 ")
    assert "_" not in title(one)
    assert problem_key(one)


@pytest.mark.parametrize(
    ("one", "wrong"),
    [
        (crash(), True),
        (crash(code=0), False),
        (event("instance.exited", exit_code=143, requested=True, failed=False), False),
        (event("daemon.not_ready", process=""), True),
        (event("daemon.not_ready", process="", shutting_down=True), False),
        (event("process.blocked", reason="waits for db"), False),
        (event("process.timeout"), True),
        (event("hook.ended", reason="exit code 1"), True),
        (event("hook.ended", reason="cancelled"), False),
        (event("log.dropped", output="/x", lines=3), True),
        (event("instance.health", state="unhealthy"), True),
        (event("instance.health", state="healthy"), False),
        (event("schedule.run_ended", reason="exit code 1", exit_code=1), True),
        (event("schedule.run_ended", exit_code=2), False),
        (event("schedule.run_ended", exit_code=0), False),
        (event("change.ended", status="failed"), True),
        (event("change.ended", status="done"), False),
        (event("instance.given_up"), True),
        (event("instance.started"), False),
        (event("daemon.stopping", process=""), False),
        (event("something.new"), False),
    ],
)
def test_what_is_a_problem(one: Event, wrong: bool) -> None:
    assert is_problem(one) is wrong
    found = queue()
    assert found.add(one, 0) is wrong
    assert (severity(one) == "info") is not wrong


def test_the_number_of_events_is_in_the_text() -> None:
    assert text(crash(), 1) == "web-0 has ended: exit code 1"
    assert text(crash(), 3) == "web-0 has ended: exit code 1 (3 times)"
    assert text(event("daemon.stopping", process=""), 1) == "cbox-init is shutting down"


def test_kinds_and_processes_are_chosen_by_patterns() -> None:
    found = queue("rollout.*", "problems", processes=("web", "queue-*"))
    assert found.add(event("rollout.started"), 0)
    assert found.add(crash("queue-1"), 0)
    assert not found.add(crash("db"), 0)
    assert not found.add(event("instance.started"), 0)
    assert not found.add(event("daemon.not_ready", process=""), 0)


def test_without_processes_the_daemon_is_among_them() -> None:
    assert queue().add(event("daemon.not_ready", process=""), 0)


def test_events_within_the_interval_are_one_message_when_it_is_over() -> None:
    found = queue(min_interval=60)
    found.add(crash(code=1), 0)
    assert [one.count for one in take_all(found, 0)] == [1]
    for code in (2, 3, 4):
        found.add(crash(code=code), 10)
    assert take_all(found, 59) == []
    assert found.next_at() == 60
    (message,) = take_all(found, 60)
    assert (message.count, message.event.data["exit_code"]) == (3, 4)
    assert found.next_at() is None


def test_the_interval_is_that_of_one_kind_of_one_process() -> None:
    found = queue("*")
    found.add(crash("web"), 0)
    found.add(crash("db"), 0)
    found.add(event("instance.started"), 0)
    assert [(one.event.process, one.event.kind) for one in take_all(found, 0)] == [
        ("web", "instance.exited"),
        ("db", "instance.exited"),
        ("web", "instance.started"),
    ]


def test_without_an_interval_nothing_waits() -> None:
    found = queue(min_interval=0)
    for _ in range(3):
        found.add(crash(), 0)
        assert [one.count for one in take_all(found, 0)] == [1]


def test_a_flush_does_not_wait_for_the_interval() -> None:
    found = queue()
    found.add(crash(), 0)
    take_all(found, 0)
    found.add(crash(), 1)
    found.flush()
    assert len(take_all(found, 2)) == 1


def test_a_storm_of_many_processes_is_bounded_and_counted() -> None:
    found = queue("*")
    for number in range(MOST_WAITING + 20):
        for _ in range(3):
            found.add(crash(f"web-{number}"), 0)
    assert len(found) == MOST_WAITING
    assert found.dropped == 60
    (message,) = take_all(found, 0)
    assert message.event.process == "web-0"
    assert message.count == 3 * MOST_WAITING
    assert len(message.others) == MOST_WAITING - 1


def test_the_same_of_a_few_processes_is_a_message_each() -> None:
    found = queue()
    for number in range(4):
        found.add(crash(f"web-{number}"), 0)
    assert [one.others for one in take_all(found, 0)] == [()] * 4


def test_the_same_of_many_processes_is_one_message_that_names_them() -> None:
    found = queue("*")
    for number in range(30):
        found.add(crash(f"web-{number}"), 0)
    found.add(event("instance.started"), 0)
    first, second = take_all(found, 0)
    assert second.event.kind == "instance.started"
    said = text(first.event, first.count, first.others)
    assert said.startswith("web-0-0 has ended: exit code 1 (30 times), also: web-1-0, web-2-0")
    assert said.endswith("web-20-0 and 9 more")
    found.add(crash("web-7"), 1)
    assert take_all(found, 59) == []


def test_incidents_are_not_joined() -> None:
    found = queue(pagerduty=True)
    for number in range(30):
        found.add(crash(f"web-{number}"), 0)
    assert len(take_all(found, 0)) == 30


def test_at_the_end_the_daemon_comes_first() -> None:
    found = queue("*")
    found.add(crash(), 0)
    found.add(event("daemon.stopping", process=""), 0)
    found.flush()
    assert [one.event.kind for one in take_all(found, 0)] == ["daemon.stopping", "instance.exited"]


def test_what_is_remembered_of_subjects_is_bounded() -> None:
    found = queue("*")
    for number in range(10_000):
        found.add(crash(f"web-{number}"), number)
        take_all(found, number)
    assert len(found._sent_at) <= 4 * MOST_WAITING


def test_a_recovery_ends_what_it_is_about() -> None:
    (key,) = {problem_key(crash()), problem_key(event("instance.given_up", instance="web-0"))}
    assert key in recovered_keys(event("instance.ready", instance="web-0"))
    assert key not in recovered_keys(event("instance.ready", instance="web-1"))
    assert recovered_keys(event("schedule.run_ended", reason="exit code 1")) == ()
    assert recovered_keys(event("instance.health", state="starting")) == ()


def test_an_incident_is_opened_and_closed() -> None:
    found = queue(pagerduty=True)
    ready = event("instance.ready", instance="web-0")
    assert not found.add(ready, 0)
    found.add(crash(), 0)
    (opened,) = take_all(found, 0)
    found.add(ready, 1)
    assert found.next_at() == 61
    (closed,) = take_all(found, 61)
    assert (opened.status, closed.status) == (MessageStatus.PROBLEM, MessageStatus.RECOVERY)
    assert opened.key == closed.key
    assert not found.add(ready, 62)


def test_what_crashes_again_and_again_is_one_incident() -> None:
    found = queue(pagerduty=True)
    statuses = []
    for number in range(10):
        found.add(crash(), 10 * number)
        found.add(event("instance.started", instance="web-0"), 10 * number + 1)
        statuses += [one.status for one in take_all(found, 10 * number + 2)]
    assert statuses == [MessageStatus.PROBLEM]
    assert [one.status for one in take_all(found, 200)] == [MessageStatus.RECOVERY]
    assert len(found._settles_at) == len(found._open) == 0


def test_an_incident_is_sent_though_it_was_over_at_once() -> None:
    found = queue(pagerduty=True)
    found.add(crash(), 0)
    found.add(event("instance.started", instance="web-0"), 0)
    assert [one.status for one in take_all(found, 0)] == [MessageStatus.PROBLEM]
    assert [one.status for one in take_all(found, 60)] == [MessageStatus.RECOVERY]


def test_an_incident_that_was_sent_is_closed_though_more_of_it_waits() -> None:
    found = queue(pagerduty=True)
    found.add(crash(), 0)
    take_all(found, 0)
    found.add(crash(), 1)
    found.add(event("instance.ready", instance="web-0"), 2)
    assert [one.status for one in take_all(found, 100)] == [MessageStatus.RECOVERY]


def test_open_incidents_are_bounded() -> None:
    found = queue(pagerduty=True)
    for number in range(1_500):
        found.add(crash(f"web-{number}"), 0)
        take_all(found, 0)
    assert found.dropped == 500
