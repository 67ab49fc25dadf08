"""What children get of the daemon's environment, and from files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.child_variables import for_children, inherited
from cbox_init.config.load import Examined, examine
from cbox_init.config.masking import masked
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"PATH": "/bin", "LANG": "C", "LC_TIME": "C", "APP_A": "1", "APP_B": "2", "OTHER": "3"}


def found(folder: Path, text: str, environ: dict[str, str]) -> Examined:
    file = folder / "cbox-init.yaml"
    file.write_text(text)
    return examine(str(file), environ)


def given_to(found: Examined, name: str, environ: dict[str, str]) -> dict[str, str]:
    """The environment of a process, without the instance's variables."""
    process = config_of(found).processes[name]
    variables = process.variables
    base = inherited(for_children(environ, found.withheld), variables)
    secrets = {key: value.reveal() for key, value in {**variables.kept, **variables.given}.items()}
    own = {key: value for key, value in process.env.items() if key not in variables.withheld}
    return {**base, **secrets, **own}


def of(folder: Path, text: str, environ: dict[str, str], name: str = "web") -> dict[str, str]:
    examined = found(folder, text, environ)
    assert examined.valid, examined.problems
    return given_to(examined, name, environ)


def errors(folder: Path, keys: str, environ: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    examined = found(folder, f"processes: {{web: {{command: a, {keys}}}}}", environ or {})
    return [
        (
            one.field.removeprefix("processes.web."),
            one.message.replace(str(folder), "DIR"),
            one.recommendation,
        )
        for one in examined.of(Severity.ERROR)
    ]


# -- what is inherited -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ("", {"PATH", "LANG", "LC_TIME", "APP_A", "APP_B", "OTHER"}),
        ("environment: inherit", {"PATH", "LANG", "LC_TIME", "APP_A", "APP_B", "OTHER"}),
        ("environment: clean", {"PATH", "LANG", "LC_TIME"}),
        ("environment: [OTHER]", {"PATH", "LANG", "LC_TIME", "OTHER"}),
        ("environment: [APP_*]", {"PATH", "LANG", "LC_TIME", "APP_A", "APP_B"}),
        ("environment: ['*']", {"PATH", "LANG", "LC_TIME", "APP_A", "APP_B", "OTHER"}),
    ],
)
def test_environment(tmp_path: Path, keys: str, names: set[str]) -> None:
    assert set(of(tmp_path, f"processes: {{web: {{command: a, {keys}}}}}", ENVIRON)) == names
    assert set(of(tmp_path, f"global: {{{keys}}}\nprocesses: {{web: {{command: a}}}}", ENVIRON)) == names


def test_that_of_the_process_counts_before_the_global_one(tmp_path: Path) -> None:
    text = "global: {environment: clean}\nprocesses: {web: {command: a, environment: inherit}}"
    assert "OTHER" in of(tmp_path, text, ENVIRON)


def test_environment_from_the_environment(tmp_path: Path) -> None:
    environ = {**ENVIRON, "CBOX_INIT_PROCESS_WEB_ENVIRONMENT": '["OTHER"]'}
    assert set(of(tmp_path, "processes: {web: {command: a}}", environ)) == {
        "PATH",
        "LANG",
        "LC_TIME",
        "OTHER",
    }


@pytest.mark.parametrize("value", ["{A: b}", "[A=b]", "[{A: b}]"])
def test_variables_of_compose_stay_a_warning(tmp_path: Path, value: str) -> None:
    examined = found(tmp_path, f"processes: {{web: {{command: a, environment: {value}}}}}", ENVIRON)
    assert [(one.field, one.recommendation) for one in examined.problems] == [
        ("processes.web.environment", "write env")
    ]
    assert examined.valid


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("claen", "expected inherit, clean or a list of names, got 'claen'"),
        ("['A B']", "'A B' is not a name of a variable"),
        ("['A*B']", "'A*B' is not a name of a variable"),
    ],
)
def test_environment_that_is_wrong(tmp_path: Path, value: str, message: str) -> None:
    ((_, said, hint),) = errors(tmp_path, f"environment: {value}")
    assert said == message
    assert hint


# -- the daemon's secrets --------------------------------------------------------------------------------

