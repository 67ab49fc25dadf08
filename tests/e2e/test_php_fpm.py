"""A real PHP-FPM, sized by the daemon: what its status page and its workers say."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model.enums import PhpFpmProfile
from cbox_init.container import read_capacity
from cbox_init.php.sizing import size_pool
from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for
from tests.fastcgi import fpm_status
from tests.ports import free_port
from tests.supervisor.health.programs import php_fpm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Serve = Callable[..., DaemonProcess]

POOL = """
[global]
error_log = /dev/stderr
daemonize = no
[www]
user = www-data
group = www-data
listen = 127.0.0.1:PORT
pm = ${PHP_FPM_PM}
pm.max_children = ${PHP_FPM_MAX_CHILDREN}
pm.max_requests = ${PHP_FPM_MAX_REQUESTS}
pm.start_servers = ${PHP_FPM_START_SERVERS}
pm.min_spare_servers = ${PHP_FPM_MIN_SPARE}
pm.max_spare_servers = ${PHP_FPM_MAX_SPARE}
pm.status_path = /status
"""


def pool(tmp_path: Path, port: int) -> str:
    conf = tmp_path / "php-fpm.conf"
    conf.write_text(POOL.replace("PORT", str(port)))
    return f"{php_fpm()}, -F, -y, {conf}"


def fpm(command: str, more: str = "") -> str:
    return (
        "global: {api_socket: SOCKET}\n"
        "processes:\n"
        f"  php-fpm: {{command: [{command}], shutdown: {{signal: SIGQUIT}}{more}}}\n"
        "  variables: {type: oneshot, command: [env]}\n"
    )


def variables_of_children(daemon: DaemonProcess) -> dict[str, str]:
    """What children have of the variables for php-fpm, which itself overwrites its environment."""
    pairs = (str(line).partition("=") for line in daemon.lines("variables"))
    return {name: value for name, _, value in pairs if name.startswith("PHP_FPM_")}


def until_started(port: int, workers: int) -> dict[str, object]:
    """The status page when that many workers have been started."""
    answers: list[dict[str, object]] = []

    def asked() -> bool:
        try:
            answers.append(fpm_status(port))
        except OSError:
            return False
        return answers[-1]["total processes"] == workers

    wait_for(asked, f"{workers} workers")
    return answers[-1]


def test_the_pool_is_as_large_as_the_profile_says(serve: Serve, tmp_path: Path) -> None:
    port = free_port()
    daemon = serve(fpm(pool(tmp_path, port)), options=("--php-fpm-profile", "bursty"))
    here = read_capacity()
    size = size_pool(PhpFpmProfile.BURSTY, memory=here.memory, cpus=here.cpus).variables
    status = until_started(port, int(size["PHP_FPM_START_SERVERS"]))
    assert status["process manager"] == "dynamic"
    wait_for(lambda: variables_of_children(daemon) == size, f"{size} in {daemon.output()}")
    (said,) = (r for r in daemon.records() if r["msg"] == "PHP-FPM is sized for this container")
    assert (said["profile"], said["php_fpm_max_children"]) == ("bursty", size["PHP_FPM_MAX_CHILDREN"])
    assert daemon.stop() == 0


def test_the_users_own_number_of_children_counts(serve: Serve, tmp_path: Path) -> None:
    """A static pool starts all its children, so that its page shows ``max_children``."""
    port = free_port()
    daemon = serve(
        fpm(pool(tmp_path, port), ", env: {PHP_FPM_PM: static}"),
        env={"PHP_FPM_AUTOTUNE_PROFILE": "light", "PHP_FPM_MAX_CHILDREN": "3"},
    )
    assert until_started(port, 3)["process manager"] == "static"
    kept = [r for r in daemon.records() if r["msg"] == "A variable for PHP-FPM was set by hand and is kept"]
    assert [(r["variable"], r["value"]) for r in kept] == [
        ("PHP_FPM_MAX_CHILDREN", "3"),
        ("PHP_FPM_PM", "static"),
    ]
    measured = subprocess.run(
        [*COMMAND, "autotune", "--profile", "auto", "--for", "0s", "--json"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    found = json.loads(measured.stdout)
    assert found["measured"]["workers"] >= 3, found
    assert 1 <= found["worker_mb"] < 200
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (("--php-fpm-profile", "huge"), {}, "--php-fpm-profile is 'huge': write dev, light, medium"),
        ((), {"PHP_FPM_AUTOTUNE_PROFILE": "huge"}, "PHP_FPM_AUTOTUNE_PROFILE is 'huge'"),
        (
            ("--php-fpm-profile", "dev", "--autotune-memory-threshold", "80"),
            {},
            "--autotune-memory-threshold is 80: it must be above 0 and at most 10, write 0.8 for 80 %",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(
    serve: Serve, options: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    daemon = serve("processes: {web: {command: [sleep, '60']}}\n", options=options, env=env)
    assert daemon.wait() == 1
    assert daemon.errors().startswith(f"cbox-init: {said}")
    assert daemon.errors().count("\n") == 1
    assert daemon.output() == ""


def test_a_share_without_a_profile_is_said_to_have_no_effect(serve: Serve) -> None:
    daemon = serve(
        "global: {api_socket: SOCKET}\nprocesses: {web: {command: [sleep, '60']}}\n",
        options=("--autotune-memory-threshold", "0.5"),
    )
    daemon.until_said("--autotune-memory-threshold has no effect without a profile for PHP-FPM")
    assert daemon.stop() == 0


def test_a_dry_run_shows_the_variables(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text("processes: {web: {command: [sleep, '60']}}\n")
    done = subprocess.run(
        [*COMMAND, "--dry-run", "-c", str(config), "--php-fpm-profile", "dev"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PHP_FPM_MAX_REQUESTS": "7"},
    )
    assert done.stdout.splitlines()[1:] == ["PHP_FPM_PM=static", "PHP_FPM_MAX_CHILDREN=2"]


def failed_tests(daemon: DaemonProcess) -> list[tuple[object, object]]:
    return [(r["process"], r["error"]) for r in daemon.records() if r["msg"] == "Configuration test failed"]


def test_a_pool_that_php_fpm_refuses_ends_the_start(serve: Serve, tmp_path: Path) -> None:
    command = pool(tmp_path, free_port())  # without a profile its variables are empty
    daemon = serve(fpm(command, ", env: {PHP_FPM_PM: sometimes}"))
    assert daemon.wait() == 1
    ((process, error),) = failed_tests(daemon)
    assert process == "php-fpm"
    assert "invalid process manager (static, dynamic or ondemand)" in str(error)
    assert f"{tmp_path}/php-fpm.conf:9" in str(error)
    assert "profile" not in str(error)
    assert "Process instance started" not in daemon.messages()


def test_a_pool_without_a_profile_says_so(serve: Serve, tmp_path: Path) -> None:
    daemon = serve(fpm(pool(tmp_path, free_port())))
    assert daemon.wait() == 1
    ((_, error),) = failed_tests(daemon)
    assert str(error).endswith("where the pool refers to them, choose a profile)")


def test_a_configuration_that_nginx_refuses_ends_the_start(serve: Serve, tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\nhtttp {{}}\n")
    text = f"global: {{api_socket: SOCKET}}\nprocesses: {{web: {{command: [nginx, -c, {conf}]}}}}\n"
    daemon = serve(text)
    assert daemon.wait() == 1
    ((process, error),) = failed_tests(daemon)
    assert process == "web"
    assert f'unknown directive "htttp" in {conf}:2' in str(error)
    for options, env in (
        (("--skip-runtime-validation",), {}),
        ((), {"CBOX_INIT_SKIP_RUNTIME_VALIDATION": "Yes"}),
    ):
        skipping = serve(text, options=options, env=env)
        skipping.until_said("Process instance exited with error")
        assert failed_tests(skipping) == []
        assert skipping.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_directories_of_an_application_are_prepared_before_the_first_child(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "artisan").touch()
    text = (
        "global: {api_socket: SOCKET}\n"
        f"hooks: {{pre-start: [{{name: look, command: [stat, -c, '%u:%g', {tmp_path}/storage/logs]}}]}}\n"
        "processes: {web: {command: [sleep, '60']}}\n"
    )
    env = {"WORKDIR": str(tmp_path), "PUID": "4321", "PGID": "4322"}
    skipped = serve(
        text.replace("look", "look, continue_on_error: true"), options=("--skip-permission-setup",), env=env
    )
    skipped.until_said("All processes started successfully")
    assert not (tmp_path / "storage").exists()
    assert skipped.stop() == 0
    daemon = serve(text, env=env)
    daemon.until_said("All processes started successfully")
    assert "4321:4322" in daemon.messages()
    assert daemon.stop() == 0
