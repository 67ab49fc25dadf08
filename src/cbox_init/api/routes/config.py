"""The whole configuration: reload the file, and save the changes made through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from cbox_init.api import queries
from cbox_init.api.commands import KEY, WAIT, Accepted
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas import ReloadReply, SavedReply
from cbox_init.api.schemas_changes import ChangeEntry
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.supervisor.configuration.configuration import Reloaded

_DRY_RUN: Final = Parameter(
    "dry_run", "true: show what a reload would change, and change nothing.", queries.FLAG
)


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """``/config/reload`` and ``/config/save``."""

    async def reload(request: Request) -> Response:
        if queries.flag_of(request.query_params, "dry_run"):
            return json_response(_reply("dry_run", await context.configuration.preview()))

        async def accept() -> Accepted:
            change = context.configuration.reload_change()
            reloaded = await context.configuration.reload(change)
            return Accepted(_reply("reloaded", reloaded, change.id), change, 200)

        return await commands.carry_out(request, accept)

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
                    replies={
                        200: Reply(
                            "It is in force; the work continues after the reply. With wait: the change has "
                            "ended, well or not.",
                            ReloadReply,
                            others=(ChangeEntry,),
                            located=False,  # a dry run has none
                        ),
                        202: Reply("With wait: it is in force, and not done in time.", ReloadReply),
                    },
                    errors=(400, 409, 422),
                    parameters=(_DRY_RUN, WAIT, KEY),
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


def _reply(status: str, reloaded: Reloaded, change: str | UnsetType = UNSET) -> ReloadReply:
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
        change=change,
    )