TOKENS = """
global:
  api_auth: ${API_TOKEN}
  log_level: ${LEVEL}
  log_outputs: {far: {type: otlp, address: "http://h:4318", headers: {Authorization: "${OTLP}"}}}
processes:
  web: {command: a}
  named: {command: [sh, -c, "echo $API_TOKEN"]}
  referring: {command: a, env: {X: "${OTLP}"}}
  listing: {command: a, environment: [PING, CBOX_INIT_GLOBAL_API_AUTH]}
  checked: {command: a, health_check: {url: "http://h/", headers: {Authorization: "${CHECK}"}}}
  job: {command: a, schedule: "@daily", heartbeat: {url: "${PING}"}}
"""
SECRETS = {
    "API_TOKEN": "a-token-of-the-api",
    "CBOX_INIT_API_AUTH": "a-token-of-the-api",
    "CBOX_INIT_GLOBAL_API_AUTH": "a-token-of-the-api",
    "CBOX_INIT_GLOBAL_API_PORT": "9181",
    "CBOX_INIT_PROCESS_JOB_HEARTBEAT_START_URL": "http://start",
    "LEVEL": "info",
    "OTLP": "otlp-key",
    "PING": "http://ping",
    "CHECK": "check-key",
}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("web", set()),
        ("named", {"API_TOKEN"}),
        ("referring", {"OTLP", "X"}),
        ("checked", set()),
        ("job", set()),
    ],
)
def test_children_do_not_get_the_secrets_of_the_daemon(tmp_path: Path, name: str, more: set[str]) -> None:
    everyone = {"PATH", "CBOX_INIT_GLOBAL_API_PORT", "LEVEL", "CHECK"}
    assert set(of(tmp_path, TOKENS, {"PATH": "/bin", **SECRETS}, name)) == everyone | more


