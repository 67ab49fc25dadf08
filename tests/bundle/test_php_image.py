"""An image of PHP without Python, as packaging/php-image-root.sh makes it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.e2e.daemon import wait_for
from tests.ports import free_port

_SCRIPT = Path(__file__).parents[2] / "packaging/php-image-root.sh"


def _page(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
            text: str = answer.read().decode()
            return text
    except URLError:
        return ""


def test_php_fpm_and_nginx_start_read_only_by_variables_alone(bundle: Path, tmp_path: Path) -> None:
    port, root = free_port(), tmp_path / "root"
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [_SCRIPT, bundle, root, str(port)],
            stdout=out,
            stderr=out,
            env={**os.environ, "LOG_FORMAT": "json"},
            start_new_session=True,
        )
    try:
        wait_for(lambda: "PHP 8" in _page(port, ""), "the page of PHP")
        assert "LD_LIBRARY_PATH=\nPYTHONHOME=\n" in _page(port, "")
        assert "process manager:      dynamic" in _page(port, "status")
        assert not list(root.glob("usr/bin/python*"))
        os.killpg(process.pid, signal.SIGTERM)  # as a terminal does: unshare itself ignores it
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    said = (tmp_path / "out").read_text()
    assert "PHP-FPM is sized for this container" in said
    assert "unix:/dev/shm/cbox-init.sock" in said
    assert '"level":"ERROR"' not in said
