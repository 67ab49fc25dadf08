"""The page of the API at /docs in Chromium: every route is drawn, and requests are sent and shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

import pytest

from tests.web.conftest import ADMIN, PHONE, VIEWER, serving
from tests.web.test_accessible import AXE, violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.web.conftest import Open, Site

pytestmark = pytest.mark.browser

#: What Chromium says of a reply with an error, which some tests ask for.
REFUSED: Final = ("Failed to load resource",)
#: The kinds of content that there are: lists, a body, a stream, members of members, the catalogue.
PLACES: Final = (
    "",
    "errors",
    "route/scaleProcess",
    "route/streamLogs",
    "route/getDaemon",
    "type/ProcessEntry",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    talks = "sh, -c, 'n=0; while :; do n=$((n+1)); echo \"line $n\"; sleep 0.1; done'"
    processes = f"  web: {{command: [{talks}], scale: 1, max_scale: 3}}\n"
    with serving(tmp_path_factory.mktemp("site"), processes) as site:
        yield site


def go(page: Page, place: str) -> None:
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{place}")
    page.wait_for_function(
        "(place) => location.hash === `#/${place}` && document.querySelector('#main h1')", arg=place
    )


def test_every_route_is_drawn(site: Site, open_page: Open) -> None:
    page = open_page(site, "", path="docs")
    page.get_by_role("heading", name="cbox-init Management API").wait_for()
    routes: list[str] = page.eval_on_selector_all(".routes li a", "all => all.map((a) => a.hash.slice(2))")
    with site.client() as client:
        paths = cast("dict[str, dict[str, dict[str, str]]]", client.openapi()["paths"])
    described = [one["operationId"] for path in paths.values() for one in path.values()]
    assert sorted(routes) == sorted(f"route/{name}" for name in described)
    assert page.evaluate(DRAW, routes) == []


#: Goes to each place, and gives those that are not drawn.
DRAW: Final = """async (places) => {
  const wrong = [];
  for (const place of places) {
    location.hash = `#/${place}`;
    const there = () => document.querySelector(".routes [aria-current=page]")?.hash === `#/${place}`;
    for (let left = 500; left && !there(); left--) {
      await new Promise((done) => setTimeout(done, 2));
    }
    const drawn = document.querySelector("main [aria-label='Try it'] button[type=submit]");
    if (!drawn || document.querySelector("main .note-box.bad")) wrong.push(place);
  }
  return wrong;
}"""


def test_it_can_be_used_by_everybody(site: Site, open_page: Open) -> None:
    page = open_page(site, "", path="docs", theme="light")
    page.get_by_role("heading", name="cbox-init Management API").wait_for()
    page.evaluate(AXE.read_text())
    found = {}
    for theme, place, rules in (
        ("Light", "", {}),
        ("Light", "route/scaleProcess", {}),
        ("Dark", "route/scaleProcess", {"runOnly": ["color-contrast"]}),
    ):
        page.get_by_role("button", name=theme, exact=True).click()
        go(page, place)
        page.evaluate(
            "document.querySelectorAll('[aria-expanded=false].opener').forEach((one) => one.click())"
        )
        if wrong := violations(page, {"resultTypes": ["violations"], **rules}):
            found[f"{theme} {place}"] = wrong
    assert not found


def test_requests_are_sent_and_replies_shown(site: Site, open_page: Open) -> None:
    page = open_page(site, "route/scaleProcess", path="docs", allowed=REFUSED)
    trial = page.get_by_role("region", name="Try it")
    curl = trial.get_by_role("group", name="the request as a command")
    assert ADMIN not in curl.inner_text()
    assert "Bearer $TOKEN" in curl.inner_text()
    trial.get_by_role("textbox", name="Body").fill('{"scale": 2}')
    assert """-d '{"scale":2}'""" in curl.inner_text()
    trial.get_by_role("button", name="Send").click()
    trial.get_by_text("202 Accepted").wait_for()
    assert '"scale initiated"' in trial.get_by_role("group", name="body of the reply").inner_text()
    with site.client() as client:
        assert [one.desired_scale for one in client.processes()] == [2]
    trial.get_by_role("textbox", name="Body").fill('{"scale": 99}')
    trial.get_by_role("button", name="Send").click()
    trial.get_by_text("400 Bad Request").wait_for()
    trial.get_by_role("textbox", name="Body").fill('{"scale": ')
    trial.get_by_text("This is no JSON").wait_for()
    assert trial.get_by_role("button", name="Send").is_disabled()


def test_a_stream_is_shown_as_it_comes(site: Site, open_page: Open) -> None:
    page = open_page(site, "route/streamLogs", path="docs")
    trial = page.get_by_role("region", name="Try it")
    trial.get_by_role("button", name="Send").click()
    body = trial.get_by_role("group", name="body of the reply")
    body.get_by_text(re.compile(r'"message":"line \d+"')).wait_for()
    first = body.inner_text()
    page.wait_for_function(
        "(before) => document.querySelector('.try .codebox pre[aria-label^=body]').innerText !== before",
        arg=first,
    )
    trial.get_by_role("button", name="Stop").click()
    trial.get_by_role("button", name="Send").wait_for()
    trial.get_by_text("200 OK").wait_for()


def test_from_the_page_of_the_processes_nobody_signs_in_again(site: Site, open_page: Open) -> None:
    page = open_page(site)
    page.get_by_role("link", name="API", exact=True).click()
    page.get_by_role("heading", name="cbox-init Management API").wait_for()
    page.get_by_role("link", name="The processes: the page of this daemon").click()
    page.get_by_role("link", name="web", exact=True).first.wait_for()


def test_the_token_is_that_of_the_tab(site: Site, open_page: Open) -> None:
    page = open_page(site, "route/stopProcess", token=None, path="docs", allowed=REFUSED)
    page.get_by_label("Token").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("This token is not accepted.").wait_for()
    assert page.evaluate("sessionStorage.getItem('cbox-init.token')") is None
    page.get_by_label("Token").fill(VIEWER)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Stop its instances").wait_for()
    assert page.evaluate("sessionStorage.getItem('cbox-init.token')") == VIEWER
    page.get_by_text("This needs the role operator; you are signed in as viewer.").wait_for()
    trial = page.get_by_role("region", name="Try it")
    trial.get_by_role("button", name="Send").click()
    trial.get_by_text("403 Forbidden").wait_for()


def test_by_keyboard_on_a_phone(site: Site, open_page: Open) -> None:
    page = open_page(site, "", path="docs", size=PHONE)
    page.get_by_role("heading", name="cbox-init Management API").wait_for()
    page.keyboard.press("/")
    page.get_by_role("searchbox", name="Find a route").press_sequentially("schedule pause")
    page.get_by_role("link", name="POST …/schedule/pause").press("Enter")
    page.get_by_role("heading", name="Start no further runs until it is resumed").wait_for()
    page.keyboard.press("k")
    wide = []
    for place in PLACES:
        go(page, place)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(place)
    assert wide == []
