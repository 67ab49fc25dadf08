"""Messages of real crashes to real servers and commands, which answer, fail, hang and go on for ever."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.core.states import State
from cbox_init.errors import Conflict, UnknownNotification
from cbox_init.supervisor.notifications import webhook as webhook_module
from cbox_init.supervisor.notifications.messages import MessageQueue
from cbox_init.threads import NoThreadError
from tests.ports import free_port
from tests.supervisor.house import STUBBORN, alive

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.supervisor.notifications.notifications import Notifications
    from cbox_init.supervisor.notifications.notifier import NotifierState
    from tests.supervisor.house import Build, House
    from tests.supervisor.notifications.receiver import Receiver

#: Crashes once, and then stays.
CRASHES = "[ -e $DIR/crashed ] && exec sleep 1000; touch $DIR/crashed; echo last words; exit 3"


def configuration(*notifications: dict[str, object], command: str = "exec sleep 1000") -> str:
    usual: dict[str, object] = {"retry_delay": "10ms", "timeout": 10}
    chosen = [{**usual, **one} for one in notifications]
    web: dict[str, object] = {"command": ["sh", "-c", command], "restart_delay": "10ms"}
    return json.dumps({"processes": {"web": web}, "notifications": chosen})


def hook(receiver: Receiver, path: str = "/x", **keys: object) -> dict[str, object]:
    of_webhook = ("template", "headers", "header_files", "routing_key")
    webhook: dict[str, object] = {"url": f"{receiver.url}{path}"}
    webhook |= {key: keys.pop(key) for key in of_webhook if key in keys}
    return dict(keys, name=path.strip("/"), webhook=webhook)


def notifications(house: House) -> Notifications:
    assert house.supervisor.notifications is not None
    return house.supervisor.notifications


def state(house: House, name: str = "x") -> NotifierState:
    return next(one for one in notifications(house).states() if one.name == name)


def emit(house: House, kind: str = "instance.given_up", process: str = "web", **data: Any) -> None:
    house.runtime.events.emit(kind, process, f"{process}-0", reason="why", **data)


async def until_failed(house: House, name: str = "x", times: int = 1) -> str:
    await house.until(lambda: state(house, name).failed >= times)
    return state(house, name).error or ""


async def test_a_crash_is_told(build: Build, receiver: Receiver) -> None:
    house = build(configuration(hook(receiver, events=["instance.exited"]), command=CRASHES))
    await house.until(lambda: receiver.got)
    (got,) = receiver.got
    assert (got.json["kind"], got.json["instance"]) == ("instance.exited", "web-0")
    assert got.json["data"]["exit_code"] == 3
    assert got.headers["user-agent"].startswith("cbox-init/")
    assert got.headers["content-type"] == "application/json"
    await house.until(lambda: state(house).sent == 1)
    assert state(house).waiting == 0


async def test_a_command_has_the_message_on_its_input_and_in_its_variables(
    build: Build, tmp_path: Path
) -> None:
    say = 'echo "told: $CBOX_INIT_EVENT_TEXT $CBOX_INIT_EVENT_DATA_COUNT"'
    script = f"cat > {tmp_path}/got.new; mv {tmp_path}/got.new {tmp_path}/got; {say}"
    house = build(configuration({"name": "x", "command": ["sh", "-c", script]}))
    emit(house, count=4, sure=True)
    await house.until_said("notifications/x", "told: web-0 was given up: why 4")
    got = json.loads((tmp_path / "got").read_text())
    assert (got["process"], got["data"]) == ("web", {"count": 4, "sure": True})
    await house.until(lambda: state(house).sent == 1)


async def test_what_a_child_writes_is_no_part_of_the_command(build: Build) -> None:
    """Neither by the words of the command, nor by a shell that quotes its variable."""
    house = build(configuration({"name": "x", "command": ["sh", "-c", 'echo "$CBOX_INIT_EVENT_REASON"']}))
    reason = '$(echo hacked) ${PATH} "; echo hacked'
    house.runtime.events.emit("instance.given_up", "web", reason=reason)
    await house.until_said("notifications/x", reason)


async def test_a_command_that_hangs_is_killed_with_all_it_has_started(build: Build, tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; {STUBBORN}"
    house = build(configuration({"name": "x", "command": ["sh", "-c", script], "timeout": "1s", "retry": 0}))
    emit(house)
    assert await until_failed(house) == "not done within 1 s"
    pid = int((tmp_path / "pid").read_text())
    await house.until(lambda: not alive(pid))


@pytest.mark.parametrize(
    ("command", "tries", "said"),
    [
        (["sh", "-c", "exit 4"], 3, "exit code 4"),
        (["sh", "-c", "kill -9 $$"], 3, "SIGKILL"),
        (["/nothing/there"], 1, "/nothing/there"),
    ],
)
async def test_a_command_that_fails(build: Build, command: list[str], tries: int, said: str) -> None:
    house = build(configuration({"name": "x", "command": command, "retry": 2}))
    emit(house)
    assert said in await until_failed(house)
    assert state(house).retries == tries - 1


async def test_the_output_of_a_command_is_limited(build: Build) -> None:
    house = build(configuration({"name": "x", "command": ["sh", "-c", "seq 100000; exit 0"]}))
    emit(house)
    await house.until(lambda: state(house).sent == 1)
    await house.until(lambda: house.logs.rate_limited()["notifications/x"] > 90_000)
    assert len(house.lines("notifications/x")) < 1_000


async def test_a_server_that_fails_is_tried_again(build: Build, receiver: Receiver) -> None:
    receiver.answers["/x"] = [500, (429, {"Retry-After": "0"}, ""), 200]
    house = build(configuration(hook(receiver)))
    emit(house)
    await house.until(lambda: state(house).sent == 1)
    assert (len(receiver.got), state(house).retries, state(house).failed) == (3, 2, 0)
    assert state(house).error == "answered with 429"
    assert "Notification could not be delivered" not in house.messages()


async def test_the_wait_that_a_server_asks_for_is_kept(build: Build, receiver: Receiver) -> None:
    receiver.answers["/x"] = [(429, {"Retry-After": "1"}, ""), 200]
    house = build(configuration(hook(receiver)))
    begun = time.monotonic()
    emit(house)
    await house.until(lambda: state(house).sent == 1)
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (404, "answered with 404"),
        ((400, {}, "invalid_payload"), "answered with 400: invalid_payload"),
        ((400, {}, "<html>no</html>"), "answered with 400"),
        ((307, {"Location": "/x"}, ""), "answered with 307, a redirect, which is not followed"),
        (
            (302, {"Location": "http://169.254.169.254/"}, ""),
            "answered with 302, a redirect, which is not followed",
        ),
    ],
)
async def test_what_another_try_does_not_help_is_not_tried(
    build: Build, receiver: Receiver, answer: Any, said: str
) -> None:
    receiver.answers["/x"] = [answer]
    house = build(configuration(hook(receiver)))
    emit(house)
    assert await until_failed(house) == said
    assert len(receiver.got) == 1
    assert "Notification could not be delivered" in house.messages()


@pytest.mark.parametrize("answer", ["hang", "drip"])
async def test_a_server_that_goes_on_for_ever_is_given_up(
    build: Build, receiver: Receiver, answer: str
) -> None:
    receiver.answers["/x"] = [answer]
    house = build(configuration(hook(receiver, timeout="300ms", retry=0), hook(receiver, "/other")))
    emit(house)
    assert "300" in await until_failed(house) or "0.3" in await until_failed(house)
    await house.until(lambda: state(house, "other").sent >= 1)
    sender = notifications(house)._notifiers["x"]._sender
    assert isinstance(sender, webhook_module.WebhookSender)
    await house.until(lambda: sender._threads == 0)


async def test_of_an_endless_answer_a_little_is_read(build: Build, receiver: Receiver) -> None:
    receiver.answers["/x"] = ["endless"]
    house = build(configuration(hook(receiver, retry=0)))
    emit(house)
    said = await until_failed(house)
    assert said.startswith("answered with 500: xxx")
    assert len(said) < 400


async def test_nobody_listens(build: Build) -> None:
    one = {"name": "x", "webhook": f"http://127.0.0.1:{free_port()}/", "retry": 1}
    house = build(configuration(one))
    emit(house)
    assert "refused" in await until_failed(house)
    assert state(house).retries == 1


async def test_a_name_that_does_not_exist(build: Build) -> None:
    house = build(configuration({"name": "x", "webhook": "http://nobody.invalid/", "retry": 0}))
    emit(house)
    assert await until_failed(house)


async def test_tls_that_nobody_speaks(build: Build, receiver: Receiver) -> None:
    one = {"name": "x", "webhook": receiver.url.replace("http", "https"), "retry": 0, "timeout": 5}
    house = build(configuration(one))
    emit(house)
    assert await until_failed(house)


async def test_threads_that_hang_are_limited(
    build: Build, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a resolver that does not answer: there is no connection that could be ended."""
    monkeypatch.setattr(webhook_module._Request, "_send", lambda self: receiver.over.wait(20))
    house = build(configuration(hook(receiver, timeout="20ms", retry=3)))
    emit(house)
    assert await until_failed(house) == "earlier requests hang"
    sender = notifications(house)._notifiers["x"]._sender
    assert isinstance(sender, webhook_module.WebhookSender)
    assert sender._threads == 2
    receiver.over.set()
    await house.until(lambda: sender._threads == 0)


