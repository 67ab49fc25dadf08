"""Logs, charts, schedules, events, changes, graph and configuration in a real browser; also bad input."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import wait_for
from tests.web.conftest import ADMIN, VIEWER, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from tests.web.conftest import Open, Serve, Site

pytestmark = pytest.mark.browser

REFUSED = "Failed to load resource"
UNICODE = "ünïcode-日本"
HOSTILE = "<img-onerror=alert(1)>"
RIGHT_TO_LEFT = "שלום,עולם"
LONG = "x" * 120

PROCESSES = f"""
  talk:
    command:
      - sh
      - -c
      - |
        printf 'plain one\\n\\033[31mred\\033[0m two\\n<img src=x onerror="hacked=1">\\n'
        printf 'turned \\342\\200\\256txet\\a\\n'
        echo 'an ERROR here' >&2
        exec sleep 1000
  {UNICODE}: {{command: [sh, -c, 'echo こんにちは; exec sleep 1000'], depends_on: [talk]}}
  "{HOSTILE}": {{command: [sh, -c, 'echo from hostile; exec sleep 1000'], depends_on: [{UNICODE}]}}
  {RIGHT_TO_LEFT}: {{command: [sleep, '1000']}}
  {LONG}: {{command: [sleep, '1000'], scale: 2}}
  many: {{command: [sh, -c, 'seq 1500; exec sleep 1000'], initial_state: stopped}}
  nightly: {{command: [sh, -c, 'echo done; exit 3'], schedule: '0 3 * * *'}}
  minutely: {{command: ['true'], schedule: '* * * * *', initial_state: stopped}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site"), PROCESSES) as site:
        yield site


def see(place: Locator | Page, text: str | re.Pattern[str]) -> None:
    from playwright.sync_api import expect

    expect(place.get_by_text(text).first).to_be_visible()


def go(page: Page, place: str) -> None:
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{place}")


def test_logs_are_searched_chosen_and_paused(site: Site, open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(site, "logs")
    lines = page.locator(".log-line")
    see(page.locator(".log-lines"), "from hostile")
    expect(page.locator(".a-fg1")).to_have_text("red")
    see(page, '<img src=x onerror="hacked=1">')
    see(page, "turned ⟨202E⟩txet␇")
    assert page.evaluate("window.hacked") is None

    page.get_by_label("Search in the lines").fill("error")
    see(page.locator(".log-found"), "2 lines")
    assert [mark.lower() for mark in page.locator("mark").all_inner_texts()] == ["error", "error"]
    page.get_by_label("Only matches").check()
    expect(lines).to_have_count(2)
    page.get_by_label("Search in the lines").fill("")
    page.get_by_role("button", name="All processes").click()
    page.get_by_label(HOSTILE).check()
    expect(lines).to_have_count(1)

    go(page, "logs?process=talk")
    expect(lines).to_have_count(5)
    page.get_by_role("button", name="Pause").click()
    see(page.locator(".log-foot"), "Paused")
    page.get_by_role("button", name="Resume").click()
    see(page.locator(".log-foot"), "Live")
    lines.first.click()
    see(page.get_by_role("complementary", name="Line"), "plain one")

    with site.client() as client:
        client.start("many")
    go(page, "logs?process=many")
    see(page.locator(".log-lines"), re.compile("^1500$"))
    go(page, "logs?process=talk")
    go(page, "logs?process=many")
    see(page.locator(".log-foot"), "1,000 kept")
    page.locator(".log-lines").evaluate("(box) => { box.scrollTop = 0; }")
    page.get_by_role("button", name="Load older lines").click()
    see(page.locator(".log-foot"), "1,500 kept")
    expect(page.locator(".log-text").get_by_text("501", exact=True)).to_be_in_viewport()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save these lines as a file").click()
    assert len(download.value.path().read_text().splitlines()) == 1500


def test_names_are_texts_everywhere(site: Site, open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(site, "graph")
    nodes = page.locator(".graph-node")
    expect(nodes).to_have_count(8)
    page.locator(".graph-node", has_text="img-onerror").click()
    chosen = page.locator(".graph-chosen")
    see(chosen, HOSTILE)
    see(chosen, UNICODE)
    assert page.locator(".graph-node.lit").count() == 3  # talk is before, too
    page.get_by_label("Find a process").fill("xxxx")
    see(page, "1 found")
    for name in (HOSTILE, RIGHT_TO_LEFT, LONG, UNICODE):
        page.evaluate("(name) => { location.hash = `#/logs?process=${encodeURIComponent(name)}`; }", name)
        see(page.locator(".picker-button").first, name)
        page.evaluate("(name) => { location.hash = `#/charts?process=${encodeURIComponent(name)}`; }", name)
        expect(page.locator(".chart canvas").first).to_be_visible()
    page.evaluate("location.hash = '#/events'")
    see(page.locator(".event-list"), f"{UNICODE}-0")
    assert page.locator("#main img").count() == 0


FLOOD = """
  flood:
    initial_state: stopped
    command:
      - python3
      - -c
      - |
        import pathlib, time
        for tenth in range(15):
            while tenth == 3 and not pathlib.Path("DIR/go").exists():
                time.sleep(0.01)
            print("\\n".join(f"{tenth} {line} " + "x" * 60 for line in range(1000)), flush=True)
            time.sleep(0.1)
        print("that was all", flush=True)
        time.sleep(1000)
"""

#: More wait than are kept while the view is paused, or some were dropped before.
FULL = """() => {
  const waiting = parseInt(document.querySelector(".log-new")?.innerText.replaceAll(",", "") ?? "0");
  return waiting > 10000 || !!document.querySelector(".log-dropped");
}"""

FRAMES = """() => new Promise((done) => {
  let frames = 0;
  const next = () => (++frames === 20 ? done(frames) : requestAnimationFrame(next));
  next();
})"""


def test_ten_thousand_lines_a_second_are_dropped_with_a_count(serve: Serve, open_page: Open) -> None:
    """Frames are drawn in a flood. What nobody can read any more is counted, not kept."""
    from playwright.sync_api import expect

    site = serve(FLOOD)
    page = open_page(site, "logs")
    see(page, "No lines yet")
    with site.client() as client:
        client.start("flood")
    expect(page.locator(".log-line")).not_to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    (site.folder / "go").touch()
    page.wait_for_function(FULL)
    assert page.evaluate(FRAMES) == 20
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".log-dropped")).to_have_text(re.compile("dropped"))
    see(page.locator(".log-lines"), "that was all")
    assert page.locator(".log-line").count() < 200


def test_the_log_goes_on_after_the_server_was_away(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  talk: {command: [sh, -c, 'echo begun $$; exec sleep 1000']}\n")
    page = open_page(site, "logs?process=talk", allowed=(REFUSED,))
    lines = page.locator(".log-line")
    expect(lines).to_have_count(1)
    page.get_by_role("button", name="Wrap").click()
    site.daemon.end()
    see(page.locator(".log-foot"), "Connection lost")
    see(page.get_by_role("status"), "The daemon cannot be reached")
    site.start()
    page.evaluate("window.dispatchEvent(new Event('online'))")  # at once, not after some seconds
    see(page.locator(".log-lines"), "Connected again after")
    expect(lines).to_have_count(2)
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")


def test_a_token_that_ends_while_streaming_costs_no_place(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve(
        "  talk: {command: [sh, -c, 'for i in 1 2 3; do echo $i; done; exec sleep 1000'], scale: 1}\n"
    )
    page = open_page(site, "logs?process=talk", allowed=(REFUSED,))
    lines = page.locator(".log-line")
    expect(lines).to_have_count(3)
    page.get_by_label("Search in the lines").fill("2")
    site.daemon.config.write_text(site.daemon.config.read_text().replace(ADMIN, "another-token-of-the-admin"))
    with site.client() as client:
        client.reload_config()
    dialog = page.get_by_role("dialog")
    see(dialog, re.compile("Sign in"))
    dialog.get_by_label("Token").fill("another-token-of-the-admin")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    see(page.locator(".log-foot"), "Live")
    expect(page.get_by_label("Search in the lines")).to_have_value("2")
    expect(lines).to_have_count(3)


def test_times_are_those_of_the_daemon_whatever_the_browser_thinks(site: Site, open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(site, "overview")
    page.add_init_script("const real = Date.now; Date.now = () => real() - 7200e3;")
    page.reload()
    go(page, "schedules?process=nightly")
    with site.client() as client:
        client.trigger("nightly")
    row = page.get_by_role("row").filter(has_text="Exit code 3").first
    expect(row).to_contain_text(re.compile(r"now|\ds ago"))
    see(page.get_by_role("region", name="Runs"), re.compile("exit code 3", re.IGNORECASE))
    page.get_by_role("button", name="Pause nightly").click()
    expect(page.get_by_role("button", name="Resume nightly")).to_be_visible()
    see(page.locator(".calendar"), "2 schedules paused")
    page.get_by_role("button", name="Resume nightly").click()
    see(page.locator(".calendar .week"), "nightly")
    page.get_by_role("button", name="List").click()
    see(page.locator(".agenda"), "03:00")


def test_two_hundred_processes_can_be_found(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    names = [f"service-{number:03}" for number in range(200)]
    common = "command: ['true'], initial_state: stopped"
    others = (
        f"  {name}: {{{common}, depends_on: [{names[n // 7]}]}}\n" for n, name in enumerate(names[1:], 1)
    )
    site = serve(f"  {names[0]}: {{{common}}}\n{''.join(others)}")
    page = open_page(site, "graph")
    expect(page.locator(".graph-node")).to_have_count(200)
    expect(page.locator(".graph-edge")).to_have_count(199)
    page.get_by_label("Find a process").fill("service-199")
    page.get_by_label("Find a process").press("Enter")
    see(page.locator(".graph-chosen"), "service-199")
    expect(page.locator(".graph-node.lit")).to_have_count(4)
    expect(page.locator(".graph-node.at")).to_be_in_viewport()
    page.get_by_role("button", name="Fit").click()
    expect(page.locator(".graph-node").last).to_be_in_viewport()
    go(page, "logs")
    page.get_by_role("button", name="All processes").click()
    page.get_by_label("Find a process").fill("150")
    page.get_by_label("service-150").check()
    assert "service-150" in page.url


SLOW = """
  slow:
    command: [sleep, "1000"]
    scale: 3
    rollout: {max_surge: 0, max_unavailable: 1, pause: 1h}
"""


def test_a_rollout_is_followed_and_aborted(serve: Serve, open_page: Open) -> None:

    site = serve(SLOW)
    page = open_page(site, "changes")
    see(page, "No commands yet")
    with site.client() as client:
        client.restart("slow")
    change = page.locator(".change", has_text="Restart slow")
    see(change, "Under way")
    see(change, "api_auth")
    change.get_by_role("button", name="Abort").click()
    page.get_by_role("dialog").get_by_role("button", name="Abort").click()
    see(change, "Aborted")
    change.get_by_role("button", name="Restart slow").click()
    see(change, "slow-0")
    go(page, "events?kind=change")
    see(page.locator(".event-list"), "restart aborted")


def test_the_configuration_is_compared_checked_reloaded_and_saved(serve: Serve, open_page: Open) -> None:
    from playwright.sync_api import expect

    site = serve("  web: {command: [sleep, '1000'], env: {API_TOKEN: tell-nobody}}\n")
    page = open_page(site, "config")
    see(page, "As in the file")
    file = site.daemon.config
    file.write_text(
        file.read_text().replace("[sleep, '1000']", "[sleep, '2000'], scale: 2")
        + "  new: {command: [sleep, '1']}\n"
    )
    page.get_by_role("button", name="Reload…").click()
    dialog = page.get_by_role("dialog")
    for text in ("Added", "new", "Changed", "command", "scale"):
        see(dialog, text)
    dialog.get_by_text("Differences").click()
    see(dialog.locator(".diff .added"), "2000")
    dialog.get_by_role("button", name="Reload", exact=True).click()
    expect(dialog).to_have_count(0)
    with site.client() as client:
        wait_for(lambda: {one.name for one in client.processes()} == {"web", "new"}, "the reload")
        client.add_process("added", {"command": ["sleep", "1000"]})
    see(page, "Not saved")
    see(page.locator(".diff"), "added")
    page.get_by_role("button", name="Save…").click()
    see(dialog.locator(".diff"), "added")
    dialog.get_by_role("button", name="Save", exact=True).click()
    wait_for(lambda: "added" in file.read_text(), "the file is saved")
    see(page, "As in the file")

    page.get_by_role("tab", name="In force").click()
    see(page.locator(".yaml"), "API_TOKEN")
    assert "tell-nobody" not in page.content()
    page.get_by_role("tab", name="Check a text").click()
    area = page.get_by_label("Configuration to check")
    area.fill("processes:\n  web:\n    comand: [a]\n")
    see(page.locator(".problems"), "Line 3")
    page.get_by_role("button", name="Line 3").click()
    assert (
        area.evaluate("(area) => area.value.slice(area.selectionStart, area.selectionEnd)")
        == "    comand: [a]"
    )
    area.fill("processes:\n  web:\n    command: [a]\n")
    see(page, "Valid")


def test_a_viewer_sees_no_buttons(site: Site, open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page(site, "schedules", token=VIEWER)
    see(page, "nightly")
    expect(page.get_by_role("button", name="Run now: nightly")).to_have_count(0)
    go(page, "config")
    see(page, "This needs the role admin.")
    go(page, "graph")
    expect(page.locator(".graph-edge")).to_have_count(2)
