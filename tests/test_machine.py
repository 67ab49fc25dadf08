"""What check-config says about this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.config.load import examine
from cbox_init.config.problems import Severity
from cbox_init.container import Capacity, LimitSource
from cbox_init.machine import check_machine
from cbox_init.system.cgroup import Cgroups
from tests.attacker import NOBODY
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from cbox_init.config.problems import Problem


def warnings(folder: Path, **web: object) -> list[Problem]:
    file = folder / "cbox-init.yaml"
    file.write_text(json.dumps({"processes": {"web": {"command": ["true"], **web}}}))
    return list(examine(str(file), {}, machine=check_machine).of(Severity.WARNING))


def test_a_limit_that_cannot_be_set_here(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, limits={"nofile": 2_000_000_000, "nice": 5, "core": 0})
    assert found.field == "processes.web.limits.nofile"
    assert found.message.startswith("cannot be applied here: 2000000000 is above fs.nr_open (")
    assert found.recommendation == "an instance would not start here"


def test_traces_that_cannot_be_sent_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "cbox-init.yaml"
    keys = {"tracing_enabled": True, "tracing_exporter": "otlp-grpc"}
    config.write_text(json.dumps({"global": keys, "processes": {"web": {"command": ["true"]}}}))
    assert not examine(str(config), {}, machine=check_machine).problems
    monkeypatch.setattr("cbox_init.tracing.extra.missing_package", lambda grpc: "grpc")
    (found,) = examine(str(config), {}, machine=check_machine).problems
    assert (found.field, found.severity) == ("global.tracing_exporter", Severity.WARNING)
    assert "pip install 'cbox-init[tracing]'" in found.recommendation


def test_a_place_in_which_the_audit_file_cannot_be(tmp_path: Path) -> None:
    path, config = tmp_path / "audit.log", tmp_path / "cbox-init.yaml"
    keys = {"audit_enabled": True, "audit_output": str(path)}
    config.write_text(json.dumps({"global": keys, "processes": {"web": {"command": ["true"]}}}))
    assert not examine(str(config), {}, machine=check_machine).problems
    assert not path.exists()
    path.symlink_to("/etc/passwd")
    (found,) = examine(str(config), {}, machine=check_machine).problems
    assert (found.field, found.severity) == ("global.audit_output", Severity.WARNING)
    assert found.message == f"cannot be written: refused, {path}: it is a link: name the file itself"


def test_variables_that_processes_do_not_inherit(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    environ = {"API_TOKEN": "a-token-of-the-api", "SAME": "a-token-of-the-api", "OTHER": "another-value"}

    def suggested(processes: str) -> list[str]:
        config.write_text(
            "global: {api_auth: '${API_TOKEN}', api_host: 127.0.0.1}\nprocesses: {" + processes + "}"
        )
        return [one.message for one in examine(str(config), environ, machine=check_machine).problems]

    said = "not inherited by processes, as the daemon's own secrets come from there: "
    assert suggested("web: {command: 'true'}") == [said + "API_TOKEN, SAME"]
    assert suggested("web: {command: 'true', env: {TOKEN: '${API_TOKEN}'}}") == [said + "SAME"]
    assert suggested("web: {command: 'true', environment: clean}") == []
    assert suggested("web: {command: 'true', environment: [API_TOKEN]}") == []


@as_root
def test_files_of_the_daemon_behind_a_link_of_another_user(theirs: Path, public_path: Path) -> None:
    (theirs / "run").symlink_to(public_path)
    os.lchown(theirs / "run", NOBODY, NOBODY)
    config = public_path / "cbox-init.yaml"
    keys = {
        "api_socket": f"{theirs}/run/api.sock",
        "readiness": {"enabled": True, "path": f"{theirs}/run/ready"},
    }
    config.write_text(json.dumps({"global": keys, "processes": {"web": {"command": ["true"]}}}))
    found = examine(str(config), {}, machine=check_machine).problems
    assert [(one.field, one.severity) for one in found] == [
        ("global.readiness.path", Severity.WARNING),
        ("global.api_socket", Severity.WARNING),
    ]
    assert all("run: uid 65534 made this link" in one.message for one in found)
    os.lchown(theirs / "run", 0, 0)
    assert not examine(str(config), {}, machine=check_machine).problems


@as_root
def test_a_followed_file_that_the_user_may_not_read(public_path: Path, tmp_path: Path) -> None:
    app = public_path / "app.log"
    app.write_text("")
    closed = public_path / "closed"
    closed.mkdir(0o700)
    files = {"a": {"path": str(app)}, "b": {"path": f"{closed}/*.log"}, "c": {"path": f"{public_path}/none"}}
    for user, group in (("65534", None), ("nobody", "65534"), (None, None)):
        keys = {"user": user, "group": group, "logging": {"files": files}}
        app.chmod(0o640)
        found = {one.field: one.message for one in warnings(tmp_path, **keys)}
        if user is None:
            assert found == {}
            continue
        assert list(found) == [f"processes.web.logging.files.{name}.path" for name in "ab"]
        first, second = found.values()
        assert first.startswith(
            f"is not followed here: refused, {app}: the user of its process (uid 65534) may"
        )
        assert f"{closed}: the user of its process (uid 65534) may not enter this directory" in second
        app.chmod(0o644)
        assert [one.field for one in warnings(tmp_path, **keys)] == ["processes.web.logging.files.b.path"]


def test_what_can_be_had_is_no_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, limits={"nofile": 64, "nproc": 5, "core": 0, "nice": 19}) == []
    assert warnings(tmp_path, limits={}) == []


def test_what_is_disabled_is_not_tried(tmp_path: Path) -> None:
    assert warnings(tmp_path, enabled=False, limits={"nofile": 2_000_000_000})[0].field == "processes"


def test_cgroups_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cgroups, "lacks", lambda self, controller: f"no {controller}")
    cpu, memory = warnings(tmp_path, limits={"cpu": 0.5, "memory": "64MiB"})
    assert (cpu.field, cpu.message) == ("processes.web.limits.cpu", "cannot be applied here: no cpu")
    assert (memory.field, memory.message) == (
        "processes.web.limits.memory",
        "cannot be applied here: no memory",
    )
    assert "max_memory_mb" in memory.recommendation


@as_root
def test_without_the_capabilities_of_containers(tmp_path: Path) -> None:
    file = tmp_path / "cbox-init.yaml"
    limits = {"nice": -5, "oom_score_adj": -500, "nofile": 1_000_000}
    file.write_text(json.dumps({"processes": {"web": {"command": ["true"], "limits": limits}}}))
    words = ["setpriv", "--bounding-set", "-sys_nice,-sys_resource", sys.executable, "-m", "cbox_init"]
    done = subprocess.run(
        [*words, "check-config", "--json", "-c", str(file)], capture_output=True, text=True, check=True
    )
    found = {problem["field"]: problem["message"] for problem in json.loads(done.stdout)["warnings"]}
    prefix = "processes.web.limits."
    assert found[f"{prefix}nice"].startswith("cannot be applied here: a nice of -5 is below the daemon's")
    assert "CAP_SYS_NICE" in found[f"{prefix}nice"]
    assert "CAP_SYS_RESOURCE" in found[f"{prefix}oom_score_adj"]
    assert "1000000 is above the hard limit here" in found[f"{prefix}nofile"]


def test_a_secret_in_the_arguments_of_a_program(tmp_path: Path) -> None:
    file = tmp_path / "cbox-init.yaml"

    def suggestions(*command: str) -> list[str]:
        web = {"command": command, "env": {"DB_PASSWORD": "abc-1234-xyz"}}
        file.write_text(json.dumps({"processes": {"web": web}}))
        found = examine(str(file), {}, machine=check_machine).of(Severity.SUGGESTION)
        assert "abc-1234-xyz" not in "".join(map(str, found))
        return [one.field for one in found]

    for secret in (("mysql", "-pfoo"), ("app", "--token", "foo"), ("app", "abc-1234-xyz")):
        assert suggestions(*secret) == ["processes.web.command"]
    assert suggestions("sh", "-c", 'app --password="$DB_PASSWORD"') == []


def test_a_profile_of_php_fpm_for_more_memory_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Capacity(100 * 2**20, LimitSource.CGROUP_V2, 1.0, LimitSource.HOST)
    monkeypatch.setattr("cbox_init.php.autotune.read_capacity", lambda: here)
    config = tmp_path / "cbox-init.yaml"
    text = "global: {php_fpm_profile: heavy}\nprocesses: {fpm: {command: [php-fpm], environment: clean}}\n"
    config.write_text(text)
    (found,) = examine(str(config), {}, machine=check_machine).of(Severity.WARNING)
    assert found.field == "global.php_fpm_profile"
    assert "needs 692 MiB" in found.message
    config.write_text(text.replace("heavy", "dev"))
    monkeypatch.setattr("cbox_init.php.autotune.read_capacity", lambda: replace(here, memory=200 * 2**20))
    (found,) = examine(str(config), {}, machine=check_machine).of(Severity.WARNING)
    assert (found.field, found.recommendation) == ("processes.fpm.environment", "add 'PHP_FPM_*'")
