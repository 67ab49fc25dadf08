"""A daemon with its web page, and Chromium as Debian has it. One browser for each worker of pytest."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from cbox_init.client import Client, DaemonUnreachable
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page

ADMIN: Final = "the-token-of-the-admin"
VIEWER: Final = "the-token-of-the-viewer"
DEADLINE_MS: Final = 30_000
DESKTOP: Final = (1440, 900)
PHONE: Final = (375, 812)

_GLOBAL: Final = f"""
global:
  api_enabled: true
  api_host: 127.0.0.1
  api_port: PORT
  api_socket: SOCKET
  api_rate_limit: 0
  resource_metrics_enabled: true
  resource_metrics_interval: 1
  api_auth: {ADMIN}
  api_tokens: [{{name: eyes, role: viewer, token: {VIEWER}}}]
  restart_backoff_initial: 300ms
  restart_backoff_max: 300ms
"""


class Site:
    """A daemon that serves the page on a port of its own."""

    def __init__(self, folder: Path, processes: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.text = f"{_GLOBAL.replace('PORT', str(self.port))}\nprocesses:\n{processes}"
        self.url = f"http://127.0.0.1:{self.port}/"
        self.daemon: DaemonProcess
        self.start()

    def start(self) -> None:
        self.daemon = DaemonProcess(self.folder, self.text)
        wait_for(self._answers, self.daemon.errors())

    def _answers(self) -> bool:
        if self.daemon.process.poll() is not None:
            raise AssertionError(self.daemon.output()[-2000:] + self.daemon.errors())
        with suppress(DaemonUnreachable), self.client() as client:
            client.health()
            return True
        return False

    def client(self) -> Client:
        return Client.connect(self.url, token=ADMIN)


class Serve(Protocol):
    """Starts a daemon on the entries of ``processes``."""

    def __call__(self, processes: str) -> Site: ...


class Open(Protocol):
    """Opens the page at a place, signed in; ``allowed`` are texts of console messages that are expected.

    ``path`` is that of another page, such as ``docs``.
    """

    def __call__(
        self,
        site: Site,
        place: str = "overview",
        *,
        token: str | None = ADMIN,
        theme: str = "dark",
        size: tuple[int, int] = DESKTOP,
        allowed: tuple[str, ...] = (),
        path: str = "",
    ) -> Page: ...


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ended before a test of another package runs in the same worker: the event loop of Playwright stays the
    running one of its thread, and other tests reap all children.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=DEADLINE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def serving(folder: Path, processes: str) -> Iterator[Site]:
    """A daemon with its page, for a fixture of a wider scope."""
    site = Site(folder, processes)
    try:
        yield site
    finally:
        site.daemon.end()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    sites: list[Site] = []

    def start(processes: str) -> Site:
        folder = tmp_path / str(len(sites))
        folder.mkdir()
        sites.append(Site(folder, processes))
        return sites[-1]

    yield start
    for site in sites:
        site.daemon.end()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens pages, and fails when one of them has written an error or a warning to the console."""
    opened: list[tuple[Page, list[str]]] = []

    def open_page(
        site: Site,
        place: str = "overview",
        *,
        token: str | None = ADMIN,
        theme: str = "dark",
        size: tuple[int, int] = DESKTOP,
        allowed: tuple[str, ...] = (),
        path: str = "",
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(DEADLINE_MS)
        page = context.new_page()
        said: list[str] = []

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not any(text in message.text for text in allowed):
                said.append(f"{message.type}: {message.text} {message.location.get('url')}")

        page.on("console", note)
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        opened.append((page, said))
        if token is not None:
            # Once, so that what the page itself keeps later stays.
            page.add_init_script(
                "if (!sessionStorage.getItem('begun')) { sessionStorage.setItem('begun', '1');"
                f" sessionStorage.setItem('cbox-init.token', '{token}'); }}"
            )
        page.goto(f"{site.url}{path}#{'' if place.startswith('login=') else '/'}{place}")
        return page

    yield open_page
    for page, _ in opened:
        page.context.close()
    complaints = [text for _, said in opened for text in said]
    assert not complaints, complaints
