"""Which spans come of which events, and whose parents they have."""

from __future__ import annotations

from itertools import count

import pytest

from cbox_init.acting import Actor
from cbox_init.supervisor.changes import Change
from cbox_init.supervisor.events import Event
from cbox_init.tracing import recorder as module
from cbox_init.tracing.context import TraceContext, parse, requested
from cbox_init.tracing.recorder import Recorder
from cbox_init.tracing.span import Sampler, TraceSpan

REQUEST = TraceContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True, "shop=1")


class House:
    """A recorder, its events, and the spans that have ended."""

    def __init__(self, rate: float = 1.0) -> None:
        self.changes: dict[str, Change] = {}
        self.ended: list[TraceSpan] = []
        self.numbers = count(1)
        self.recorder = Recorder(
            Sampler(rate),
            self.ended.append,
            scale_of=lambda name: 2,
            change_of=lambda name: self.changes.get(name),
            count=lambda: 3,
        )

    def hear(
        self,
        kind: str,
        process: str = "",
        instance: str = "",
        *,
        change: str = "",
        reason: str = "",
        **data: str | float | bool | None,
    ) -> None:
        number = next(self.numbers)
        event = Event(
            number=number,
            unix=1_000_000.0 + number,
            kind=kind,
            process=process,
            instance=instance,
            change=change,
            reason=reason,
            data=data,
        )
        self.recorder.heard(event)

    def the(self, name: str) -> TraceSpan:
        (span,) = (span for span in self.ended if span.name == name)
        return span


def belongs(child: TraceSpan, parent: TraceSpan) -> bool:
    return (child.context.trace_id, child.parent_id) == (parent.context.trace_id, parent.context.span_id)


@pytest.fixture
def house() -> House:
    return House()


def test_the_start(house: House) -> None:
    house.recorder.begin_start()
    house.hear("process.state", "web", before="stopped", state="starting")
    house.hear("instance.started", "web", "web-0", pid=7)
    house.hear("process.state", "web", before="starting", state="running")
    house.hear("instance.ready", "web", "web-0")
    house.hear("daemon.ready")
    start, process, instance = (
        house.the(name)
        for name in ("process_manager.start", "process_manager.start_process", "instance.start")
    )
    assert start.attributes == {"process.count": 3}
    assert process.attributes == {"process.name": "web", "process.scale": 2}
    assert instance.attributes == {"process.name": "web", "instance.id": "web-0", "process.pid": 7}
    assert start.parent_id == 0
    assert belongs(process, start)
    assert belongs(instance, process)
    assert instance.end_ns - instance.start_ns == 2_000_000_000
    assert [span.error for span in house.ended] == [None] * 3


def test_a_process_starts_until_all_its_instances_are_ready(house: House) -> None:
    house.recorder.begin_start()
    house.hear("process.state", "web", before="stopped", state="starting")
    house.hear("instance.started", "web", "web-0")
    house.hear("instance.started", "web", "web-1")
    house.hear("process.state", "web", before="starting", state="running")
    house.hear("instance.ready", "web", "web-1")
    assert len(house.ended) == 1
    house.hear("instance.ready", "web", "web-0")
    process, last = house.ended[-1], house.ended[-2]
    assert (process.name, process.end_ns) == ("process_manager.start_process", last.end_ns)
    house.hear("daemon.ready")
    house.hear("instance.started", "web", "web-0", restart_count=1, ready=True)
    assert house.ended[-1].parent_id == 0


def test_the_start_ends_with_the_last_process_when_one_has_failed(house: House) -> None:
    house.recorder.begin_start()
    for name in ("web", "bad"):
        house.hear("process.state", name, before="stopped", state="starting")
    house.hear("instance.started", "web", "web-0")
    house.hear("process.state", "web", before="starting", state="running")
    house.hear("instance.given_up", "bad", "bad-0", reason="gave up")
    house.hear("process.state", "bad", before="starting", state="failed")
    assert house.ended[-1].name == "process_manager.start_process"
    house.hear("instance.ready", "web", "web-0")
    start = house.ended[-1]
    assert (start.name, start.error) == ("process_manager.start", "bad: gave up")
    house.hear("process.state", "bad", before="failed", state="starting")
    house.hear("process.state", "bad", before="starting", state="running")
    assert house.ended[-1].parent_id == 0


