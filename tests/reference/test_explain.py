"""``explain`` finds the key that is meant, and says of it what the model says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from cbox_init.errors import ConfigError
from cbox_init.reference.explain import find
from cbox_init.reference.keys import keys
from tests.e2e.daemon import COMMAND


def paths(asked: str) -> list[str]:
    return [found.path for found in find(asked)]


def test_every_key_is_found_by_its_path_and_by_its_variable() -> None:
    for key in keys():
        (found,) = find(key.path)
        assert (found.key.owner, found.key.name) == (key.owner, key.name)
        if key.variable and key.path != "processes.NAME.env":
            (found,) = find(key.variable.replace("_NAME_", "_WEB_", 1))
            assert found.key.path == key.path


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("processes.web.health_check.period", ["processes.web.health_check.period"]),
        ("processes.web.health_check.interval", ["processes.web.health_check.period"]),
        ("health_check", ["processes.NAME.health_check"]),
        ("web.scale", ["processes.web.scale"]),
        ("global.api_tls", ["global.api_tls"]),
        ("api_tls.min_version", ["global.api_tls.min_version"]),
        ("hooks.pre-start[0].command", ["hooks.pre-start[].command"]),
        ("hooks.pre-start.command", ["hooks.pre-start[].command"]),
        ("processes.web", ["processes"]),
        ("processes.web.env.APP_ENV", ["processes.web.env"]),
        ("global.log_outputs.all.path", ["global.log_outputs.all.path"]),
        ("CBOX_INIT_PROCESS_QUEUE_MAIL_SHUTDOWN_TIMEOUT", ["processes.queue-mail.shutdown.timeout"]),
        ("CBOX_INIT_PROCESS_WEB_ENV_FILE", ["processes.web.env_file"]),
        ("CBOX_INIT_PROCESS_WEB_ENV_APP_KEY", ["processes.web.env"]),
        (
            "interval",
            [
                "processes.NAME.autoscale.interval",
                "processes.NAME.health_check.period",
                "processes.NAME.heartbeat.interval",
            ],
        ),
    ],
)
def test_what_is_found(asked: str, found: list[str]) -> None:
    assert paths(asked) == found


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("processes.web.health_check.perod", "did you mean processes.web.health_check.period?"),
        ("perod", "did you mean processes.NAME.health_check.period?"),
        ("processes.web.replicas", "write scale"),
        ("global.api_prot", "did you mean global.api_port?"),
        ("CBOX_INIT_GLOBAL_API_PROT", "did you mean CBOX_INIT_GLOBAL_API_PORT?"),
        ("xyzzy", "`cbox-init explain` lists the sections"),
        ("..", "lists the sections"),
        ("[", "lists the sections"),
        ("a\nb" * 1000, "…"),
        ("\udcff", "lists the sections"),
    ],
)
def test_what_is_not_found_gets_a_hint_in_one_line(asked: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(asked)
    message = str(caught.value)
    assert hint in message
    assert "\n" not in message and len(message) < 400


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def explained(*arguments: str) -> Any:
    return json.loads(run("explain", "--json", *arguments).stdout)["keys"]


def test_as_json() -> None:
    (found,) = explained("processes.web.health_check.period")
    assert found == {
        "path": "processes.web.health_check.period",
        "meaning": "Time between two checks. Default: `global.health_check_interval`.",
        "type": "duration",
        "default": None,
        "range": "> 0",
        "unit": "seconds",
        "example": "10s",
        "variable": "CBOX_INIT_PROCESS_WEB_HEALTH_CHECK_PERIOD",
        "older_names": ["interval"],
        "built": "yes",
        "places": ["processes.NAME.health_check.period"],
        "keys": [],
        "pages": [],
    }
    (section,) = explained("health_check")
    assert {"type", "url", "period"} <= set(section["keys"])
    assert explained() == ["version", "include", "global", "hooks", "notifications", "processes"]


def test_a_wrong_key_is_one_line_and_exit_code_1() -> None:
    done = run("explain", "perod")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("cbox-init: no key is called perod")


def test_the_schema_is_written_to_a_file(tmp_path: Any) -> None:
    assert run("schema", "--output", str(tmp_path / "a.json")).returncode == 0
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(run("schema").stdout)
    missing = run("schema", "--output", str(tmp_path / "none/a.json"))
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1


def test_serve_imports_none_of_it() -> None:
    code = (
        "import sys, cbox_init.cli.launch, cbox_init.daemon\n"
        "print([name for name in sys.modules if 'reference' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_stand_where_they_were_asked_for() -> None:
    (found,) = explained("logging.files.app.rotate.max_size")
    assert found["path"] == "processes.NAME.logging.files.app.rotate.max_size"
    (found,) = explained(" processes.*.shutdown ")
    assert found["path"] == "processes.NAME.shutdown"
    assert found["variable"] == "CBOX_INIT_PROCESS_NAME_SHUTDOWN"
