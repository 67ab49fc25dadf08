from __future__ import annotations

import copy
import json
import pickle
import traceback
from typing import TYPE_CHECKING

import msgspec
import pytest

from cbox_init.config.load import examine
from cbox_init.config.masking import masked
from cbox_init.config.model import Config, HeartbeatConfig, ProcessConfig, Secret
from cbox_init.sensitive import sounds_secret, without_url_password
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from tests.config.conftest import Read

TEXT = "hunter2-hunter2-hunter2"


def test_a_secret_is_seen_only_when_revealed() -> None:
    secret = Secret(TEXT)
    assert secret.reveal() == TEXT
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>5}",
        f"{secret!r}",
        f"{secret} {secret!r}",
    ]
    shown += [repr([secret]), repr({"a": secret}), repr(HeartbeatConfig(url=secret)), str(dir(secret))]
    assert TEXT not in "".join(shown)
    assert shown[0] == "***"


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.to_builtins, pickle.dumps, json.dumps])
def test_a_secret_is_not_encoded(encode: object) -> None:
    assert callable(encode)
    with pytest.raises(TypeError) as caught:
        encode({"token": Secret(TEXT)})
    assert TEXT not in str(caught.value)


def test_a_secret_is_not_in_a_traceback_with_locals() -> None:
    secret = Secret(TEXT)
    try:
        raise RuntimeError(secret)
    except RuntimeError as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert secret.reveal() == TEXT
    assert TEXT not in "".join(report.format())


def test_secrets_compare_and_copy() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert copy.deepcopy(Secret("a")).reveal() == copy.copy(Secret("a")).reveal() == "a"
    assert not Secret("")


def test_no_problem_and_no_value_of_a_file_shows_a_secret(read: Read) -> None:
    found = read(
        f"""
        global: {{api_enabled: true, api_auth: "Bearer {TEXT}"}}
        processes:
          web:
            command: a
            heartbeat: {{url: "https://ping/{TEXT}", headers: {{Authorization: {TEXT}}}}}
        """
    )
    assert TEXT not in repr(config_of(found)) + "".join(map(str, found.problems))
    assert TEXT not in json.dumps(masked(config_of(found).processes["web"]))


@pytest.mark.parametrize("key", ["url: [{0}]", "url: {{a: {0}}}", "headers: {0}", "headers: {{A: [{0}]}}"])
def test_no_error_shows_a_secret(read: Read, key: str) -> None:
    found = read("processes: {web: {command: a, heartbeat: {" + key.format("s3cr3t") + "}}}")
    assert found.config is not None
    assert not found.valid
    assert "s3cr3t" not in "".join(map(str, found.problems))


def test_masked_process() -> None:
    process = ProcessConfig(
        command=("run", "--db=mysql://root:pw@db/app"),
        env={
            "APP_KEY": "base64:abc",
            "DB_PASSWORD": "x",
            "REDIS_URL": "redis://:pass@word@redis:6379/0",
            "DATABASE_URL": "postgres://u:pw@h/db",
            "SENTRY_DSN": "https://k@sentry/1",
            "EMPTY_TOKEN": "",
            "APP_ENV": "production",
        },
        heartbeat=HeartbeatConfig(success_url=Secret("https://ping/x"), headers={"X": Secret("y")}),
    )
    shown = masked(process)
    assert shown["env"] == {
        "APP_KEY": "***",
        "DB_PASSWORD": "***",
        "REDIS_URL": "redis://:***@redis:6379/0",
        "DATABASE_URL": "postgres://u:***@h/db",
        "SENTRY_DSN": "***",
        "EMPTY_TOKEN": "",
        "APP_ENV": "production",
    }
    assert shown["command"] == ["run", "--db=mysql://root:***@db/app"]
    assert shown["type"] == "longrun"
    heartbeat = shown["heartbeat"]
    assert isinstance(heartbeat, dict)
    assert (heartbeat["success_url"], heartbeat["failure_url"], heartbeat["headers"]) == (
        "***",
        None,
        {"X": "***"},
    )
    assert json.loads(json.dumps(shown)) == shown


def test_masking_uses_the_files_keys() -> None:
    assert set(masked(Config())) == {"version", "include", "global", "hooks", "processes"}
    assert masked(Config())["hooks"] == {"pre-start": [], "post-start": [], "pre-stop": [], "post-stop": []}


@pytest.mark.parametrize(
    "name", ["PASSWORD", "db_passwd", "API_KEY", "MY_SECRET", "GH_TOKEN", "X_AUTH", "DB_PW"]
)
def test_names_that_sound_secret(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize("name", ["APP_ENV", "PATH", "COMPASS", "HOST", "PORT", "SPIN"])
def test_names_that_do_not(name: str) -> None:
    assert not sounds_secret(name)


def test_urls_without_password_stay() -> None:
    for text in ("http://host:80/path", "mail me@example.org", "postgres://host/db"):
        assert without_url_password(text) == text


def test_a_token_is_never_kept_as_text_in_the_environment_report() -> None:
    found = examine(
        None,
        {"CBOX_INIT_GLOBAL_API_AUTH": TEXT, "CBOX_INIT_PROCESS_A_COMMAND": "x", "CBOX_INIT_GLOBAL_X": TEXT},
    )
    assert TEXT not in repr(found)
