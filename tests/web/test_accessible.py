"""Every view by axe-core (WCAG 2.2 AA), in dark and in light, and none wider than a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import ADMIN, DESKTOP, PHONE, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.web.conftest import Open, Site

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
#: Colours are looked at when no animation changes them any more.
_RUN_AXE = """async (options) => {
  await Promise.allSettled(document.getAnimations().map((one) => one.finished));
  return axe.run(document, options);
}"""
VIEWS = (
    *("overview", "p/web", "p/flaky?tab=events", "p/web?tab=config", "p/web?tab=env", "p/web/edit", "new"),
    *("logs", "charts", "schedules", "graph", "events", "changes", "config", "daemon"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    processes = (
        "  web: {command: [sleep, '1000'], scale: 2, env: {API_TOKEN: hidden}}\n"
        "  flaky: {command: [sh, -c, 'echo no database >&2; exit 3'], restart: never}\n"
        "  backup: {command: ['true'], schedule: '30 3 * * *', depends_on: [web]}\n"
        "  ünïcode-漢字: {command: [sleep, '1000'], initial_state: stopped}\n"
    )
    with serving(tmp_path_factory.mktemp("site"), processes) as site:
        yield site


def go(page: Page, view: str) -> None:
    """Until a view has drawn what it loads."""
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{view}")
    page.wait_for_function(
        "(id) => document.querySelector('#main h1') && !document.querySelector('#main .skeleton')", arg=view
    )


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    found = page.evaluate(_RUN_AXE, options)
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("theme", "options"),
    [
        ("dark", {"resultTypes": ["violations"]}),
        ("light", {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}),
    ],
)
def test_every_view_can_be_used_by_everybody(
    site: Site, open_page: Open, theme: str, options: dict[str, Any]
) -> None:
    page = open_page(site, theme=theme)
    page.evaluate(AXE.read_text())
    found = {}
    for view in VIEWS:
        go(page, view)
        if wrong := violations(page, options):
            found[view] = wrong
        if theme == "light":
            width, height = PHONE
            page.set_viewport_size({"width": width, "height": height})
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found[view] = ["it is wider than a phone"]
            width, height = DESKTOP
            page.set_viewport_size({"width": width, "height": height})
    assert not found


def test_signing_in_dialogs_and_messages_can_be_used_by_everybody(site: Site, open_page: Open) -> None:
    options = {"resultTypes": ["violations"]}
    page = open_page(site, token=None, allowed=("Failed to load resource",))
    page.evaluate(AXE.read_text())
    page.get_by_label("Token").fill(ADMIN)
    found = {"signing in": violations(page, options)}
    page.get_by_role("button", name="Sign in").click()
    go(page, "p/web")
    page.get_by_role("button", name="One more").click()
    page.get_by_role("region", name="Messages").get_by_text("Scale web to 3").wait_for()
    page.get_by_role("button", name="More for web").click()
    found["a message and a menu"] = violations(page, options)
    page.get_by_role("menuitem", name="Send a signal").click()
    found["a dialog"] = violations(page, options)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    found["the palette"] = violations(page, options)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found["the keys"] = violations(page, options)
    assert not [*filter(None, found.values())]
