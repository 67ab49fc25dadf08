"""Makes the pictures of the web page in docs/pictures, from a real run of examples/demo.yaml.

    .venv/bin/python .ci/web_pictures.py

It takes some three minutes, most of it so that the small charts have something to show. It needs Chromium,
playwright (extra test), and for the same letters on each machine the font Inter (Debian: fonts-inter).
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT: Final = Path(__file__).parents[1]
PICTURES: Final = ROOT / "docs" / "pictures"
WIDTH, HEIGHT, SCALE = 1280, 800, 1.5
CHARTS_FILL_S: Final = 125


def main() -> None:
    from playwright.sync_api import sync_playwright

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        text = (ROOT / "examples" / "demo.yaml").read_text()
        config = Path(folder) / "cbox-init.yaml"
        config.write_text(text.replace("api_port: 9180", f"api_port: {port}\n  api_socket: {folder}/socket"))
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        command = [sys.executable, "-m", "cbox_init", "serve", "-c", config.name]
        daemon = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            until_open(port)
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, color_scheme="dark"
            )
            page.goto(f"http://127.0.0.1:{port}/#/overview")
            page.wait_for_timeout(CHARTS_FILL_S * 1000)
            keep(page, "web-overview.webp")
            page.emulate_media(color_scheme="light")
            page.evaluate("location.hash = '#/p/web'")
            page.get_by_role("button", name="Restart", exact=True).click()
            page.get_by_role("dialog").get_by_role("button", name="Restart").click()
            page.get_by_text("1 of 3 new instances are ready").wait_for()
            page.wait_for_timeout(1000)
            keep(page, "web-rollout.webp")
            browser.close()
        finally:
            os.kill(daemon.pid, signal.SIGTERM)
            daemon.wait(60)


def until_open(port: int) -> None:
    """Wait until the daemon answers on its port."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the daemon has not opened its port in 30 s")


def keep(page: Page, name: str) -> None:
    """Write what the page shows as a small picture."""
    shown = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 82}
    )
    (PICTURES / name).write_bytes(base64.b64decode(shown["data"]))


if __name__ == "__main__":
    main()
