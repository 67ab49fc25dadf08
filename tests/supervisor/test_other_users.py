"""Hooks and check commands of a process that runs as another user; only root can start one."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from tests.supervisor.house import OBEDIENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisor.house import Build, House

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

WHO = 'echo "$(id -un) $(id -Gn | tr " " ,) $HOME $USER" '


def sh(script: str) -> str:
    return json.dumps(["sh", "-c", script])


def process(file: Path, keys: str) -> str:
    """A process whose hooks and check write to ``file`` who they are."""
    return f"""
processes:
  web:
    command: {sh(OBEDIENT)}
    {keys}
    health_check: {{command: {sh(f"{WHO} >> {file}.check")}, initial_delay: 0, period: 1}}
    shutdown:
      pre_stop_hook: {{command: {sh(f"{WHO} >> {file}.pre")}}}
      post_stop_hook: {{command: {sh(f"{WHO} >> {file}.post")}}}
"""


async def who_they_are(house: House, file: Path) -> set[str]:
    await house.until_state("web", State.RUNNING)
    await house.until(lambda: file.with_suffix(".check").exists())
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    return {line for name in ("check", "pre", "post") for line in lines(file.with_suffix(f".{name}"))}


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


@pytest.fixture
def file() -> Iterator[Path]:
    """In a directory that every user may write to, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder) / "who"


@pytest.mark.parametrize(
    ("keys", "who"),
    [
        ("user: www-data", "www-data www-data /var/www www-data"),
        ("user: www-data\n    hook_user: nobody", "nobody nogroup /nonexistent nobody"),
        ("hook_user: nobody", "nobody nogroup /nonexistent nobody"),
        ("user: www-data\n    group: nogroup", "www-data nogroup /var/www www-data"),
    ],
)
async def test_who_hooks_and_checks_run_as(build: Build, file: Path, keys: str, who: str) -> None:
    house = build(process(file, keys))
    assert await who_they_are(house, file) == {who}


async def test_root_as_before(build: Build, file: Path) -> None:
    house = build(process(file, "user: www-data\n    hook_user: root"))
    (who,) = await who_they_are(house, file)
    assert who.startswith("root root")
    assert who.endswith("/root root")


@pytest.mark.parametrize("keys", ["user: nobody", "hook_user: nobody"])
async def test_supplementary_groups(
    build: Build, file: Path, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of /etc/group, of which the users of an image have none, and no other: root's are lost."""
    monkeypatch.setattr(os, "getgrouplist", lambda name, group: [group, 4711, 4712])
    house = build(process(file, keys).replace("id -Gn", "id -G"))
    assert await who_they_are(house, file) == {"nobody 65534,4711,4712 /nonexistent nobody"}


async def test_a_hook_user_that_does_not_exist_fails_the_hook_and_not_the_stop(
    build: Build, file: Path
) -> None:
    house = build(process(file, "hook_user: nosuchuser"))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.messages().count("Hook failed") == 2
    assert "user 'nosuchuser' does not exist" in house.log_text()


async def test_another_hook_user_needs_no_new_instance(build: Build, file: Path) -> None:
    house = build(process(file, "user: www-data"))
    await house.until_said("web", "ready")
    pids = house.pids("web")
    house.file.write_text(process(file, "user: www-data\n    hook_user: nobody"))
    await house.parts.configuration.reload()
    assert house.pids("web") == pids
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert lines(file.with_suffix(".pre")) == ["nobody nogroup /nonexistent nobody"]