def test_a_process_that_fails(house: House) -> None:
    house.hear("process.state", "web", before="stopped", state="starting")
    house.hear("instance.start_failed", "web", "web-0", reason="no such program")
    house.hear("process.state", "web", before="starting", state="failed")
    process = house.the("process_manager.start_process")
    assert (process.error, process.attributes["error"]) == ("no such program", "no such program")
    instance = house.the("instance.start")
    assert instance.error == "no such program"
    assert belongs(instance, process)


def test_an_instance_that_ends_before_it_is_ready(house: House) -> None:
    house.hear("instance.started", "web", "web-0", pid=7)
    house.hear("instance.exited", "web", "web-0", exit_code=3, reason="exit code 3")
    house.hear("instance.exited", "web", "web-1", exit_code=3)  # it had been ready
    span = house.the("instance.start")
    assert (span.error, span.attributes["process.exit.code"]) == ("exit code 3", 3)
    assert span.parent_id == 0  # after a crash: a trace of its own


def test_a_request_a_change_and_its_instances(house: House) -> None:
    token = requested.set(REQUEST)
    house.hear("change.started", "web", change="c-1", command="restart", actor="ops")
    requested.reset(token)
    house.hear("instance.started", "web", "web-0", pid=8)
    house.hear("instance.ready", "web", "web-0")
    house.hear("change.ended", "web", change="c-1", status="done")
    house.hear("instance.started", "web", "web-0", pid=9)
    house.hear("instance.ready", "web", "web-0")
    first, change, later = house.ended
    assert (change.name, change.remote, change.error) == ("change.restart", True, None)
    assert (change.context.trace_id, change.parent_id) == (REQUEST.trace_id, REQUEST.span_id)
    assert change.context.state == "shop=1"
    assert change.attributes == {
        "change.id": "c-1",
        "change.kind": "restart",
        "change.processes": "web",
        "change.actor": "ops",
        "change.status": "done",
    }
    assert belongs(first, change)
    assert later.parent_id == 0


def test_a_change_that_fails(house: House) -> None:
    house.hear("change.started", "web", change="c-1", command="restart")
    house.hear("change.ended", "web", change="c-1", status="failed", reason="not healthy")
    change = house.the("change.restart")
    assert (change.error, change.parent_id) == ("not healthy", 0)


def test_a_change_of_every_process(house: House) -> None:
    house.hear("change.started", change="c-1", command="reload")
    house.hear("instance.started", "web", "web-0")
    house.hear("instance.ready", "web", "web-0")
    house.hear("change.ended", change="c-1", status="done")
    assert belongs(house.the("instance.start"), house.the("change.reload"))


def test_a_command_to_several_processes(house: House) -> None:
    house.changes["c-1"] = Change(
        "c-1", "restart", ("web", "queue"), actor=Actor("token", "ops"), request_id="", why="", unix=0.0
    )
    house.hear("change.started", change="c-1", command="restart")
    for name in ("web", "queue", "other"):
        house.hear("instance.started", name, f"{name}-0", ready=True)
    house.hear("change.ended", change="c-1", status="done")
    change = house.the("change.restart")
    assert change.attributes["change.processes"] == "web, queue"
    assert [belongs(span, change) for span in house.ended[:3]] == [True, True, False]


def test_what_the_daemon_decides_is_no_part_of_a_request(house: House) -> None:
    house.changes["c-1"] = Change(
        "c-1", "scale", ("web",), actor=Actor("system", "autoscale"), request_id="", why="", unix=0.0
    )
    token = requested.set(REQUEST)  # of the request in whose context the timer was set
    house.hear("change.started", "web", change="c-1", command="scale")
    requested.reset(token)
    house.hear("change.ended", "web", change="c-1", status="done")
    assert house.the("change.scale").parent_id == 0


