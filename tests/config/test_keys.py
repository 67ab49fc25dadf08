"""Every key of the model: accepted with a right value, refused with a wrong one. None can be forgotten: the
keys come from the model itself.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec import inspect

from cbox_init.config.document import parse_document
from cbox_init.config.environment import override
from cbox_init.config.load import Examined, load
from cbox_init.config.masking import masked
from cbox_init.config.model import (
    Config,
    LogLevel,
    ProcessConfig,
    RestartPolicyName,
    Secret,
    ShutdownMode,
    TlsVersion,
)
from cbox_init.config.model.kinds import Kind
from cbox_init.config.problems import ProblemReport
from cbox_init.config.raw import path_text
from cbox_init.config.schema import fields_of
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.config.conftest import Read

_REFUSED = ("must be ", "expected ")
FULL = Path(__file__).with_name("full.yaml")
ENVIRON = {"API_TOKEN": "a-token-in-a-variable"}


class Key(NamedTuple):
    path: tuple[str | int, ...]
    type: inspect.Type
    kind: Kind | None

    def __str__(self) -> str:
        return path_text(self.path)


def keys(type_: inspect.Type, path: tuple[str | int, ...] = ()) -> Iterator[Key]:
    """The keys of a section and of what is in it, as msgspec sees them."""
    assert isinstance(type_, inspect.StructType)
    for field in type_.fields:
        inner, kind = unwrapped(field.type)
        if field.name in getattr(type_.cls, "not_keys", ()):
            continue
        here = (*path, field.encode_name)
        yield Key(here, inner, kind)
        match inner:
            case inspect.StructType():
                yield from keys(inner, here)
            case inspect.VarTupleType(item_type=inspect.StructType() as item):
                yield from keys(item, (*here, 0))
            case inspect.DictType(value_type=inspect.StructType() as value):
                yield from keys(value, (*here, "x"))


def unwrapped(type_: inspect.Type) -> tuple[inspect.Type, Kind | None]:
    """The type without "or null", and its kind."""
    kind = None
    while True:
        match type_:
            case inspect.Metadata(type=inner, extra=extra):
                kind = extra.get("kind", kind) if extra else kind
                type_ = inner
            case inspect.UnionType(types=types):
                (type_,) = (one for one in types if not isinstance(one, inspect.NoneType))
            case _:
                return type_, kind


ALL = list(keys(inspect.type_info(Config)))


def document(path: tuple[str | int, ...], value: object) -> str:
    """A file that sets one key."""
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    assert isinstance(value, dict)
    processes = value.setdefault("processes", {})
    if isinstance(processes, dict):
        processes.setdefault("y", {"command": ["a"]})
    return json.dumps(value)


def wrong(key: Key) -> object:
    """A value that the key cannot take."""
    match key.type:
        case inspect.VarTupleType() if key.kind is Kind.COMMAND:
            return {"a": "mapping"}
        case inspect.StructType() | inspect.DictType() | inspect.VarTupleType():
            return "a single value"
        case inspect.StrType() | inspect.CustomType() if key.kind is not Kind.SIGNAL:
            return ["a", "list"]
    return "nonsense"


def messages(found: Examined, key: Key) -> list[str]:
    return [problem.message for problem in found.problems if problem.field == str(key)]


def test_the_model_has_the_keys_it_should() -> None:
    assert len(ALL) > 200
    assert len({str(key) for key in ALL}) == len(ALL)


def takes_one_value(key: Key) -> bool:
    """Whether a single text stands for a section, or a single value for a list of sections."""
    return str(key).endswith(".webhook") or (
        isinstance(key.type, inspect.VarTupleType)
        and isinstance(key.type.item_type, inspect.StructType)
        and hasattr(key.type.item_type.cls, "one_value_gives")
    )


@pytest.mark.parametrize("key", [key for key in ALL if not takes_one_value(key)], ids=str)
def test_a_wrong_type_is_an_error_of_that_key(read: Read, key: Key) -> None:
    found = read(document(key.path, wrong(key)))
    (message,) = messages(found, key)
    assert message.startswith("expected ")
    assert not found.valid
    assert all(problem.recommendation for problem in found.problems)


@pytest.mark.parametrize("key", ALL, ids=str)
def test_null_is_the_default(read: Read, key: Key) -> None:
    found = read(document(key.path, None))
    assert not any(message.startswith("expected") for message in messages(found, key))


def limits(key: Key) -> tuple[float | None, float | None]:
    match key.type:
        case inspect.IntType() | inspect.FloatType() as number:
            low = number.ge if number.ge is not None else number.gt
            return low, number.le
    return None, None


def as_written(key: Key, value: float) -> object:
    return f"{int(value):o}" if key.kind is Kind.UMASK else value


RANGED = [key for key in ALL if limits(key)[1] is not None]


@pytest.mark.parametrize("key", RANGED, ids=str)
def test_a_value_outside_the_range_is_an_error(read: Read, key: Key) -> None:
    low, high = limits(key)
    assert low is not None and high is not None
    in_ms = 1000 if key.kind is Kind.DURATION_MS else 1
    assert isinstance(key.type, inspect.IntType | inspect.FloatType)
    below = low if key.type.gt is not None else low - 1
    whole = isinstance(key.type, inspect.IntType)
    for value in (below * in_ms, (high + 1) * in_ms):
        if value == 0 or (value == -1 and key.kind is Kind.ATTEMPTS):
            continue  # not set, or no limit
        found = read(document(key.path, as_written(key, int(value) if whole else value)))
        assert any(message.startswith(_REFUSED) for message in messages(found, key)), value
    edges = [high * in_ms] if key.type.gt is not None else [low * in_ms, high * in_ms]
    for value in edges:
        found = read(document(key.path, as_written(key, int(value) if whole else value)))
        assert not any(message.startswith(_REFUSED) for message in messages(found, key)), value


def test_every_number_has_a_range() -> None:
    numbers = [key for key in ALL if isinstance(key.type, inspect.IntType | inspect.FloatType)]
    unlimited = [str(key) for key in numbers if key not in RANGED]
    assert unlimited == ["processes.x.priority"]


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("shutdown_timeout", 3600),
        ("resource_metrics_interval", 3600),
        ("resource_metrics_max_samples", 100_000),
        ("schedule_history_size", 10_000),
        ("oneshot_history_max_entries", 100_000),
        ("api_max_request_body", 100 * 2**20),
        ("max_process_scale", 5000),
    ],
)
def test_largest_values(name: str, limit: int) -> None:
    assert {str(key): limits(key)[1] for key in RANGED}[f"global.{name}"] == limit


def test_a_file_with_every_key() -> None:
    root, problems = parse_document(FULL.read_text())
    assert not problems
    written = [path for path, _ in leaves(root)]
    inner = {key.path[:-1] for key in ALL}
    names = {
        str(key).replace("processes.x", "processes.web", 1).replace("files.x", "files.app")
        for key in ALL
        if key.path not in inner
    }
    names = {name for name in names if not name.endswith((".web", ".app"))}
    written = [re.sub(r"\[\d+\]", "[0]", path) for path in written]  # no token has every key
    assert [name for name in names if not any(path.startswith(name) for path in written)] == []


def test_each_of_its_values_is_another_than_the_default() -> None:
    shown = dict(leaves(masked(load(str(FULL), ENVIRON).config)))
    default = dict(leaves(masked(Config(processes={"web": ProcessConfig()}))))
    same = [path for path, value in shown.items() if path in default and default[path] == value]
    assert same == ["processes.web.timeout"], "of a oneshot without a schedule alone"


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path_text(path), value


def test_the_values_of_that_file() -> None:
    config = load(str(FULL), ENVIRON).config
    settings, web = config.global_, config.processes["web"]
    assert settings.shutdown_timeout == 45.0
    assert settings.restart_policy is RestartPolicyName.ON_FAILURE
    assert (settings.restart_backoff_initial, settings.restart_backoff_max) == (0.5, 90.0)
    assert settings.restart_stability_window == -1.0
    assert settings.process_stop_timeout == 5400.0
    assert settings.log_level is LogLevel.WARN
    assert settings.log_timestamps is False
    assert settings.log_multiline_timeout == 0.5
    assert settings.api_max_request_body == 2 * 2**20
    assert settings.api_auth == Secret("a-token-of-some-length")
    assert settings.api_tls is not None
    assert settings.api_tls.min_version is TlsVersion.TLS_1_3
    assert settings.readiness is not None
    assert (settings.readiness.path, settings.readiness.http_host) == ("", "")
    assert config.hooks.pre_start[0].command == ("sh", "-c", 'echo "two words"')
    assert config.hooks.pre_start == config.hooks.post_stop
    assert web.user == "1000"
    assert web.env == {"VERSION": "1.10", "DEBUG": "yes", "MODE": "0755", "NOTHING": ""}
    assert (web.shutdown.signal, web.shutdown.kill_signal) == ("SIGQUIT", "SIGQUIT")
    assert web.shutdown.mode is ShutdownMode.MAIN
    assert web.logging.files["app"].rotate is not None
    assert web.logging.files["app"].rotate.max_size == 8 * 2**20
    assert web.heartbeat is not None
    assert web.heartbeat.headers == {"Authorization": Secret("key")}
    assert list(config.processes) == ["web", "web-db"]


def test_a_file_with_every_key_is_also_good_when_strict() -> None:
    assert [problem.message.split(":")[0] for problem in load(str(FULL), ENVIRON, strict=True).problems] == [
        *(8 * ["has no effect on an output of type syslog"]),
        "has no effect on a process with a schedule",  # its autoscale
        "has no effect on the metric http",  # its autoscale.command
        "has no effect on a process with a schedule",  # its rollout
        "has no effect with a schedule",
        "has no effect without type",  # its watchdog, with type: oneshot
        "has no effect with a schedule",
        "has no effect on a check of type http",  # its service
        # its capabilities.add, with a user
        "gives nothing to a user other than root, but to programs with file capabilities",
        "timeout and schedule_timeout mean the same; schedule_timeout counts",
        "has no effect",  # its max_runtime, with type: oneshot and a schedule
        "is not run, since graceful is false",  # its pre_stop_hook, with graceful: false
        "not implemented yet, without effect",
    ]


@pytest.mark.parametrize(
    "key", [key for key in ALL if key.path[0] == "global" and len(key.path) == 2], ids=str
)
def test_the_environment_reaches_every_global_key(key: Key) -> None:
    report = ProblemReport()
    root = override({}, {f"CBOX_INIT_GLOBAL_{str(key.path[1]).upper()}": "1"}, report)
    assert root == {"global": {key.path[1]: "1"}}
    assert not report.problems()


@pytest.mark.parametrize("name", fields_of(ProcessConfig))
def test_the_environment_reaches_every_process_key(name: str) -> None:
    root = override(
        {"processes": {"web": {}}}, {f"CBOX_INIT_PROCESS_WEB_{name.upper()}": "1"}, ProblemReport()
    )
    assert root == {"processes": {"web": {name: "1"}}}


def test_words_are_read_in_any_spelling(read: Read) -> None:
    text = "processes: {a: {command: x, restart: On_Failure, type: Long-Run, shutdown: {mode: MAIN}}}"
    process = config_of(read(text)).processes["a"]
    assert (process.restart, process.type, process.shutdown.mode) == ("on-failure", "longrun", "main")