def test_what_a_list_names_is_given(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", **SECRETS}
    assert set(of(tmp_path, TOKENS, environ, "listing")) == {"PATH", "PING", "CBOX_INIT_GLOBAL_API_AUTH"}


def test_a_section_from_a_variable_is_a_secret_too(tmp_path: Path) -> None:
    text = "global: {log_outputs: ${OUTPUTS}}\nprocesses: {web: {command: a}}"
    environ = {"OUTPUTS": '{far: {type: otlp, address: "http://h:4318", headers: {A: b}}}'}
    assert of(tmp_path, text, environ) == {}


def test_included_files_count_too(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("processes: {job: {command: a, heartbeat: {url: '${PING}'}}}")
    text = "include: [more.yaml]\nprocesses: {web: {command: a}}"
    assert of(tmp_path, text, {"PING": "http://ping"}) == {}


def test_settings_of_other_processes_stay_theirs(tmp_path: Path) -> None:
    environ = {
        "CBOX_INIT_PROCESS_WEB_SCALE": "2",
        "CBOX_INIT_PROCESS_WEB_DB_SCALE": "2",
        "CBOX_INIT_PROCESS_WEB_DB_ENV_PASSWORD": "x",
        "CBOX_INIT_PROCESS_NEW_COMMAND": "a",
    }
    text = "processes: {web: {command: a}, web-db: {command: a}}"
    assert set(of(tmp_path, text, environ)) == {"CBOX_INIT_PROCESS_WEB_SCALE"}
    assert set(of(tmp_path, text, environ, "web-db")) == {
        "CBOX_INIT_PROCESS_WEB_DB_SCALE",
        "CBOX_INIT_PROCESS_WEB_DB_ENV_PASSWORD",
        "PASSWORD",
    }
    assert set(of(tmp_path, text, environ, "new")) == {"CBOX_INIT_PROCESS_NEW_COMMAND"}


# -- files -----------------------------------------------------------------------------------------------


def test_env_file(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1\nB=$OTHER\nC=${OWN}\nD=file")
    (tmp_path / "b.env").write_text("A=2\nTOKEN=$API_TOKEN")
    text = (
        "global: {api_auth: ${API_TOKEN}}\n"
        "processes: {web: {command: a, env_file: [a.env, {path: b.env}, {path: c.env, required: false}],"
        " env: {OWN: own, D: env}}}"
    )
    environ = {"OTHER": "3", "A": "inherited", "API_TOKEN": "a-token-of-the-api"}
    assert of(tmp_path, text, environ) == {
        "A": "2",
        "B": "3",
        "C": "own",
        "D": "env",
        "OWN": "own",
        "OTHER": "3",
        "TOKEN": "",
    }


@pytest.mark.parametrize("value", ["a.env", "[a.env]", "{path: a.env}", "[{path: a.env, required: true}]"])
def test_the_forms_of_env_file(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.env").write_text("A=1")
    assert of(tmp_path, f"processes: {{web: {{command: a, env_file: {value}}}}}", {}) == {"A": "1"}


def test_a_raw_env_file(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A='1' # $B\nB\nC")
    text = "processes: {web: {command: a, env_file: {path: a.env, format: raw}, env: {B: own}}}"
    assert of(tmp_path, text, {}) == {"A": "'1' # $B", "B": "own"}


def test_a_path_counts_from_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.env").write_text("A=1")
    (tmp_path / "conf/more.yaml").write_text("processes: {job: {command: a, env_file: a.env}}")
    text = "include: [conf/more.yaml]\nprocesses: {web: {command: a}}"
    assert of(tmp_path, text, {}, "job") == {"A": "1"}


def test_files_of_a_disabled_process_are_not_read(tmp_path: Path) -> None:
    text = "processes: {web: {command: a}, off: {command: a, enabled: false, env_file: none.env}}"
    assert of(tmp_path, text, {}) == {}


def test_env_files_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.env").write_text("A=1\n=s3cr3t")
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"A=\xff")
    (tmp_path / "large").write_text("A" * 2**20 + "B")
    assert errors(tmp_path, "env_file: none.env") == [
        (
            "env_file[0]",
            "cannot read DIR/none.env: No such file or directory",
            "create it, or write required: false",
        )
    ]
    assert errors(tmp_path, "env_file: [bad.env]") == [
        ("env_file[0]", "DIR/bad.env: line 2 does not begin with the name of a variable", "write NAME=value")
    ]
    assert errors(tmp_path, "env_file: folder")[0][:2] == ("env_file[0]", "DIR/folder is a directory")
    (latin,) = errors(tmp_path, "env_file: latin")
    assert latin[1] == "line 1 of DIR/latin contains a byte that is not UTF-8"
    assert errors(tmp_path, "env_file: large")[0][1] == "DIR/large is larger than 1024 KiB"
    assert errors(tmp_path, "env_file: [{required: false}]")[0] == (
        "env_file[0].path",
        "is empty",
        "write the path of a file",
    )


def test_name_file_becomes_name(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("s3cr3t\n")
    text = (
        "processes: {web: {command: a, env_files_from_secrets: true, env: {DB_USER_FILE: db, EMPTY: ''},"
        " env_file: a.env}}"
    )
    (tmp_path / "a.env").write_text("OF_A_FILE_FILE=db\n")
    environ = {
        "DB_PASSWORD_FILE": f"{tmp_path}/db",
        "DB_PASSWORD": "",
        "LOG_FILE": "/var/log/none",
        "SSL_CERT_FILE": "/none",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/none",
    }
    assert of(tmp_path, text, environ) == {
        "DB_USER": "s3cr3t",
        "DB_PASSWORD": "s3cr3t",
        "OF_A_FILE": "s3cr3t",
        "EMPTY": "",
        "LOG_FILE": "/var/log/none",
        "SSL_CERT_FILE": "/none",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/none",
    }
    assert "DB_PASSWORD" not in of(tmp_path, "processes: {web: {command: a}}", {"DB_PASSWORD_FILE": "/none"})


@as_root
@pytest.mark.parametrize("whose", ["file", "directory"])
def test_a_file_of_another_user_names_no_secret_file(tmp_path: Path, whose: str) -> None:
    """It could name any file of root, and read it in the environment of the process."""
    (tmp_path / "secret").write_text("root's")
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / ".env").write_text("A_FILE=secret\nB_FILE=none\nC=c\n")
    os.chown(folder / ".env" if whose == "file" else folder, 65534, 65534)
    text = "{command: a, env_files_from_secrets: true, env_file: app/.env, env: {B_FILE: secret}}"
    given = of(tmp_path, f"processes: {{web: {text}}}", {})
    assert given["A_FILE"] == "secret"
    assert "A" not in given
    assert (given["B"], given["C"]) == ("root's", "c")


def test_secret_files_that_are_wrong(tmp_path: Path) -> None:
    on = "env_files_from_secrets: true"
    (tmp_path / "db").write_text("x")
    (tmp_path / "large").write_text("x" * 2**17)
    assert errors(tmp_path, f"{on}, env: {{A_FILE: db, A: b}}") == [
        ("env.A_FILE", "A and A_FILE are both set", "remove one of them")
    ]
    assert errors(tmp_path, f"{on}, env: {{A_FILE: none}}") == [
        (
            "env.A_FILE",
            "A_FILE: cannot read DIR/none: No such file or directory",
            "create it, or unset A_FILE",
        )
    ]
    assert errors(tmp_path, f"{on}, env: {{A_FILE: .}}")[0][1] == "A_FILE: DIR/. is a directory"
    assert (
        errors(tmp_path, f"{on}, env: {{A_FILE: large}}")[0][1] == "A_FILE: DIR/large is larger than 128 KiB"
    )
    assert errors(tmp_path, on, {"DB_SECRET_FILE": "/run/secrets/none"})[0][0] == "env_files_from_secrets"


def test_values_of_files_are_in_no_view_and_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("DATABASE=s3cr3t")
    examined = found(tmp_path, "processes: {web: {command: a, env_file: a.env}}", {})
    assert "s3cr3t" not in repr(config_of(examined))
    shown = masked(config_of(examined).processes["web"])
    assert "s3cr3t" not in json.dumps(shown)
    assert shown["env_file"] == [{"path": "a.env", "required": True, "format": "dotenv"}]


# -- hooks -----------------------------------------------------------------------------------------------


def test_hooks_that_run_as_another_user_now_are_named(tmp_path: Path) -> None:
    hooks = "shutdown: {pre_stop_hook: {command: a}}"
    examined = found(tmp_path, f"processes: {{web: {{command: a, user: www-data, {hooks}}}}}", {})
    assert [(one.field, one.message, one.severity) for one in examined.problems] == [
        (
            "processes.web.shutdown.pre_stop_hook",
            "runs as user www-data of the process, and no longer as the user of the daemon",
            Severity.WARNING,
        )
    ]
    for keys in (
        *("user: www-data, hook_user: root", "hook_user: nobody", "umask: 7"),
        *("user: root", "user: 0, group: root"),  # as before
    ):
        assert not found(tmp_path, f"processes: {{web: {{command: a, {keys}, {hooks}}}}}", {}).problems
