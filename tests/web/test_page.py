"""The web page in a real browser: signing in, what one sees, and what one does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.daemon import wait_for
from tests.web.conftest import ADMIN, PHONE, VIEWER

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.web.conftest import Open, Serve

pytestmark = pytest.mark.browser

REFUSED = "Failed to load resource"


def in_main(page: Page, text: str | re.Pattern[str]) -> None:
    from playwright.sync_api import expect

    expect(page.locator("#main").get_by_text(text).first).to_be_visible()


def test_one_signs_in_with_a_token_and_a_viewer_has_no_buttons(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  web: {command: [sleep, '1000'], scale: 2}\n")
    page = open_page(site, "p/web", token=None, allowed=(REFUSED,))
    field = page.get_by_label("Token")
    field.fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This token is not known")
    field.fill(ADMIN)
    field.press("Enter")
    expect(page.get_by_role("heading", name="web", exact=True)).to_be_visible()
    assert page.url.endswith("#/p/web")
    assert page.evaluate("sessionStorage.getItem('cbox-init.token')") == ADMIN
    assert page.evaluate("Object.keys(localStorage)") == []
    expect(page.get_by_role("button", name="Restart", exact=True)).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill(VIEWER)
    page.get_by_role("button", name="Sign in").click()
    in_main(page, "web-1")
    for name in ("Restart", "Stop", "One more", "More for web"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    expect(page.get_by_role("tab", name="Configuration")).to_have_count(0)
    page.get_by_role("link", name="Processes").first.click()
    in_main(page, "All processes")
    expect(page.get_by_role("link", name="Add a process")).to_have_count(0)
    expect(page.locator("#main [aria-haspopup=menu]")).to_have_count(0)
    page.goto(f"{site.url}#/new")
    in_main(page, "This needs the role admin.")


def test_a_link_signs_in_once_and_a_session_that_ends_keeps_the_place(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  web: {command: [sleep, '1000'], scale: 2}\n")
    with httpx.Client(base_url=f"{site.url}api/v1", headers={"authorization": f"Bearer {ADMIN}"}) as client:
        code = client.post("/sessions/codes").json()["code"]
        page = open_page(site, f"login={code}", token=None, allowed=(REFUSED,))
        in_main(page, "All processes")
        assert page.url == f"{site.url}#/overview"
        page.evaluate("location.hash = '#/p/web?tab=events'")
        in_main(page, re.compile("started, PID"))
        session = page.evaluate("sessionStorage.getItem('cbox-init.token')")
        client.delete("/sessions/current", headers={"authorization": f"Bearer {session}"}).raise_for_status()
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Token").fill(ADMIN)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    assert page.url.endswith("#/p/web?tab=events")
    expect(page.get_by_role("tab", name="Events")).to_have_attribute("aria-selected", "true")

    other = open_page(site, f"login={code}", token=None, allowed=(REFUSED,))
    expect(other.get_by_role("alert")).to_contain_text("This link has been used")
    assert code not in other.url


def test_one_sees_a_crash_and_scales_rolls_and_aborts(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve(
        "  web:\n    command: [sleep, '1000']\n    scale: 2\n"
        "    rollout: {max_surge: 0, max_unavailable: 1, pause: 1h}\n"
        "  late:\n    restart: never\n"
        "    command: [sh, -c, 'until test -e DIR/go; do sleep 0.1; done; echo no database >&2; exit 3']\n"
    )
    page = open_page(site)
    expect(page.locator("tr[data-process=late]")).to_contain_text("Running")
    (site.folder / "go").touch()
    expect(page.locator("tr[data-process=late]")).to_contain_text("Failed")
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("exit code 3")
    expect(attention).to_contain_text("no database")
    expect(page.get_by_role("region", name="Latest events")).to_contain_text("crashed")

    page.keyboard.press("/")
    page.keyboard.type("we")
    expect(page.locator("tr[data-process=late]")).to_have_count(0)
    assert page.url.endswith("#/overview?q=we")
    page.locator("tr[data-process=web]").get_by_role("link").click()

    page.get_by_role("button", name="One more").click()
    toasts = page.get_by_role("region", name="Messages")
    expect(toasts).to_contain_text("Scale web to 3")
    in_main(page, "web-2")
    with site.client() as client:
        assert client.status("web").desired_scale == 3

    page.get_by_role("button", name="Restart", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    in_main(page, "1 of 3 new instances are ready")
    expect(toasts).to_contain_text("1 of 3 ready")
    toasts.get_by_role("button", name="Abort").click()
    expect(toasts).to_contain_text("abandoned by api_auth")
    expect(page.get_by_text("Rolling out")).to_have_count(0)
    with site.client() as client:
        assert client.changes(process="web").changes[0].status == "aborted"


def test_one_edits_and_adds_a_process(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  web: {command: [sleep, '1000'], env: {API_TOKEN: hidden-value}}\n")
    page = open_page(site, "p/web?tab=env")
    in_main(page, "***")
    assert "hidden-value" not in page.content()
    page.get_by_role("button", name="More for web").click()
    page.get_by_role("menuitem", name="Edit").click()
    field = page.get_by_role("textbox", name="Instances")
    field.fill("many")
    expect(page.get_by_role("alert")).to_contain_text("Expected a whole number or auto, got 'many'")
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_disabled()
    field.fill("2")
    in_main(page, "Valid.")
    apply.click()
    in_main(page, "web-1")
    with site.client() as client:
        assert client.status("web").desired_scale == 2
    assert "hidden-value" in site.daemon.config.read_text()

    page.goto(f"{site.url}#/new")
    page.get_by_label("Name", exact=True).fill("queue")
    page.get_by_label("Command").fill('["sleep", "2000"]')
    in_main(page, "Valid.")
    page.get_by_role("button", name="Add the process").click()
    expect(page.get_by_role("heading", name="queue")).to_be_visible()
    in_main(page, "queue-0")
    page.get_by_role("button", name="More for queue").click()
    page.get_by_role("menuitem", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    in_main(page, "All processes")
    expect(page.locator("tr[data-process=queue]")).to_have_count(0)


def test_the_place_is_kept_while_the_daemon_is_away(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  web: {command: [sleep, '1000'], scale: 2}\n")
    page = open_page(site, "p/web?tab=events", allowed=(REFUSED,))
    in_main(page, re.compile("started, PID"))
    page.evaluate("window.same = true")
    site.daemon.stop()
    banner = page.locator(".banner")
    expect(banner).to_contain_text("The daemon cannot be reached.")
    page.get_by_role("button", name="One more").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("Nothing was sent.")
    in_main(page, re.compile("started, PID"))
    site.start()
    expect(banner).to_have_count(0)
    expect(page.get_by_role("tab", name="Events")).to_have_attribute("aria-selected", "true")
    assert page.evaluate("window.same") and page.url.endswith("#/p/web?tab=events")
    page.get_by_role("button", name="One more").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("Scale web to 3")
    with site.client() as client:
        wait_for(lambda: len(client.status("web").instances) == 3, "three instances")
    expect(page.get_by_text("web-2").first).to_be_visible()


OPEN_BEFORE_THE_NEXT_KEY = """async () => {
  const key = { key: "k", ctrlKey: true, bubbles: true };
  document.body.dispatchEvent(new KeyboardEvent("keydown", key));
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return document.querySelector("dialog[open] input") === document.activeElement;
}"""


def test_keys_and_the_phone(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  web: {command: [sleep, '1000']}\n")
    page = open_page(site, size=PHONE)
    in_main(page, "All processes")
    navigation = page.get_by_role("navigation", name="Views")
    expect(navigation).to_be_hidden()
    page.get_by_role("button", name="Menu", exact=True).click()
    navigation.get_by_role("link", name="Daemon").click()
    expect(page.get_by_role("heading", name="Daemon")).to_be_visible()
    expect(navigation).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("o")
    in_main(page, "All processes")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate(OPEN_BEFORE_THE_NEXT_KEY)
    page.keyboard.type("web")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="web", exact=True)).to_be_visible()
    page.get_by_role("button", name="Menu", exact=True).click()
    page.get_by_role("button", name="Light", exact=True).click()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.reload()
    expect(page.get_by_role("heading", name="web", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
