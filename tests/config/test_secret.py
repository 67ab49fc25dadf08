from __future__ import annotations

import copy
import json
import pickle
import traceback
from time import process_time
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.load import examine
from cbox_init.config.masking import masked
from cbox_init.config.model import Config, HeartbeatConfig, ProcessConfig, Secret
from cbox_init.sensitive import (
    KnownSecrets,
    command_without_secrets,
    sounds_secret,
    without_secrets,
    without_url_password,
)
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from tests.config.conftest import Read

TEXT = "hunter2-hunter2-hunter2"


_PIECES = st.sampled_from(["token-of-a1", "token-of-a2", "of-a1-token", "Secret99", "x", " ", "token-of-"])


@given(st.lists(st.lists(_PIECES, max_size=3).map("".join), max_size=30), st.lists(_PIECES, max_size=8))
def test_however_many_secrets_are_known_the_same_is_masked(values: list[str], pieces: list[str]) -> None:
    text = "".join(pieces)
    few = KnownSecrets(lambda: values).masked(text)
    many = KnownSecrets(lambda: [*values, *(f"Unrelated-{number}" for number in range(100))])
    assert many.masked(text) == few
    assert KnownSecrets(lambda: values).masked(text + " " * 2000).rstrip() == few.rstrip()


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
    assert set(masked(Config())) == {*("version", "include", "global", "hooks", "notifications", "processes")}
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


@pytest.mark.parametrize("name", ["PGPASS", "MYSQLPASS", "TLS_PASSPHRASE", "X_BEARER", "PGPASSWORD"])
def test_more_names_that_sound_secret(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "BYPASS"])
def test_names_that_only_look_so(name: str) -> None:
    assert not sounds_secret(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/x?token=s3cr3t&y=1", "https://h/x?token=***&y=1"),
        ("curl -H 'Authorization: Bearer s3cr3t.s3cr3t'", "curl -H 'Authorization: Bearer ***'"),
        ("Authorization: Basic czNjcjN0", "Authorization: Basic ***"),
        ("a bearer s3cr3t-s3cr3t b", "a bearer *** b"),
        ("X-Api-Key: s3cr3t", "X-Api-Key: ***"),
        ("mysql --password=s3cr3t -u root", "mysql --password=*** -u root"),
        ("mysql -uroot -ps3cr3t db", "mysql -uroot -p*** db"),
        ("mysqldump -p db", "mysqldump -p db"),
        ("app --db-password s3cr3t --fast", "app --db-password *** --fast"),
        ("PGPASSWORD=s3cr3t psql", "PGPASSWORD=*** psql"),
        ("PGPASSWORD='s3 cr3t' psql", "PGPASSWORD='***' psql"),
        ("sshpass -p s3cr3t ssh", "sshpass -p *** ssh"),
        ("redis-cli -h db -a s3cr3t ping", "redis-cli -h db -a *** ping"),
        ("curl -u me:s3cr3t http://h", "curl -u me:*** http://h"),
        ("openssl rsa -passin pass:s3cr3t", "openssl rsa -passin pass:***"),
        ('{"password": "s3cr3t", "a": 1}', '{"password": "***", "a": 1}'),
        ('{"pass\\u0077ord": "s3cr3t"}', '{"pass\\u0077ord": "***"}'),
        ("postgres://u:s3cr3t@h/db", "postgres://u:***@h/db"),
        # Not secrets, and what puts one in later.
        ("--password=$DB_PASSWORD", "--password=$DB_PASSWORD"),
        ("--token-file=/run/token --sort-key=name", "--token-file=/run/token --sort-key=name"),
        ("expected a duration, got 'x'", "expected a duration, got 'x'"),
        ("mkdir -p /srv/data", "mkdir -p /srv/data"),
        ("a = b: c", "a = b: c"),
    ],
)
def test_secrets_by_their_form(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_the_words_of_a_command() -> None:
    assert command_without_secrets(["/usr/bin/mysql", "-ps3cr3t", "--password", "s3cr3t", "-u", "me"]) == [
        *("/usr/bin/mysql", "-p***", "--password", "***", "-u", "me")
    ]
    assert command_without_secrets(["curl", "-u", "me:s3cr3t"]) == ["curl", "-u", "me:***"]
    assert command_without_secrets(["app", "--token", "${PORT}"]) == ["app", "--token", "${PORT}"]
    assert command_without_secrets([]) == []


@given(st.text(alphabet="a=:\"'\\ -/@pP{}&?$u0074", max_size=2000))
def test_masking_takes_no_long_time(text: str) -> None:
    begin = process_time()
    without_secrets(text)
    assert process_time() - begin < 0.5


def test_known_values_are_masked_where_they_are_unmistakable() -> None:
    known = KnownSecrets(
        lambda: ["abc-12345", "postgres", "short1", "line one 123456789\nline two 123456789"]
    )
    text = "abc-12345 postgres short1, and line two 123456789"
    assert known.masked(text) == "*** postgres short1, and ***"
    known.use(list)
    assert known.masked(text) == text


def test_a_value_from_a_variable_is_in_no_problem() -> None:
    environ = {
        "CBOX_INIT_PROCESS_A_COMMAND": "x",
        "CBOX_INIT_PROCESS_A_SCALE": "a-Secret-1",
        "DB_PASSWORD": "a-Secret-1",
    }
    found = examine(None, environ)
    assert "***" in str(found.problems[0])
    assert "a-Secret-1" not in "".join(map(str, found.problems))
