"""The whole configuration: reload the file, and save the changes made through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api import queries
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas import ReloadReply, SavedReply
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context
    from cbox_init.supervisor.configuration.configuration import Reloaded

_DRY_RUN: Final = Parameter(
    "dry_run", "true: show what a reload would change, and change nothing.", queries.FLAG
)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/config/reload`` and ``/config/save``."""

    async def reload(request: Request) -> Response:
        if queries.flag_of(request.query_params, "dry_run"):
            return json_response(_reply("dry_run", await context.configuration.preview()))
        return json_response(_reply("reloaded", await context.configuration.reload()))

    async def save(request: Request) -> Response:
        path = await context.configuration.save()
        return json_response(SavedReply("saved", f"configuration saved to {path}"))

    return (
        Resource(
            "/api/v1/config/reload",
            {
                "POST": Operation(
                    answering(reload),
                    role=Role.ADMIN,
                    name="reloadConfig",
                    summary="Read the file again, and apply the differences",
                    replies={200: Reply("It is in force; the work continues after the reply.", ReloadReply)},
                    errors=(400, 409, 422),
                    parameters=(_DRY_RUN,),
                )
            },
        ),
        Resource(
            "/api/v1/config/save",
            {
                "POST": Operation(
                    answering(save),
                    role=Role.ADMIN,
                    name="saveConfig",
                    summary="Write the changes made through the API to the file",
                    replies={200: Reply("The file was written.", SavedReply)},
                    errors=(409,),
                )
            },
        ),
    )


def _reply(status: str, reloaded: Reloaded) -> ReloadReply:
    plan = reloaded.plan
    counts = ", ".join(
        f"{len(names)} {word}"
        for word, names in (
            ("added", plan.added),
            ("changed", plan.changed),
            ("adjusted", plan.adjusted),
            ("removed", plan.removed),
            ("kept", plan.kept),
        )
    )
    return ReloadReply(
        status=status,
        message=f"{'would be' if status == 'dry_run' else 'configuration reloaded'}: {counts}",
        added=plan.added,
        changed=plan.changed,
        adjusted=plan.adjusted,
        removed=plan.removed,
        kept=plan.kept,
        needs_restart=plan.needs_restart,
        warnings=reloaded.warnings,
    )