def test_the_start_of_a_process_belongs_to_the_command_that_is_announced_after_it(house: House) -> None:
    house.hear("process.state", "web", before="stopped", state="starting")
    house.hear("change.started", "web", change="c-1", command="start")
    house.hear("instance.started", "web", "web-0", ready=True)
    house.hear("process.state", "web", before="starting", state="running")
    house.hear("change.ended", "web", change="c-1", status="done")
    instance, process, change = house.ended
    assert belongs(instance, process)
    assert belongs(process, change)
    assert change.start_ns <= process.start_ns


def test_a_restart_during_a_start_has_the_instances_that_come_after_it(house: House) -> None:
    house.hear("process.state", "web", before="stopped", state="starting")
    house.hear("instance.started", "web", "web-0")
    house.hear("change.started", "web", change="c-1", command="restart")
    house.hear("instance.exited", "web", "web-0", exit_code=143, requested=True)
    house.hear("instance.started", "web", "web-0", ready=True)
    house.hear("change.ended", "web", change="c-1", status="done")
    assert belongs(house.ended[-2], house.the("change.restart"))


def test_a_start_under_way_does_not_move_to_a_later_command(house: House) -> None:
    house.hear("process.state", "web", before="stopped", state="starting")
    house.hear("instance.started", "web", "web-0")
    house.hear("change.started", "web", change="c-1", command="start")
    house.hear("process.state", "web", before="starting", state="running")
    house.hear("instance.ready", "web", "web-0")
    assert house.the("process_manager.start_process").parent_id == 0


def test_a_run_gets_the_context_that_its_span_has(house: House) -> None:
    house.hear("change.started", "job", change="c-1", command="trigger")
    given = house.recorder.variables("run", "job", "job-run-1")
    assert given == house.recorder.variables("run", "job", "job-run-1")  # a start that is tried again
    house.hear("instance.started", "job", "job-run-1", pid=7)
    house.hear("schedule.run_started", "job", "job-run-1")
    house.hear("instance.exited", "job", "job-run-1", exit_code=3)
    house.hear("schedule.run_ended", "job", "job-run-1", exit_code=3, reason="exit code 3")
    house.hear("change.ended", "job", change="c-1", status="failed", reason="exit code 3")
    run, change = house.ended
    assert run.name == "schedule.run"
    assert parse(given["TRACEPARENT"]) == run.context
    assert (run.error, run.attributes["process.exit.code"]) == ("exit code 3", 3)
    assert belongs(run, change)


def test_a_run_at_its_time_is_a_trace_of_its_own(house: House) -> None:
    house.recorder.variables("run", "job", "job-run-1")
    house.hear("schedule.run_started", "job", "job-run-1")
    house.hear("schedule.run_ended", "job", "job-run-1", exit_code=0)
    run = house.the("schedule.run")
    assert (run.parent_id, run.error) == (0, None)


def test_a_run_at_its_time_leaves_a_trigger_to_the_run_that_it_asked_for(house: House) -> None:
    house.hear("change.started", "job", change="c-1", command="trigger")
    for number, manual in ((1, False), (2, True)):
        house.hear("schedule.run_started", "job", f"job-run-{number}", manual=manual)
        house.hear("schedule.run_ended", "job", f"job-run-{number}", exit_code=0)
    house.hear("change.ended", "job", change="c-1", status="done")
    timed, asked, change = house.ended
    assert timed.parent_id == 0
    assert belongs(asked, change)


def test_a_oneshot_that_fails(house: House) -> None:
    house.hear("process.state", "migrate", before="stopped", state="starting")
    house.recorder.variables("instance", "migrate", "migrate-0")
    house.hear("instance.started", "migrate", "migrate-0")
    house.hear("process.state", "migrate", before="starting", state="running")
    house.hear("instance.exited", "migrate", "migrate-0", exit_code=1, reason="exit code 1")
    house.hear("instance.given_up", "migrate", "migrate-0", reason="exit code 1")
    house.hear("process.state", "migrate", before="running", state="failed")
    assert house.the("process_manager.start_process").error == "exit code 1"


def test_a_oneshot_lasts_until_it_has_ended(house: House) -> None:
    given = house.recorder.variables("instance", "migrate", "migrate-0")
    house.hear("instance.started", "migrate", "migrate-0", pid=7)
    house.hear("instance.exited", "migrate", "migrate-0", exit_code=0)
    span = house.the("instance.start")
    assert parse(given["TRACEPARENT"]) == span.context
    assert (span.error, span.attributes["process.exit.code"]) == (None, 0)