async def test_without_threads_it_is_tried_again(
    build: Build, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **keys: object) -> None:
        raise NoThreadError(str(keys["name"]))

    monkeypatch.setattr(webhook_module, "begin_in_thread", refuse)
    house = build(configuration(hook(receiver, retry=100)))
    emit(house)
    await house.until(lambda: state(house).retries)
    monkeypatch.undo()
    await house.until(lambda: state(house).sent == 1)


async def test_keys_are_shown_nowhere(build: Build, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("f1lekey123\n")
    receiver.answers["/s3cretpath"] = [(403, {}, "no /s3cretpath for h3aderkey12 or f1lekey123")]
    one = hook(
        receiver, "/s3cretpath", headers={"X-One": "h3aderkey12"}, header_files={"X-Two": f"{tmp_path}/key"}
    )
    house = build(configuration({**one, "name": "x"}))
    emit(house)
    assert await until_failed(house) == "answered with 403: no *** for *** or ***"
    assert (receiver.got[0].headers["x-one"], receiver.got[0].headers["x-two"]) == (
        "h3aderkey12",
        "f1lekey123",
    )
    for secret in ("s3cretpath", "h3aderkey12", "f1lekey123"):
        assert secret not in house.log_text()


async def test_an_address_in_a_file_is_read_for_each_message(
    build: Build, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    one = {"name": "x", "webhook": {"url_file": str(file)}, "retry": 1, "min_interval": 0}
    house = build(configuration(one))
    emit(house)
    assert await until_failed(house) == f"{file} does not exist"
    file.write_text("nothing\n")
    emit(house)
    assert await until_failed(house, times=2) == "webhook.url is not an HTTP URL"
    file.write_text(f"{receiver.url}/here\n")
    emit(house)
    await house.until(lambda: receiver.paths() == ["/here"])


async def test_a_storm_is_joined_while_the_receiver_is_slow(build: Build, receiver: Receiver) -> None:
    receiver.answers["/x"] = ["hang", 200]
    house = build(configuration(hook(receiver, timeout="500ms", min_interval=0)))
    emit(house)
    await house.until(lambda: receiver.got)
    for number in range(3_000):
        emit(house, process=f"web-{number % 30}")
    assert state(house).waiting == 31
    await house.until(lambda: state(house).waiting == 0)
    last = receiver.got[-1].json
    assert (last["process"], last["count"], len(last["others"])) == ("web-0", 3_000, 29)


async def test_what_is_dropped_is_said(build: Build, receiver: Receiver) -> None:
    receiver.answers["/x"] = ["hang"]
    house = build(configuration(hook(receiver)))
    for number in range(600):
        emit(house, process=f"web-{number}")
    assert state(house).dropped >= 99
    await house.until(lambda: "Notifications are dropped" in house.messages())


async def test_a_loss_is_an_event_for_the_others_and_no_more_than_one(
    build: Build, receiver: Receiver
) -> None:
    receiver.answers["/x"] = [404, 404, 404, 200]
    receiver.answers["/y"] = [404]
    house = build(
        configuration(
            hook(receiver, min_interval=0, events=["*"]),
            hook(receiver, "/y", min_interval=0, events=["notification.failed"]),
            hook(receiver, "/z", min_interval=0, events=["notification.failed"]),
        )
    )
    await house.until(lambda: len(receiver.kinds("/z")) == 2)
    assert {one.json["data"]["notification"] for one in receiver.got if one.path == "/z"} == {"x", "y"}
    for number in range(4):
        emit(house, process=f"p{number}")
    await house.until(lambda: state(house).sent >= 1)
    assert "Notifications are delivered again" in house.messages()
    assert len(receiver.kinds("/z")) == 2


async def test_a_defect_loses_one_message(
    build: Build, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the event of the defect, which is a message too, does not lead to another defect."""
    house = build(configuration(hook(receiver, min_interval=0)))
    house.expects_defects = True
    with monkeypatch.context() as patch:
        patch.setattr(webhook_module.WebhookSender, "send", lambda *_: 1 / 0)
        emit(house)
        assert "ZeroDivisionError" in await until_failed(house)
        await house.until(lambda: state(house).waiting == 0)
        assert house.runtime.defects.count == 1
    with monkeypatch.context() as patch:
        patch.setattr(MessageQueue, "add", lambda *_: 1 / 0)
        emit(house)
    assert house.runtime.defects.count == 2
    emit(house)
    await house.until(lambda: "instance.given_up" in receiver.kinds("/x"))


async def test_an_error_in_the_thread_is_that_of_one_try(
    build: Build, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(configuration(hook(receiver, retry=100)))
    with monkeypatch.context() as patch:
        patch.setattr(webhook_module, "render", lambda *_: 1 / 0)
        emit(house)
        await house.until(lambda: state(house).retries)
    await house.until(lambda: state(house).sent == 1)


async def test_a_reload_adds_changes_and_removes(build: Build, receiver: Receiver) -> None:
    house = build(configuration())
    assert house.supervisor.notifications is None
    await reload(house, hook(receiver, min_interval=0), hook(receiver, "/y", min_interval=0))
    emit(house)
    await house.until(lambda: sorted(receiver.paths()) == ["/x", "/y"])
    await house.until(lambda: state(house).sent == 1)
    await reload(house, {**hook(receiver, "/new", min_interval=0), "name": "x"})
    assert (state(house).sent, len(notifications(house).states())) == (1, 1)
    emit(house)
    await house.until(lambda: receiver.paths()[2:] == ["/new"])
    await reload(house)
    assert notifications(house).states() == ()
    emit(house)
    assert house.state("web") is State.RUNNING


async def test_what_waits_goes_on_after_a_reload(build: Build, receiver: Receiver) -> None:
    house = build(configuration({"name": "x", "webhook": f"http://127.0.0.1:{free_port()}/", "retry": 100}))
    emit(house)
    await house.until(lambda: state(house).retries)
    await reload(house, hook(receiver))
    await house.until(lambda: receiver.paths() == ["/x"])


async def test_what_waits_in_one_that_is_removed_is_dropped(build: Build, receiver: Receiver) -> None:
    receiver.answers["/x"] = ["hang"]
    house = build(configuration(hook(receiver)))
    emit(house)
    await house.until(lambda: receiver.got)
    await reload(house)
    await house.until(lambda: "Notifications are dropped" in house.messages())


async def reload(house: House, *chosen: dict[str, object]) -> None:
    house.file.write_text(configuration(*chosen))
    await house.parts.configuration.reload()


async def test_the_end_waits_for_what_is_sent_and_no_longer(build: Build, receiver: Receiver) -> None:
    receiver.answers["/y"] = ["hang"]
    house = build(
        configuration(
            hook(receiver, events=["daemon.stopping"]),
            hook(receiver, "/y", events=["daemon.stopping"]),
            {"name": "never", "webhook": f"http://127.0.0.1:{free_port()}/", "events": ["daemon.*"]},
        )
    )
    house.runtime.events.emit("daemon.stopping")
    await house.supervisor.close(1)
    assert receiver.kinds("/x") == ["daemon.stopping"]
    left = [line for line in house.log_text().splitlines() if "Notifications are left unsent" in line]
    assert len(left) == 1
    assert "no time for those of y" in left[0]


async def test_a_shutdown_is_told(build: Build, receiver: Receiver) -> None:
    house = build(configuration(hook(receiver, events=["daemon.*"])))
    house.supervisor.shutdown("enough")
    await house.ended()
    await house.supervisor.close(5)
    last = receiver.got[-1].json
    assert (last["kind"], last["text"]) == ("daemon.stopping", "cbox-init is shutting down: enough")


async def test_a_test_says_whether_it_has_arrived(build: Build, receiver: Receiver) -> None:
    receiver.answers["/bad"] = [(403, {}, "no_service")]
    receiver.answers["/slow"] = ["hang"]
    house = build(
        configuration(
            hook(receiver),
            hook(receiver, "/bad"),
            hook(receiver, "/slow", timeout="100ms"),
            hook(receiver, "/pd", template="pagerduty", routing_key="k"),
            {"name": "command", "command": ["sh", "-c", "exit 2"]},
        )
    )
    tests = notifications(house).test
    assert await tests("x") is None
    assert receiver.got[-1].json["status"] == "test"
    assert await tests("bad") == "answered with 403: no_service"
    assert "0.1" in str(await tests("slow"))
    assert await tests("pd") is None
    assert [one.json["event_action"] for one in receiver.got[-2:]] == ["trigger", "resolve"]
    assert await tests("command") == "exit code 2"
    with pytest.raises(UnknownNotification):
        await tests("other")


async def test_one_test_at_a_time(build: Build, receiver: Receiver) -> None:
    from asyncio import create_task, sleep

    receiver.answers["/x"] = ["hang"]
    house = build(configuration(hook(receiver)))
    first = create_task(notifications(house).test("x"))
    await sleep(0)
    with pytest.raises(Conflict):
        await notifications(house).test("x")
    first.cancel()
    await house.until(first.done)


async def test_pagerduty_is_told_of_the_end_of_a_crash_loop(build: Build, receiver: Receiver) -> None:
    house = build(
        configuration(
            hook(receiver, template="pagerduty", routing_key="k", min_interval="100ms"), command=CRASHES
        )
    )
    await house.until(lambda: [one.json["event_action"] for one in receiver.got] == ["trigger", "resolve"])
    first, second = receiver.got
    assert first.json["dedup_key"] == second.json["dedup_key"]
