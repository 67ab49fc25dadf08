"""Programs as people run them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.health import HealthState
from cbox_init.core.notify import NotifyState
from cbox_init.core.states import State
from cbox_init.system.procfs import listed_children
from tests.ports import free_port
from tests.supervisor.health.programs import QUICK, as_user, folder_of, fpm, nginx, postgres
from tests.supervisor.health.test_checks import state, until
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.core.notify import NotifyStatus
    from tests.supervisor.house import Build, House

WORKERS = 3


@pytest.fixture
def redis_home() -> Iterator[Path]:
    with folder_of("redis") as folder:
        yield folder


@pytest.fixture
def postgres_home() -> Iterator[Path]:
    with folder_of("postgres") as folder:
        yield folder


def config(**processes: object) -> str:
    return json.dumps({"processes": processes})


def notice(house: House, name: str) -> NotifyStatus:
    health = house.instance(name).health
    assert health and health.notify
    return health.notify


def killed(house: House) -> bool:
    return "Process instance did not stop in time and is killed" in house.messages()


async def test_nginx_in_front_waits_for_redis(build: Build, tmp_path: Path) -> None:
    redis, web = free_port(), free_port()
    location = "location /health { return 200 'all is well'; }"
    check = {**QUICK, "timeout": "1s"}
    house = build(
        config(
            nginx={
                **nginx(tmp_path, web, location),
                "depends_on": ["redis"],
                "health_check": {**check, "url": f"http://localhost:{web}/health", "expected_body": "well"},
            },
            redis={
                "command": ["redis-server", "--port", str(redis), "--save", "", "--dir", str(tmp_path)],
                "restart_delay": "1ms",
                "health_check": {**check, "port": redis},
            },
            ping={
                "command": ["sleep", "1000"],
                "health_check": {
                    **check,
                    "mode": "readiness",
                    "command": ["sh", "-c", f"redis-cli -p {redis} ping | grep PONG"],
                },
            },
        )
    )
    await until(house, HealthState.HEALTHY, "nginx")
    assert state(house, "redis") is HealthState.HEALTHY
    await until(house, HealthState.HEALTHY, "ping")

    (pid,) = house.pids("redis")
    os.kill(pid, signal.SIGSTOP)  # a hung server: its port still takes connections, until the queue is full
    await until(house, HealthState.UNHEALTHY, "ping")
    assert house.state("nginx") is State.RUNNING
    os.kill(pid, signal.SIGCONT)
    await until(house, HealthState.HEALTHY, "ping")


async def test_redis_says_when_it_is_ready_as_another_user(redis_home: Path, build: Build) -> None:
    command = ["redis-server", "--port", "0", "--unixsocket", f"{redis_home}/s", "--supervised", "systemd"]
    redis = {"type": "notify", "command": [*command, "--dir", str(redis_home)], **as_user("redis")}
    ping = {"command": ["sh", "-c", f"redis-cli -s {redis_home}/s ping"], "type": "oneshot"}
    house = build(config(ping={**ping, "depends_on": ["redis"]}, redis=redis))
    await house.until_state("ping", State.COMPLETED)
    assert house.lines("ping") == ["PONG"]
    assert house.supervisor.executions(1)[0].exit_code == 0
    assert notice(house, "redis").status == "Ready to accept connections"
    house.supervisor.stop("redis")
    await house.until_state("redis", State.STOPPED)
    assert not killed(house)


async def until_workers(house: House, *, not_among: frozenset[int] = frozenset()) -> frozenset[int]:
    """The workers of php-fpm, when all are there and none is of ``not_among``."""
    found: frozenset[int] = frozenset()

    def there() -> bool:
        nonlocal found
        (master,) = house.pids("php-fpm")
        found = frozenset(listed_children(master))
        return len(found) == WORKERS and not found & not_among

    await house.until(there)
    return found


async def test_nginx_in_front_of_php_fpm(build: Build, tmp_path: Path) -> None:
    php, web = free_port(), free_port()
    location = (
        f"location = /ping {{ fastcgi_pass 127.0.0.1:{php}; fastcgi_param REQUEST_METHOD GET;"
        " fastcgi_param SCRIPT_NAME /ping; fastcgi_param SCRIPT_FILENAME /ping; }"
    )
    check = {**QUICK, "url": f"http://127.0.0.1:{web}/ping", "expected_body": "pong", "mode": "readiness"}
    front = {**nginx(tmp_path, web, location), "depends_on": ["php-fpm"], "health_check": check}
    house = build(config(nginx=front, **{"php-fpm": fpm(tmp_path, php, WORKERS)}))
    await until(house, HealthState.HEALTHY, "nginx")
    assert (notice(house, "php-fpm").state, state(house, "php-fpm")) == (
        NotifyState.READY,
        HealthState.HEALTHY,
    )
    assert notice(house, "php-fpm").status == "Ready to handle connections"
    (master,) = house.pids("php-fpm")
    first = await until_workers(house)

    os.kill(master, signal.SIGUSR2)  # its own reload: it executes itself again under the same pid
    second = await until_workers(house, not_among=first)
    await until(house, HealthState.HEALTHY, "php-fpm")
    assert (house.pids("php-fpm"), house.instance("php-fpm").restart_count) == ([master], 0)

    house.kill("php-fpm")  # a crash leaves the workers behind; they are ended before the next one starts
    await house.until_restarted("php-fpm", 1)
    third = await until_workers(house, not_among=second)
    assert not any(map(alive, second))
    await until(house, HealthState.HEALTHY, "php-fpm")
    await until(house, HealthState.HEALTHY, "nginx")

    house.supervisor.stop("php-fpm")
    await house.until_state("php-fpm", State.STOPPED)
    assert not any(map(alive, third))
    assert any(line.endswith("exiting, bye-bye!") for line in house.lines("php-fpm")), "it ended in peace"
    await until(house, HealthState.UNHEALTHY, "nginx")
    assert not killed(house)


async def test_a_rolling_restart_of_php_fpm_waits_for_its_word(build: Build, tmp_path: Path) -> None:
    php = fpm(tmp_path, free_port(), WORKERS)
    house = build(config(**{"php-fpm": php}))
    await until(house, HealthState.HEALTHY, "php-fpm")
    (master,) = house.pids("php-fpm")
    house.supervisor.restart("php-fpm")
    await house.until_restarted("php-fpm", 1)
    await until(house, HealthState.HEALTHY, "php-fpm")
    assert house.pids("php-fpm") != [master]
    assert not alive(master)
    assert not killed(house)


async def test_postgresql_with_its_own_initdb(postgres_home: Path, build: Build) -> None:
    port = str(free_port())
    data, own = f"{postgres_home}/data", as_user("postgres")
    psql = [postgres("psql"), "-h", str(postgres_home), "-p", port, "-U", "postgres", "-tAXc"]
    server = [postgres("postgres"), "-D", data, "-p", port, "-k", str(postgres_home)]
    ready = [postgres("pg_isready"), "-q", "-h", str(postgres_home), "-p", port]
    house = build(
        config(
            app={"command": [*psql, "select 6 * 7"], "type": "oneshot", "depends_on": ["db"]},
            db={
                **own,
                "type": "notify",
                "command": [*server, "-c", "listen_addresses=", "-c", "fsync=off"],
                "depends_on": ["initdb"],
                "health_check": {**QUICK, "command": ready},
                "shutdown": {"signal": "SIGINT", "mode": "main"},
            },
            busy={
                "command": [*psql, "select pg_sleep(1000)"],
                "restart": "never",
                "initial_state": "stopped",
            },
            initdb={
                **own,
                "type": "oneshot",
                "command": [postgres("initdb"), "-A", "trust", "-U", "postgres", "--no-sync", data],
            },
        )
    )
    await house.until_state("app", State.COMPLETED)
    assert house.lines("app") == ["42"]
    assert house.state("initdb") is State.COMPLETED
    assert (notice(house, "db").state, state(house, "db")) == (NotifyState.READY, HealthState.HEALTHY)
    (pid,) = house.pids("db")
    if own:
        assert os.stat(f"/proc/{pid}").st_uid != 0

    house.supervisor.start("busy")
    await house.until(lambda: len(listed_children(pid)) > 0 and house.pids("busy"))
    await house.until(lambda: any("postgres: postgres postgres" in line for line in titles(pid)))
    house.supervisor.stop("db")  # a fast shutdown does not wait for clients
    await house.until_state("db", State.STOPPED)
    assert not killed(house)
    assert any("database system is shut down" in line for line in house.lines("db"))
    assert "postmaster.pid" not in os.listdir(data)

    house.supervisor.start("db")
    await until(house, HealthState.HEALTHY, "db")
    assert not any("was interrupted" in line for line in house.lines("db"))


def titles(parent: int) -> list[str]:
    """What the children of a process call themselves."""
    found = []
    for pid in listed_children(parent):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_text(errors="replace"))
        except OSError:  # it has ended
            continue
    return found
