"""Processes edited while the daemon runs: held to the rules of the file, masked values kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace

from cbox_init.config.edit import Edits
from cbox_init.config.load import examine_text
from cbox_init.config.masking import masked
from cbox_init.config.save import edited
from cbox_init.errors import ConfigError, Conflict, UnknownProcess
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from cbox_init.config.model import Config
    from cbox_init.config.raw import Raw
    from tests.config.conftest import Read

FILE = """
processes:
  db: {command: [postgres]}
  web:
    command: [web, --dsn, "postgres://app:hush@db/app"]
    depends_on: [db]
    env: {DB_PASSWORD: hush, PLAIN: hello}
    heartbeat: {url: "https://hc.example/secret", headers: {X-Key: hush}}
"""


@pytest.fixture
def config(read: Read) -> Config:
    return config_of(read(FILE))


def test_add(config: Config) -> None:
    edits = Edits(config).added("queue", {"command": "run ${WHO} ${PORT}", "scale": 3}, {"WHO": "me"})
    queue = edits.config.processes["queue"]
    assert (queue.command, queue.scale, queue.restart) == (("run", "me", "${PORT}"), 3, "always")
    assert list(edits.config.processes) == ["db", "web", "queue"]
    assert edits.base is config
    with pytest.raises(Conflict, match="exists already"):
        edits.added("queue", {"command": "x"}, {})


def test_every_problem_is_reported(config: Config) -> None:
    raw: dict[str, Raw] = {
        "command": [],
        "scale": "many",
        "depends_on": ["dbb"],
        "restart": 5,
        "env": {"A=B": "c"},
    }
    with pytest.raises(ConfigError) as caught:
        Edits(config).added("xy", raw, {})
    errors = {problem.field for problem in caught.value.problems if problem.severity == "error"}
    keys = ("command", "scale", "depends_on[0]", "restart", "env.A=B")
    assert errors == {f"processes.xy.{key}" for key in keys}


def test_update_takes_what_was_shown_for_what_is_there(config: Config) -> None:
    web = config.processes["web"]
    shown = masked(web)
    assert "hush" not in str(shown)
    shown["scale"] = 5
    edits = Edits(config).updated("web", shown, {})  # type: ignore[arg-type]
    after = edits.config.processes["web"]
    assert after.scale == 5
    assert (after.env, after.command, after.heartbeat) == (web.env, web.command, web.heartbeat)


def test_a_new_value_of_a_secret_counts(config: Config) -> None:
    shown = masked(config.processes["web"])
    shown["env"] = {"DB_PASSWORD": "new", "OTHER": "***"}
    after = Edits(config).updated("web", shown, {}).config.processes["web"]  # type: ignore[arg-type]
    assert after.env == {"DB_PASSWORD": "new", "OTHER": "***"}


def test_what_is_absent_has_its_default(config: Config) -> None:
    after = Edits(config).updated("web", {"command": "x"}, {}).config.processes["web"]
    assert (after.env, after.depends_on, after.scale) == ({}, (), 1)


def test_remove(config: Config) -> None:
    edits = Edits(config)
    with pytest.raises(Conflict, match="it is a dependency of web"):
        edits.removed("db")
    with pytest.raises(UnknownProcess):
        edits.removed("nobody")
    with pytest.raises(UnknownProcess):
        edits.updated("nobody", {}, {})
    without = edits.removed("web")
    assert list(without.config.processes) == ["db"]
    with pytest.raises(Conflict, match="last process"):
        without.removed("db")


@pytest.mark.parametrize("depth", [10, 100, 1000])
def test_deep_nonsense_is_no_defect(config: Config, depth: int) -> None:
    deep: object = "x"
    for _ in range(depth):
        deep = {"env": [deep]}
    with pytest.raises(ConfigError):
        Edits(config).added("x", {"command": deep}, {})  # type: ignore[dict-item]


FULL = """
global:
  log_redaction_enabled: true
  log_redaction_patterns: [password, 'a\\d+']
  log_multiline_enabled: true
  log_multiline_pattern: '^x'
processes:
  web:
    command: [sh, -c, "echo $${HOME} ${PORT} --token=abcdef"]
    env: {A: "$${HOME}", B: "${PORT}", API_TOKEN: 'x$${Z}', URL: "http://u:pw@h/"}
    working_dir: "/tmp/$${X}"
    scale: off
    dependency_timeout: never
    restart_threshold: off
    port_base: 9000
    limits: {nofile: 1024, core: unlimited, cpu: 1}
    umask: "027"
    environment: [A*, B]
    env_file: {path: /nope, required: false}
    health_check:
      url: "http://127.0.0.1:${PORT}/$${LIT}"
      expected_status: [200, 2xx]
      headers: {X: "a$${b}"}
    shutdown: {signal: USR1, pre_stop_hook: {command: [x, "$${HOME}"], timeout: 1m30s}}
    logging:
      labels: {a: "$${b}"}
      redaction:
        enabled: true
        patterns: [{name: a, pattern: "x(?P<n>y)", replacement: "${n}"}, jwt]
      multiline: {timeout: 1.5}
      filters: {exclude: ["a$${b}"]}
      outputs: {o: {type: file, path: "/tmp/x-${CBOX_INIT_INSTANCE_ID}-$${l}", rotate: {}}}
      files: {f: {path: "/var/log/$${x}", rotate: {max_size: 1MB}}}
  job:
    command: [a]
    schedule: "CRON_TZ=Europe/Berlin 0 4 * * ?"
    schedule_timeout: 1h
    heartbeat: {url: "https://x/$${y}", headers: {A: "b$${c}"}}
"""


@pytest.mark.parametrize("name", ["web", "job"])
def test_a_whole_configuration_that_is_put_back_changes_nothing(name: str) -> None:
    """As a form does it: everything is read, one field is changed, everything is written."""
    config = config_of(examine_text(FULL, "/f.yaml", {}))
    shown = json.loads(json.dumps(masked(config.processes[name])))
    same = Edits(config, path="/f.yaml").updated(name, shown, {})
    assert same.config.processes[name] == config.processes[name]
    assert edited(FULL, same) == FULL
    other = Edits(config, path="/f.yaml").updated(name, {**shown, "max_memory_mb": 7}, {})
    assert other.config.processes[name] == replace(config.processes[name], max_memory_mb=7)
    lines = set(edited(FULL, other).splitlines()) ^ set(FULL.splitlines())
    assert lines == {"    max_memory_mb: 7"}


def test_whole_seconds_are_integers_for_clients_that_read_integers() -> None:
    config = config_of(examine_text(FULL, "/f.yaml", {}))
    shown = masked(config.processes["web"])
    health, shutdown, logging = (
        cast("dict[str, Any]", shown[key]) for key in ("health_check", "shutdown", "logging")
    )
    numbers = [health[key] for key in ("initial_delay", "period", "timeout", "start_interval")]
    numbers += [shutdown["timeout"], shutdown["pre_stop_hook"]["timeout"], shown["watchdog"]]
    assert [type(one) for one in numbers] == [int] * len(numbers)
    assert logging["multiline"]["timeout"] == 1.5
    assert masked(config.processes["job"])["schedule_timeout"] == 3600
