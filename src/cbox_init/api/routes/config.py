"""The whole configuration: show and check it, reload the file, save the changes made through the API."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from cbox_init.api import queries
from cbox_init.api.bodies import read_body
from cbox_init.api.commands import KEY, WAIT, Accepted
from cbox_init.api.replies import InvalidBodyError, encode, json_response, send_body
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas import ReloadReply, SavedReply
from cbox_init.api.schemas_changes import ChangeEntry
from cbox_init.api.schemas_config import ConfigReply, ProblemEntry, ValidateReply, ValidateRequest
from cbox_init.config.model.enums import Role
from cbox_init.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.config.problems import Problem
    from cbox_init.config.raw import Raw
    from cbox_init.supervisor.configuration.configuration import Reloaded
    from cbox_init.supervisor.configuration.inspection import Inspection, ReloadPreview, Shown

_IMPORT_TAKES_S: Final = 10.0
_DRY_RUN: Final = Parameter(
    "dry_run", "true: show what a reload would change, and change nothing.", queries.FLAG
)
_DRY_SAVE: Final = Parameter(
    "dry_run", "true: show what would change in the file, and write nothing.", queries.FLAG
)


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """``/config``, ``/config/validate``, ``/config/reload`` and ``/config/save``."""
    inspection: Inspection | None = None

    async def inspect() -> Inspection:
        nonlocal inspection
        if inspection is None:
            # In a thread: 20 ms. A daemon that can start none imports it in the event loop.
            with suppress(NoThreadError, TimeoutError):
                await in_thread(_inspection, name="config-import", timeout_s=_IMPORT_TAKES_S)
            inspection = inspection or _inspection()(context.configuration)
        return inspection

    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, await (await inspect()).show(_shown))

    async def validate(request: Request) -> Response:
        match await read_body(request, ValidateRequest):
            case ValidateRequest(name=str(name), process=dict(process), config=UnsetType(), yaml=UnsetType()):
                found = await (await inspect()).check_process(name, cast("dict[str, Raw]", process))
            case ValidateRequest(
                name=UnsetType(), process=UnsetType(), config=dict(config), yaml=UnsetType()
            ):
                found = await (await inspect()).check_document(cast("dict[str, Raw]", config))
            case ValidateRequest(name=UnsetType(), process=UnsetType(), config=UnsetType(), yaml=str(text)):
                found = await (await inspect()).check_text(text)
            case _:
                raise InvalidBodyError("send name and process, or config, or yaml, and nothing else")
        return json_response(_verdict(found))

    async def reload(request: Request) -> Response:
        if queries.flag_of(request.query_params, "dry_run"):
            return json_response(_preview(await (await inspect()).preview_reload()))

        async def accept() -> Accepted:
            change = context.configuration.reload_change()
            reloaded = await context.configuration.reload(change)
            return Accepted(_reply("reloaded", reloaded, change.id), change, 200)

        return await commands.carry_out(request, accept)

    async def save(request: Request) -> Response:
        if queries.flag_of(request.query_params, "dry_run"):
            found = await (await inspect()).preview_save()
            verb = "would change" if found.diff else "would stay as it is"
            return json_response(SavedReply("dry_run", f"{found.path} {verb}", found.diff))
        path = await context.configuration.save()
        return json_response(SavedReply("saved", f"configuration saved to {path}"))

    return (
        Resource(
            "/api/v1/config",
            {
                "GET": Operation(
                    show,
                    role=Role.ADMIN,
                    name="getConfig",
                    summary="The configuration in force, secrets masked, and its difference from the file",
                    replies={200: Reply("The configuration in force.", ConfigReply)},
                    configuration=True,
                    errors=(409,),
                )
            },
        ),
        Resource(
            "/api/v1/config/validate",
            {
                "POST": Operation(
                    answering(validate),
                    role=Role.ADMIN,
                    name="validateConfig",
                    summary="Check a process or a whole configuration; nothing is changed",
                    replies={200: Reply("What was found; valid or not.", ValidateReply)},
                    errors=(400, 408, 409),
                    body=ValidateRequest,
                )
            },
        ),
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
                    errors=(400, 409),
                    parameters=(_DRY_SAVE,),
                )
            },
        ),
    )


def _inspection() -> type[Inspection]:
    from cbox_init.supervisor.configuration.inspection import Inspection

    return Inspection


def _shown(found: Shown) -> bytes:
    return encode(
        ConfigReply(
            path=found.path,
            config=found.config,
            unsaved=found.unsaved,
            diff=found.diff,
            file_errors=found.errors,
        )
    )


def _verdict(problems: Iterable[Problem]) -> ValidateReply:
    entries: dict[str, list[ProblemEntry]] = {"error": [], "warning": [], "suggestion": []}
    for one in problems:
        entries[one.severity.value].append(
            ProblemEntry(
                field=one.field,
                message=one.message,
                recommendation=one.recommendation,
                severity=one.severity.value,
                line=UNSET if one.line is None else one.line,
            )
        )
    return ValidateReply(
        valid=not entries["error"],
        errors=tuple(entries["error"]),
        warnings=tuple(entries["warning"]),
        suggestions=tuple(entries["suggestion"]),
    )


def _preview(found: ReloadPreview) -> ReloadReply:
    reply = _reply("dry_run", found.reloaded)
    return replace(reply, diff=found.differences.text, changed_keys=found.differences.keys)


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
