"""The notifications with their figures, and a test of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas_notifications import NotificationEntry, NotificationList, NotificationTest
from cbox_init.api.waiting import while_connected
from cbox_init.config.event_kinds import PROBLEMS
from cbox_init.config.model.enums import Role
from cbox_init.config.notification_templates import BUILT_IN
from cbox_init.errors import Conflict, UnknownNotification
from cbox_init.logs.encode.base import Timestamps

if TYPE_CHECKING:
    from msgspec import UnsetType
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context
    from cbox_init.supervisor.notifications.notifier import NotifierState

_PATH: Final = "/api/v1/notifications"
#: ``timeout`` of a notification is at most 5 minutes, and there may be two requests.
_LONGEST_TEST_S: Final = 620.0
_NOTIFICATION: Final = Parameter(
    "notification", "The name of a notification.", {"type": "string"}, where="path", required=True
)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/notifications``, and ``/notifications/{notification}/test``."""
    return _list(context), _test(context)


def _list(context: Context) -> Resource:
    supervisor = context.supervisor

    async def notifications(request: Request) -> Response:
        states = supervisor.notifications.states() if supervisor.notifications is not None else ()
        return json_response(NotificationList(tuple(map(_entry, states))))

    get = Operation(
        answering(notifications),
        role=Role.VIEWER,
        name="getNotifications",
        summary="The notifications, with the numbers sent, failed and dropped",
        replies={200: Reply("Those that are enabled.", NotificationList)},
    )
    return Resource(_PATH, {"GET": get})


def _test(context: Context) -> Resource:
    supervisor = context.supervisor

    async def test(request: Request) -> Response:
        name = request.path_params["notification"]
        if supervisor.notifications is None:
            raise UnknownNotification(name)
        supervisor.refuse_in_shutdown(f"test {name}")
        work = supervisor.notifications.test(name)
        async with while_connected(request, work, _LONGEST_TEST_S) as over:
            if not over.done():
                raise Conflict(f"the test of {name} was given up")
            error = over.result()
        return json_response(NotificationTest(name, error is None, UNSET if error is None else error))

    post = Operation(
        answering(test),
        role=Role.OPERATOR,
        name="testNotification",
        summary="Send a message that says that it is a test, and wait until it has arrived",
        replies={200: Reply("It was delivered, or could not be.", NotificationTest)},
        errors=(404, 409),
        parameters=(_NOTIFICATION,),
    )
    return Resource(f"{_PATH}/{{notification}}/test", {"POST": post})


def _entry(state: NotifierState) -> NotificationEntry:
    config = state.config
    template: str | UnsetType = UNSET
    if config.webhook is not None:
        template = config.webhook.template if config.webhook.template in BUILT_IN else "custom"
    return NotificationEntry(
        name=state.name,
        type="command" if config.webhook is None else "webhook",
        template=template,
        events=config.events or (PROBLEMS,),
        processes=config.processes,
        waiting=state.waiting,
        sent=state.sent,
        failed=state.failed,
        dropped=state.dropped,
        retries=state.retries,
        last_sent=_time(state.sent_unix),
        last_failed=_time(state.failed_unix),
        last_error=UNSET if state.error is None else state.error,
    )


def _time(unix: float | None) -> str | UnsetType:
    return UNSET if unix is None else Timestamps().nanoseconds(int(unix * 1e9))