def test_hooks_of_the_stack(house: House) -> None:
    house.recorder.begin_start()
    for name in ("pre-start-0", "post-start-0"):
        if name == "post-start-0":
            house.hear("daemon.ready")
        house.hear("hook.started", "", "", hook=name, moment=name[:-2].replace("-", "_"))
        given = house.recorder.variables("hook", "", name)
        house.hear("hook.ended", "", "", hook=name)
        hook = house.ended[-1]
        assert parse(given["TRACEPARENT"]) == hook.context
        assert hook.attributes == {"hook.name": name, "hook.type": name[:-2].replace("-", "_")}
    house.hear("daemon.stopping", reason="SIGTERM")
    house.hear("hook.started", "", "", hook="post-stop-0", moment="post_stop")
    house.hear("hook.ended", "", "", hook="post-stop-0", reason="exit code 1")
    house.recorder.finish()
    start, shutdown = house.the("process_manager.start"), house.the("process_manager.shutdown")
    pre, post, last = (span for span in house.ended if span.name == "hook")
    assert belongs(pre, start)
    assert belongs(post, start)
    assert belongs(last, shutdown)
    assert last.error == "exit code 1"
    assert shutdown.attributes == {"process.count": 3, "shutdown.reason": "SIGTERM"}
    assert shutdown.error is None


def test_a_hook_of_an_instance_belongs_to_the_change(house: House) -> None:
    house.hear("change.started", "web", change="c-1", command="stop")
    house.hear("hook.started", "web", "web-0", hook="drain", moment="pre_stop")
    given = house.recorder.variables("hook", "web", "web-0/drain")
    house.hear("hook.ended", "web", "web-0", hook="drain")
    house.hear("change.ended", "web", change="c-1", status="done")
    hook = house.the("hook")
    assert parse(given["TRACEPARENT"]) == hook.context
    assert hook.attributes == {
        "process.name": "web",
        "instance.id": "web-0",
        "hook.name": "drain",
        "hook.type": "pre_stop",
    }
    assert belongs(hook, house.the("change.stop"))


def test_a_check_that_changes_something(house: House) -> None:
    house.hear(
        "instance.health",
        "web",
        "web-0",
        before="healthy",
        state="unhealthy",
        reason="refused",
        latency_s=0.5,
        failures=3,
    )
    check = house.the("health_check")
    assert (check.end_ns - check.start_ns, check.attributes["health_check.failures"]) == (500_000_000, 3)
    assert check.error == "refused"
    assert check.attributes["health_check.before"] == "healthy"


def test_a_start_that_is_broken_off(house: House) -> None:
    house.recorder.begin_start()
    house.hear("instance.started", "web", "web-0")
    house.hear("daemon.stopping", reason="SIGTERM")
    house.recorder.finish()
    assert "SIGTERM" in (house.the("process_manager.start").error or "")
    assert house.the("instance.start").attributes["unfinished"] is True


def test_what_is_not_sampled_is_not_sent_but_has_a_context() -> None:
    house = House(rate=0.0)
    given = house.recorder.variables("run", "job", "job-run-1")
    house.hear("schedule.run_ended", "job", "job-run-1")
    assert given["TRACEPARENT"].endswith("-00")
    assert house.ended == []


def test_the_sampling_of_a_request_counts(house: House) -> None:
    token = requested.set(REQUEST._replace(sampled=False))
    house.hear("change.started", "web", change="c-1", command="stop")
    requested.reset(token)
    house.hear("change.ended", "web", change="c-1", status="done")
    assert house.ended == []


def test_open_spans_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    for number in range(10):
        house.hear("instance.started", "web", f"web-{number}")
        house.hear("change.started", "web", change=f"c-{number}", command="stop")
    house.recorder.finish()
    assert len(house.ended) == 3
    assert house.recorder.dropped == 17


def test_an_unknown_event_is_ignored(house: House) -> None:
    house.hear("autoscale.decided", "web")
    house.hear("change.ended", change="never-started", status="done")
    house.hear("schedule.run_ended", "job", "job-run-9")
    assert house.ended == []
