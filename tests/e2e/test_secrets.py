"""Secrets appear nowhere but in the process that they are for.

Every kind of secret has a value of its own. A daemon goes through starts, failures, reloads and edits. Then
all that it has written and answers, and all processes below it, are searched for each of them.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.daemon import COMMAND, wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.e2e.daemon import DaemonProcess

KINDS = (
    *("api", "otlp", "ping", "start", "db", "dsn", "file", "secret", "check", "user", "hook", "printed"),
    *("own", "wrong", "edit", "deploy", "plain", "tokenfile"),
)
MARKERS = {kind: f"Mk9-{kind}-7Zx3" for kind in KINDS}
PRINTED = "password=" + MARKERS["printed"]

ENVIRON = {
    "API_TOKEN": MARKERS["api"],
    "CBOX_INIT_API_AUTH": MARKERS["api"],
    "OTLP": MARKERS["otlp"],
    "PING": f"http://127.0.0.1:1/{MARKERS['ping']}",
    "CBOX_INIT_PROCESS_JOB_HEARTBEAT_START_URL": f"http://127.0.0.1:1/{MARKERS['start']}",
    "CBOX_INIT_PROCESS_APP_ENV_OWN_TOKEN": MARKERS["own"],
    "DB_PASSWORD": MARKERS["db"],
    "DEPLOY": MARKERS["deploy"],
    "PLAIN": MARKERS["plain"],
    "CHECK_TOKEN": MARKERS["check"],
    "WRONG_TOKEN": MARKERS["wrong"],
}

TEXT = """
global:
  api_socket: SOCKET
  metrics_enabled: true
  metrics_host: 127.0.0.1
  metrics_port: PORT
  api_auth: ${API_TOKEN}
  api_tokens:
    - {name: deploy, role: operator, token_env: DEPLOY}
    - {name: plain, role: viewer, token: "${PLAIN}"}
    - {name: file, role: viewer, token_file: DIR/../token}
  audit_enabled: true
  audit_output: DIR/audit
  log_level: debug
  log_outputs:
    far: {type: otlp, address: "http://127.0.0.1:1", headers: {Authorization: "Bearer ${OTLP}"}}
hooks:
  pre-start: [{command: [sh, -c, "env > DIR/hook.env"], env: {HOOK_SECRET: "${HOOKED}"}}]
processes:
  app:
    command: [sh, -c, "exec sleep 1000"]
    environment: clean
    env:
      DB_PASSWORD: ${DB_PASSWORD}
      HARMLESS: ${DB_PASSWORD}
      DATABASE_URL: "mysql://root:DSN@db/app"
      API_KEY_FILE: DIR/../secret
    env_file: ../app.env
    env_files_from_secrets: true
  other:
    environment: [PATH]
    command: [sleep, "1000"]
  failing: {environment: clean, command: ["/nonexistent/${DB_PASSWORD}"], restart: never}
  checked:
    environment: clean
    command: [sleep, "1000"]
    health_check:
      command: [sh, -c, "echo 'PRINTED'; echo \\"$CHECKED\\"; exit 1"]
      initial_delay: 0
      period: 1
      start_period: 1
      failure_threshold: 1
      mode: readiness
    env: {CHECKED: "token ${CHECK_TOKEN}"}
  asked:
    environment: clean
    command: [sleep, "1000"]
    health_check:
      url: "http://u:USER@127.0.0.1:1/?token=USER"
      headers: {X-Token: "${CHECK_TOKEN}"}
      initial_delay: 0
      period: 1
      start_period: 1
      failure_threshold: 1
      mode: readiness
  job:
    environment: clean
    command: ["false"]
    schedule: "@yearly"
    heartbeat: {url: "${PING}", retry_count: 0}
