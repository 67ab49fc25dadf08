"""Every key of the model with every value that may mean that it is not set, in the file, a variable, the API.

The lists of keys are those of the specification, not of the model: a new key of a number fails here until it
is in one of them.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.edit import Edits
from cbox_init.config.load import Examined, examine_text
from cbox_init.config.model import Config
from cbox_init.config.model.kinds import Kind
from cbox_init.config.model.process import ChildVariables
from cbox_init.config.schema import ValueSpec, ValueType, fields_of
from cbox_init.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Of these 0 makes no sense, so that it means "not set".
POSITIVE: Final = _names(
    """
    global.shutdown_timeout global.health_check_interval global.restart_backoff_initial
    global.restart_backoff_max global.restart_stability_window global.dependency_timeout
    global.process_start_timeout global.process_stop_timeout global.max_process_scale
    global.zombie_reap_interval global.log_multiline_timeout global.log_multiline_max_lines
    global.api_port global.api_max_request_body global.api_memory_budget global.api_max_connections
    global.api_rate_burst global.api_tls.auto_reload_interval global.metrics_tls.auto_reload_interval
    global.readiness.http_tls.auto_reload_interval
    global.metrics_port global.resource_metrics_interval global.audit_rotate.max_size
    global.audit_rotate.max_files global.schedule_history_size global.oneshot_history_max_entries
    global.oneshot_history_max_age global.log_outputs.X.rotate.max_size global.log_outputs.X.rotate.max_files
    hooks.pre-start.0.timeout hooks.post-start.0.timeout hooks.pre-stop.0.timeout hooks.post-stop.0.timeout
    processes.X.timeout processes.X.max_runtime processes.X.ready_when.timeout
    notifications.0.timeout notifications.0.retry_delay
    processes.X.max_restart_delay processes.X.restart_threshold processes.X.dependency_timeout
    processes.X.health_check.period processes.X.health_check.timeout
    processes.X.health_check.failure_threshold processes.X.health_check.success_threshold
    processes.X.health_check.start_period processes.X.health_check.start_interval
    processes.X.health_check.expected_status
    processes.X.shutdown.timeout processes.X.shutdown.pre_stop_hook.timeout
    processes.X.shutdown.post_stop_hook.timeout
    processes.X.logging.multiline.max_lines processes.X.logging.multiline.timeout
    processes.X.logging.files.X.rotate.max_size processes.X.logging.files.X.rotate.max_files
    processes.X.logging.files.X.multiline.max_lines processes.X.logging.files.X.multiline.timeout
    processes.X.logging.outputs.X.rotate.max_size processes.X.logging.outputs.X.rotate.max_files
    processes.X.schedule_timeout processes.X.heartbeat.interval processes.X.heartbeat.timeout
    processes.X.limits.cpu processes.X.limits.memory
    processes.X.autoscale.max processes.X.autoscale.target processes.X.autoscale.interval
    processes.X.autoscale.timeout
    """
)
#: Of these 0 is a number like any other.
ZERO: Final = _names(
    """
    global.shutdown_drain global.max_restart_attempts global.restart_backoff
    global.autotune_memory_threshold global.log_ring_size global.api_socket_mode
    global.api_max_connections_per_address global.api_rate_limit global.resource_metrics_max_samples
    global.tracing_sample_rate global.readiness.http_port
    hooks.pre-start.0.retry hooks.pre-start.0.retry_delay hooks.post-start.0.retry
    hooks.post-start.0.retry_delay hooks.pre-stop.0.retry hooks.pre-stop.0.retry_delay
    hooks.post-stop.0.retry hooks.post-stop.0.retry_delay
    notifications.0.min_interval notifications.0.retry
    processes.X.umask processes.X.restart_delay processes.X.max_restarts processes.X.max_scale
    processes.X.autoscale.min processes.X.autoscale.stabilization
    processes.X.port_base processes.X.health_check.initial_delay processes.X.watchdog
    processes.X.rollout.max_surge processes.X.rollout.max_unavailable processes.X.rollout.ready_timeout
    processes.X.rollout.pause processes.X.shutdown.pre_stop_hook.retry
    processes.X.shutdown.pre_stop_hook.retry_delay processes.X.shutdown.post_stop_hook.retry
    processes.X.shutdown.post_stop_hook.retry_delay
    processes.X.logging.ring_size processes.X.logging.rate_limit.lines processes.X.logging.rate_limit.burst
    processes.X.schedule_max_concurrent processes.X.heartbeat.grace processes.X.heartbeat.retry_count
    processes.X.heartbeat.retry_delay processes.X.max_memory_mb processes.X.limits.nproc.soft
    processes.X.limits.nofile.soft processes.X.limits.nofile.hard
    processes.X.limits.nproc.hard processes.X.limits.core.soft processes.X.limits.core.hard
    processes.X.limits.nice processes.X.limits.oom_score_adj processes.X.priority
    """
)
#: In a file and a variable 0 means "not set", over the API no instance.
SCALE: Final = "processes.X.scale"
#: An empty text is a value of these.
EMPTY_TEXTS: Final = frozenset(("global.readiness.path", "global.readiness.content"))
#: An empty section is one with its defaults.
EMPTY_SECTIONS: Final = ("rotate", "audit_rotate")

_NUMBERS: Final = (
    *(ValueType.INT, ValueType.FLOAT, Kind.DURATION, Kind.DURATION_MS, Kind.SIZE, Kind.ATTEMPTS),
    *(Kind.SCALE, Kind.AMOUNT),
)
_NUMBERS_TOO: Final = (*_NUMBERS, Kind.RLIMIT, Kind.SIZE_RLIMIT, Kind.STATUSES, Kind.UMASK)
_TEXTS: Final = (ValueType.TEXT, ValueType.SECRET, Kind.HOST)
_COLLECTIONS: Final = (
    *(ValueType.SECTION, ValueType.SECTION_LIST, ValueType.SECTION_MAP),
    *(ValueType.TEXT_LIST, ValueType.TEXT_MAP, ValueType.SECRET_MAP, Kind.ENVIRONMENT),
)
NOTHING: Final[tuple[Any, ...]] = ("", None, [], {})
ZEROS: Final[tuple[Any, ...]] = (0, "0", "0s")

#: What stands beside a key, so that its section is one that can be used, by the name of the section.
BESIDE: Final[dict[str, dict[str, Any]]] = {
    "ProcessConfig": {"command": ["a"], "schedule": "@daily"},
    "HookConfig": {"command": ["a"], "name": "a"},
    "HealthCheckConfig": {"url": "http://a/", "type": "http"},
    "HeartbeatConfig": {"url": "http://a/", "success_url": "http://b/"},
    "LogFileConfig": {"path": "/a"},
    "OutputConfig": {"path": "/b", "type": "file"},
    "RotateConfig": {"compress": True},
    "RedactionPattern": {"pattern": "a", "name": "b"},
    "EnvFileConfig": {"path": "/a", "required": False},
    "ApiTokenConfig": {"token": "0123456789abcdef", "name": "a", "role": "viewer"},
    "ApiCertificateRole": {"subject": "a", "role": "viewer"},
    "ApiSocketRole": {"user": "root", "role": "viewer"},
    "RlimitConfig": {"soft": 7, "hard": 8},
    "SizeRlimitConfig": {"soft": 7, "hard": 8},
    "CapabilitiesConfig": {"drop": ["ALL"], "add": ["CHOWN"]},
}


class Key(NamedTuple):
    """A key of the model: where it is in a file (X is any name, 0 any entry), and what it takes."""

    path: tuple[str, ...]
    spec: ValueSpec
    section: type[Struct]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def document(self, *value: Any) -> dict[str, Any]:
        """A file with this key, or without it when there is no ``value``."""
        document: dict[str, Any] = {"x-a": 1, "processes": {"X": {"command": ["a"], "schedule": "@daily"}}}
        level: Any = document
        section: Any = Config
        for step in self.path[:-1]:
            field = fields_of(section).get(step) if step not in ("X", "0") else None
            spec = field.spec if field is not None else None
            if step in ("X", "0"):
                made = dict(BESIDE.get(section.__name__, {}))
            elif spec is not None and spec.value_type is ValueType.SECTION and spec.type is not None:
                made = dict(BESIDE.get(spec.type.__name__, {}))
            else:
                made = {}
            if spec is not None:
                section = spec.type
            if step == "0":
                level.append(made)
                level = level[0]
            else:
                is_list = spec is not None and spec.value_type is ValueType.SECTION_LIST
                level = level.setdefault(step, [] if is_list else made)
        level.pop(self.path[-1], None)
        if value:
            level[self.path[-1]] = value[0]
        return document


def keys_of(section: type[Struct], path: tuple[str, ...] = ()) -> Iterator[Key]:
    for name, field in fields_of(section).items():
        here = (*path, name)
        yield Key(here, field.spec, section)
        if field.spec.type is not None and issubclass(field.spec.type, Struct):
            more: dict[object, str] = {ValueType.SECTION_LIST: "0", ValueType.SECTION_MAP: "X"}
            entry = more.get(field.spec.value_type, "")
            yield from keys_of(field.spec.type, (*here, entry) if entry else here)


ALL: Final = {key.name: key for key in keys_of(Config)}
#: The environment reaches no entry of a list or of a mapping.
OF_ENVIRONMENT: Final = [
    key
    for key in ALL.values()
    if (key.path[0] == "global" or (key.path[0] == "processes" and len(key.path) > 2))
    and not {"0", "X"} & set(key.path[2:])
    and len(key.path) > 1
]
OF_PROCESSES: Final = [
    key for key in ALL.values() if key.path[:2] == ("processes", "X") and len(key.path) > 2
]


def means_nothing(key: Key, value: Any, channel: str) -> bool | None:
    """Whether the value means that the key is not set; None where it is a value or an error."""
    kind = key.spec.value_type
    if value == "" and isinstance(value, str):
        return None if key.name in EMPTY_TEXTS else True
    if value == {} and key.path[-1] in EMPTY_SECTIONS:
        return None if kind is ValueType.SECTION else True
    if value in NOTHING and not isinstance(value, int):
        # In a variable "null" and "[]" are texts where the key takes any text.
        return None if channel == "variable" and kind in _TEXTS else True
    if kind in _NUMBERS_TOO:
        if key.name == SCALE:
            return channel != "api" or (None if value == "0s" else False)
        if key.name in POSITIVE:
            return True
        return False if value != "0s" or kind in (Kind.DURATION, Kind.DURATION_MS) else None
    return None


def test_each_number_is_in_one_list() -> None:
    numbers = {name for name, key in ALL.items() if key.spec.value_type in _NUMBERS_TOO}
    assert numbers - POSITIVE - ZERO == {SCALE}, "say in the table what 0 means for these"
    assert not (POSITIVE | ZERO) - numbers
    assert not POSITIVE & ZERO


@cache
def without(key: Key) -> Any:
    return outcome(examine_text(json.dumps(key.document()), "/f", {}))


def outcome(found: Examined) -> Any:
    config = found.config
    if config is not None:  # without the names of the variables that are settings of a process
        plain = {name: replace(one, variables=ChildVariables()) for name, one in config.processes.items()}
        config = replace(config, processes=plain)
    return config, sorted(str(problem) for problem in found.problems if problem.severity != "suggestion")


def value_of(config: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if isinstance(config, Struct):
            config = getattr(config, fields_of(type(config))[step].attribute)
        else:
            config = config[0] if step == "0" else config[step]
    return config


def complaint(key: Key, value: Any, found: Examined, expected: Any, channel: str) -> str | None:
    """What is wrong with what came of one value, if anything."""
    where = f"{key.name}: {value!r} ({channel})"
    for problem in found.problems:
        if "\n" in str(problem) or not problem.message:
            return f"{where}: {problem!r}"
    wanted = means_nothing(key, value, channel)
    if wanted and outcome(found) != expected:
        return f"{where}: should be as good as absent: {[str(one) for one in found.problems]}"
    if wanted is False:
        if not found.valid and [one.field for one in found.problems if one.severity == "error"] == [key.name]:
            return f"{where}: should be the number 0: {found.problems}"
        if found.valid and not is_zero(value_of(found.config, key.path)):
            return f"{where}: should be 0, is {value_of(found.config, key.path)!r}"
    if wanted is None and not found.valid and not any(_is_about(key, one.field) for one in found.problems):
        return f"{where}: an error elsewhere: {[str(one) for one in found.problems]}"
    return None


def _is_about(key: Key, field: str) -> bool:
    plain = field.replace("[0]", ".0")
    return plain.startswith(key.name) or key.name.startswith(plain)


def is_zero(value: Any) -> bool:
    return value in (0, 0.0) and value is not False


@pytest.mark.parametrize("top", ["global", "hooks", "processes", ""])
def test_in_a_file(top: str) -> None:
    wrong = []
    for key in ALL.values():
        if (key.path[0] if key.path[0] in ("global", "hooks", "processes") else "") != top:
            continue
        for value in (*NOTHING, *ZEROS):
            if key.name == "processes":
                continue
            found = examine_text(json.dumps(key.document(value)), "/f", {})
            wrong.append(complaint(key, value, found, without(key), "file"))
    assert not [one for one in wrong if one]


@pytest.mark.parametrize("top", ["global", "processes"])
def test_in_a_variable(top: str) -> None:
    wrong = []
    for key in OF_ENVIRONMENT:
        if key.path[0] != top:
            continue
        text = json.dumps(key.document())
        name = "_".join(key.path).upper().replace("PROCESSES_X", "PROCESS_X")
        for value in (*NOTHING, *ZEROS):
            written = value if isinstance(value, str) else json.dumps(value)
            found = examine_text(text, "/f", {f"CBOX_INIT_{name}": written})
            wrong.append(complaint(key, value, found, without(key), "variable"))
    assert not [one for one in wrong if one]


def _body(key: Key, *value: Any) -> dict[str, Any]:
    body: dict[str, Any] = key.document(*value)["processes"]["X"]
    return body


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_in_a_body(method: str) -> None:
    base = examine_text(json.dumps({"processes": {"X": {"command": ["a"]}}}), "/f", {}).config
    assert base is not None
    name = "X" if method == "PUT" else "Y"

    def edited(body: Mapping[str, Any]) -> Examined:
        edits = Edits(base)
        try:
            after = (edits.updated if method == "PUT" else edits.added)(name, body, {})
        except ConfigError as error:
            problems = tuple(error.problems)
        else:
            return Examined(config=replace(base, processes={"X": after.config.processes[name]}), path=None)
        return Examined(config=None, path=None, problems=problems)

    def plain(found: Examined) -> Examined:
        """As if the process were X here too."""
        problems = (
            replace(one, field=one.field.replace(f"processes.{name}", "processes.X"))
            for one in found.problems
        )
        return replace(found, problems=tuple(problems))

    wrong = []
    for key in OF_PROCESSES:
        expected = outcome(plain(edited(_body(key))))
        for value in (*NOTHING, *ZEROS):
            wrong.append(complaint(key, value, plain(edited(_body(key, value))), expected, "api"))
    assert not [one for one in wrong if one]
