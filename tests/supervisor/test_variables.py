"""Variables of instances that come from files, and what checks and the API show of secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.masking import masked
from cbox_init.core.states import State
from cbox_init.errors import ConfigError
from tests.supervisor.house import OBEDIENT

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House


def sh(script: str) -> str:
    return json.dumps(["sh", "-c", script])


def variables(house: House, name: str) -> dict[str, str]:
    """The environment of the one instance of a process, nothing while there is another number of them."""
    pids = house.pids(name)
    if len(pids) != 1:
        return {}
    try:
        with open(f"/proc/{pids[0]}/environ") as file:
            return dict(entry.split("=", 1) for entry in file.read().split("\0") if entry)
    except OSError:  # it has just ended
        return {}


async def test_a_reload_replaces_only_what_gets_other_variables(build: Build) -> None:
    house = build(f"processes: {{web: {{command: {sh(OBEDIENT)}}}, job: {{command: {sh(OBEDIENT)}}}}}")
    await house.until_said("web", "ready")
    folder = house.file.parent
    (folder / "web.env").write_text("A=1")
    (folder / "key").write_text("s3cr3t-value\n")
    house.file.write_text(
        f"""
processes:
  web: {{command: {sh(OBEDIENT)}, env_file: web.env, env_files_from_secrets: true, env: {{KEY_FILE: key}}}}
  job: {{command: {sh(OBEDIENT)}}}
"""
    )

    async def reloaded() -> tuple[str, ...]:
        return (await house.parts.configuration.reload()).plan.changed

    def has(expected: dict[str, str]) -> bool:
        found = variables(house, "web")
        return expected.items() <= found.items() and "KEY_FILE" not in found

    assert await reloaded() == ("web",)
    await house.until(lambda: has({"A": "1", "KEY": "s3cr3t-value"}))
    assert await reloaded() == ()
    (folder / "web.env").write_text("# the same\nexport A='1'\n")
    assert await reloaded() == ()
    (folder / "web.env").write_text("A=2")
    assert await reloaded() == ("web",)
    await house.until(lambda: has({"A": "2"}))
    (folder / "key").write_text("another-s3cr3t")
    assert await reloaded() == ("web",)
    await house.until(lambda: has({"KEY": "another-s3cr3t"}))
    shown = json.dumps(masked(house.supervisor.process_config("web")))
    assert "s3cr3t" not in shown + house.log_text()


async def test_an_edit_reads_the_files_too(build: Build) -> None:
    house = build(f"processes: {{web: {{command: {sh(OBEDIENT)}}}}}")
    await house.until_said("web", "ready")
    (house.file.parent / "new.env").write_text("A=1")
    await house.parts.configuration.add("new", {"command": ["sh", "-c", OBEDIENT], "env_file": ["new.env"]})
    await house.until_said("new", "ready")
    assert variables(house, "new")["A"] == "1"


async def test_what_a_check_prints_is_redacted(build: Build) -> None:
    script = "echo 'card 4111111111111111, pin=0815-0815, password=hunter2'; exit 1"
    house = build(
        f"""
processes:
  web:
    command: {sh(OBEDIENT)}
    health_check: {{command: {sh(script)}, initial_delay: 0, period: 1}}
    logging: {{redaction: {{enabled: true, patterns: [{{name: credit_card}}, {{pattern: "0815-0815"}}]}}}}
"""
    )

    def reason() -> str:
        health = house.instance("web").health
        return (health.last.reason or "") if health is not None and health.last is not None else ""

    await house.until(reason)
    assert reason() == "sh: exit code 1: card ***, pin=***, password=***"


async def test_a_secret_in_the_name_of_a_program_is_masked(build: Build) -> None:
    house = build(
        'processes: {web: {command: ["/none/abc-1234-xyz"], restart: never, env: {TOKEN: "abc-1234-xyz"}}}'
    )
    await house.until(lambda: house.instance("web").state is State.FAILED)
    assert "abc-1234-xyz" not in house.log_text() + str(house.status("web"))
    assert "command not found: '/none/***'" in str(house.status("web"))


async def test_an_edit_with_a_file_that_cannot_be_read_changes_nothing(build: Build) -> None:
    house = build(f"processes: {{web: {{command: {sh(OBEDIENT)}}}}}")
    await house.until_said("web", "ready")
    with pytest.raises(ConfigError, match=r"new.env_file\[0\]: cannot read .*none.env: No such"):
        await house.parts.configuration.add("new", {"command": ["true"], "env_file": ["none.env"]})
    assert [one.name for one in house.supervisor.statuses()] == ["web"]
