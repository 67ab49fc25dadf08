"""Configurations are tested before the start, by programs that do as php-fpm and nginx do."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.errors import Conflict
from cbox_init.supervisor.lifecycle import validation
from cbox_init.supervisor.lifecycle.validation import reason_in, with_tests
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.supervisor.house import Build, House

OBEDIENT = "exec sleep 1000"


def program(folder: Path, name: str, when_tested: str) -> str:
    """A server of that name, and what it does with ``-t``."""
    path = folder / name
    path.write_text(f'#!/bin/sh\ncase " $* " in *" -t "*) {when_tested};; *) {OBEDIENT};; esac\n')
    path.chmod(0o755)
    return str(path)


def begin(build: Build, text: str) -> House:
    house = build(text, start=False)
    house.supervisor.lifecycle.validates = True
    house.supervisor.start_all()
    return house


def config(**processes: Mapping[str, object]) -> str:
    return json.dumps({"global": {"restart_backoff": "10ms"}, "processes": processes})


def failures(house: House) -> list[tuple[object, object]]:
    records = [json.loads(line) for line in house.log_text().splitlines()]
    return [(r["process"], r["error"]) for r in records if r["msg"] == "Configuration test failed"]


async def test_nothing_starts_when_one_is_refused(build: Build, tmp_path: Path) -> None:
    fpm = program(tmp_path, "php-fpm8.2", "exit 0")
    nginx = program(tmp_path, "nginx", "echo 'nginx: [emerg] unknown directive \"x\"' >&2; exit 1")
    house = begin(
        build, config(fpm={"command": [fpm]}, web={"command": [nginx]}, other={"command": ["sleep", "1000"]})
    )
    assert await house.ended() == 1
    assert failures(house) == [("web", 'nginx: [emerg] unknown directive "x"')]
    assert "Process instance started" not in house.messages()
    assert "Configuration tested" in house.messages()
    assert "the configuration of web is refused: nginx: [emerg]" in house.log_text()


async def test_a_test_runs_as_the_process_would(build: Build, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    fpm = program(tmp_path, "php-fpm", f'echo "$*|$PWD|$MINE|$CBOX_INIT_PROCESS_NAME" > {seen}')
    command = [fpm, "-F", "-c", "/etc/php", "-y", "/x/${CBOX_INIT_INSTANCE_ID}.conf", "-d", "a=b"]
    house = begin(build, config(fpm={"command": command, "working_dir": "/tmp", "env": {"MINE": "yes"}}))
    await house.until_state("fpm", State.RUNNING)
    assert seen.read_text() == "-F -c /etc/php -y /x/fpm-0.conf -d a=b -t|/tmp|yes|fpm\n"


async def test_nothing_is_tested_by_default_of_the_tests(build: Build, tmp_path: Path) -> None:
    house = build(config(web={"command": [program(tmp_path, "nginx", "exit 1")]}))
    await house.until_state("web", State.RUNNING)


async def test_what_is_not_installed_is_not_tested(build: Build, tmp_path: Path) -> None:
    missing = {"command": [str(tmp_path / "none/nginx")], "restart": "never"}
    house = begin(build, config(web=missing, other={"command": ["sleep", "1000"]}))
    await house.until_state("other", State.RUNNING)
    assert "Configuration could not be tested" in house.messages()


async def test_pre_start_hooks_make_the_configuration_first(build: Build, tmp_path: Path) -> None:
    made = tmp_path / "made"
    nginx = program(tmp_path, "nginx", f"test -e {made}")
    text = json.dumps(
        {
            "hooks": {"pre-start": [{"name": "make", "command": ["touch", str(made)]}]},
            "processes": {"web": {"command": [nginx]}},
        }
    )
    house = begin(build, text)
    await house.until_state("web", State.RUNNING)


async def test_one_that_hangs_is_killed(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "TEST_S", 0.3)
    house = begin(build, config(web={"command": [program(tmp_path, "nginx", "sleep 1000")]}))
    with pytest.raises(Conflict, match="still running"):
        house.supervisor.start("web")
    assert await house.ended() == 1
    assert failures(house) == [("web", "not done after 0.3 s")]


async def test_a_shutdown_kills_the_tests(build: Build, tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    nginx = program(tmp_path, "nginx", f"echo $$ > {pids}; sleep 1000")
    house = begin(build, config(web={"command": [nginx]}))
    await house.until(lambda: pids.exists() and pids.read_text())
    house.supervisor.shutdown("the test")
    assert await house.ended() == 0
    await house.until(lambda: not alive(int(pids.read_text())))
    assert failures(house) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
async def test_as_the_user_of_the_process(build: Build, public_path: Path) -> None:
    nginx = program(public_path, "nginx", "id -u >&2; echo said to /dev/stderr > /dev/stderr; exit 3")
    house = begin(build, config(web={"command": [nginx], "user": "65534"}))
    assert await house.ended() == 1
    assert failures(house) == [("web", "said to /dev/stderr")]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", ""),
        ("\n \n", ""),
        ("something\nelse\n", "else"),
        (
            "[28-Nov-2026 10:00:00] WARNING: x\n[28-Nov-2026 10:00:00] ERROR: [/a.conf:3] unknown entry 'x'\n"
            "[28-Nov-2026 10:00:00] ERROR: FPM initialization failed\n",
            "[28-Nov-2026 10:00:00] ERROR: [/a.conf:3] unknown entry 'x'",
        ),
        ("nginx: [warn] a\nnginx: [emerg] b\nnginx: configuration file x test failed\n", "nginx: [emerg] b"),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_the_reason_is_the_line_that_says_it(output: str, reason: str) -> None:
    assert reason_in(output) == reason


async def test_which_processes_are_tested(build: Build) -> None:
    found = build(
        config(
            fpm={"command": ["/usr/sbin/php-fpm8.2", "-F"]},
            alpine={"command": ["php-fpm83"]},
            web={"command": ["nginx", "-g", "daemon off;"]},
            exporter={"command": ["php-fpm-exporter"]},
            log={"command": ["nginx-log"]},
            once={"command": ["nginx", "-s", "reload"], "type": "oneshot"},
            later={"command": ["nginx"], "initial_state": "stopped"},
            off={"command": ["nginx"], "enabled": False},
            shell={"command": "exec nginx | cat"},
        ),
        start=False,
    )
    assert list(with_tests(found.supervisor.config.enabled_processes())) == ["fpm", "alpine", "web"]


async def test_what_a_test_says_is_without_secrets(build: Build, tmp_path: Path) -> None:
    fpm = program(tmp_path, "php-fpm", 'echo "ERROR: bad value $MINE, PASSWORD=by-its-name" >&2; exit 78')
    command = [fpm, "--password", "of-an-option", "-d", "env[API_TOKEN]=in-a-setting"]
    house = build(config(fpm={"command": command, "env": {"MINE": "known-1234"}}), start=False)
    house.supervisor.lifecycle.validates = True
    house.runtime.secrets.use(lambda: ["known-1234"])
    house.supervisor.start_all()
    assert await house.ended() == 1
    assert failures(house) == [("fpm", "ERROR: bad value ***, PASSWORD=***")]
    for secret in ("known-1234", "by-its-name", "of-an-option", "in-a-setting"):
        assert secret not in house.log_text()
