"""Notifications by the API: their figures, and a test of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.ports import free_port

if TYPE_CHECKING:
    from tests.api.service import Serve

PATH = "/api/v1/notifications"


async def test_none(serve: Serve) -> None:
    service = await serve()
    reply = await service.tcp.get(PATH)
    assert reply.json() == {"notifications": []}
    refused = await service.tcp.post(f"{PATH}/x/test")
    assert refused.status_code == 404
    assert refused.json()["error"] == "notification not found: x"


async def test_figures_and_tests(serve: Serve) -> None:
    service = await serve(f"""
  web: {{command: [sleep, '1000']}}
notifications:
  - {{name: good, command: ['true'], processes: [web]}}
  - {{name: bad, webhook: {{url: 'http://127.0.0.1:{free_port()}/s3cretkey', template: slack}}, retry: 0}}
  - {{name: off, command: ['true'], enabled: false}}
""")
    good, bad = (await service.tcp.get(PATH)).json()["notifications"]
    assert (good["name"], good["type"], good["processes"], good["events"]) == (
        "good",
        "command",
        ["web"],
        ["problems"],
    )
    assert "template" not in good
    assert "last_sent" not in good
    assert (bad["type"], bad["template"]) == ("webhook", "slack")
    assert (await service.tcp.post(f"{PATH}/good/test")).json() == {"notification": "good", "delivered": True}
    reply = (await service.tcp.post(f"{PATH}/bad/test")).json()
    assert reply["delivered"] is False
    assert "refused" in reply["error"]
    assert (await service.tcp.post(f"{PATH}/off/test")).status_code == 404
    service.house.runtime.events.emit("instance.given_up", "web", "web-0")
    notifications = service.house.supervisor.notifications
    assert notifications is not None
    await service.house.until(lambda: [one.sent + one.failed for one in notifications.states()] == [1, 1])
    text = (await service.tcp.get(PATH)).text
    assert "s3cretkey" not in text
    good, bad = (await service.tcp.get(PATH)).json()["notifications"]
    assert good["last_sent"].endswith("Z")
    assert "refused" in bad["last_error"]