"""


def text() -> str:
    return (
        TEXT.replace("DSN", MARKERS["dsn"])
        .replace("USER", MARKERS["user"])
        .replace("PRINTED", PRINTED)
        .replace("${HOOKED}", MARKERS["hook"])
    )


def found_in(data: str) -> set[str]:
    return {kind for kind, marker in MARKERS.items() if marker in data}


def below(pid: int) -> list[int]:
    """All processes that a process has started, directly or not."""
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in map(int, file.read().split()):
                found += (child, *below(child))
    return found


def read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def client(daemon: DaemonProcess) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(daemon.socket))
    return httpx.Client(transport=transport, base_url="http://daemon", timeout=30)


def checks_have_failed(api: httpx.Client) -> bool:
    """Whether the API has the reason of a failure of each check."""
    text = api.get("/api/v1/processes").text
    return "exit code 1" in text and "refused" in text


def every_reply(api: httpx.Client) -> str:
    """What every GET of the API answers, with every name in its path."""
    document = api.get("/api/v1/openapi.json").json()
    names = [*(one["name"] for one in api.get("/api/v1/processes").json()["processes"]), "nobody"]
    answers: list[str] = []
    for path, operations in document["paths"].items():
        if "get" not in operations or "text/event-stream" in str(operations["get"]["responses"]):
            continue
        for name in names if "{" in path else [""]:
            reply = api.get(path.replace("{name}", name))
            answers.append(reply.text + str(reply.headers))
    return "\n".join(answers)


def metrics(daemon: DaemonProcess) -> str:
    (address,) = (one["address"] for one in daemon.records() if one["msg"] == "Metrics listening")
    text = httpx.get(str(address)).text
    assert "cbox_init_build_info" in text
    return text


def checked(folder: Path, *options: str) -> str:
    """What check-config says of the file."""
    done = subprocess.run(
        [*COMMAND, "check-config", "-c", str(folder / "cbox-init.yaml"), *options],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ENVIRON},
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def dry_run(folder: Path) -> str:
    done = subprocess.run(
        [*COMMAND, "serve", "--dry-run", "-c", str(folder / "cbox-init.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ENVIRON},
    )
    return done.stdout + done.stderr


def put(api: httpx.Client, change: dict[str, Any]) -> str:
    whole = api.get("/api/v1/processes/other").json()["config"]
    return api.put("/api/v1/processes/other", json={"process": {**whole, **change}}).text


@pytest.fixture
def daemon(serve: Serve, tmp_path: Path) -> DaemonProcess:
    (tmp_path / "app.env").write_text(f"export A_TOKEN='{MARKERS['file']}' # comment\nEMPTY=\n")
    (tmp_path / "token").write_text(MARKERS["tokenfile"] + "\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "secret").write_text(MARKERS["secret"] + "\n")
    daemon = serve(text().replace("PORT", str(free_port())), env=ENVIRON)
    daemon.until_said("Management API listening")
    return daemon


def test_no_secret_is_anywhere(daemon: DaemonProcess) -> None:
    with client(daemon) as api:
        wait_for(lambda: checks_have_failed(api))
        api.post("/api/v1/processes/job/schedule/trigger")
        good = daemon.config.read_text()
        before = every_reply(api)

        said = dry_run(daemon.folder)
        assert "failing: longrun, scale 1: /nonexistent/***" in said
        # Wrong values that come from variables, and files that cannot be read.
        daemon.config.write_text(
            good.replace("log_level: debug", "log_level: ${WRONG_TOKEN}\n  api_port: ${WRONG_TOKEN}")
        )
        refused = api.post("/api/v1/config/reload").text
        assert "log_level" in refused
        said += checked(daemon.folder) + checked(daemon.folder, "--json")
        (daemon.folder.parent / "app.env").write_text(f"A=1\n={MARKERS['file']}")
        daemon.config.write_text(good)
        said += dry_run(daemon.folder)
        refused += (
            api.post("/api/v1/config/reload?dry_run=true").text + api.post("/api/v1/config/reload").text
        )
        assert "line 2 does not begin with the name of a variable" in refused
        said += checked(daemon.folder) + checked(daemon.folder, "--json")
        (daemon.folder.parent / "app.env").write_text(f"A_TOKEN={MARKERS['file']}\nMORE=1")
        applied = api.post("/api/v1/config/reload").text
        assert '"app"' in applied
        edited = put(api, {"env": {"NEW_PASSWORD": MARKERS["edit"]}})
        edited += put(api, {"env": {"NEW_PASSWORD": MARKERS["edit"]}, "scale": MARKERS["edit"]})

        shown = before + every_reply(api) + metrics(daemon)
        assert "***" in shown
        for where, data in {
            "replies": shown,
            "refusals": refused + applied + edited,
            "check-config": said,
            "log": daemon.output() + daemon.errors(),
            "audit": read(str(daemon.folder / "audit")),
            "command lines": read(f"/proc/{daemon.pid}/cmdline"),
        }.items():
            # What a request itself holds may be in the error that answers it.
            allowed = {"edit"} if where == "refusals" else set()
            assert data
            assert found_in(data) <= allowed, where

        pids = {
            row["name"]: [one["pid"] for one in row["instances"]]
            for row in api.get("/api/v1/processes").json()["processes"]
        }
    app = set(pids["app"])
    assert app
    for pid in below(daemon.pid):
        assert found_in(read(f"/proc/{pid}/cmdline").replace(PRINTED, "")) == set()
        own = found_in(read(f"/proc/{pid}/environ"))
        name = next((name for name, theirs in pids.items() if pid in theirs), "")
        may = {
            "app": {"db", "dsn", "file", "secret", "own"},
            "checked": {"check"},
            "other": {"edit"},
        }
        assert own <= may.get(name, {"check"}), (name, read(f"/proc/{pid}/cmdline"))
        if name == "app":
            assert own == may["app"]
    assert found_in(read(f"/proc/{daemon.pid}/cmdline")) == set()
    assert found_in(read(str(daemon.folder / "hook.env"))) == {"hook", "db", "check", "wrong"}
    assert daemon.stop() == 0
    assert found_in(daemon.output() + daemon.errors()) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give up a capability")
@pytest.mark.parametrize(("dumpable", "said"), [("true", "open"), ("false", "closed")])
def test_an_undumpable_daemon_is_closed_to_its_own_user(serve: Serve, dumpable: str, said: str) -> None:
    """Without CAP_SYS_PTRACE, as in containers: with it root may look at everything."""
    without = ("setpriv", "--bounding-set", "-sys_ptrace,-sys_admin,-perfmon")
    daemon = serve(
        f"""
global: {{dumpable: {dumpable}, api_socket: SOCKET}}
processes:
  job:
    type: oneshot
    command: [sh, -c, "cat /proc/$PPID/environ >/dev/null 2>&1 && echo open || echo closed"]
""",
        command=(*without, *COMMAND),
    )
    assert daemon.wait() == 0
    assert daemon.lines("job") == [said]


def test_a_file_of_variables_is_watched(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "a.env"
    file.write_text("A=1")
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes: {web: {command: [sh, -c, "echo A=$A; exec sleep 1000"], env_file: ../a.env}}
""",
        options=("--watch",),
    )
    daemon.until_said("Watching the configuration")
    daemon.until_said("A=1")
    file.write_text("A=2 and more")
    daemon.until_said("A=2 and more")
    file.write_text("=")
    daemon.until_said("Configuration was not reloaded, the old one stays")
    assert daemon.stop() == 0
