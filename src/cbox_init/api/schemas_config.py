"""The JSON of the whole configuration, and of checking one."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from cbox_init.api.schemas import JsonValue  # noqa: TC001  # fields of Structs

_DIFF: Final = (
    "Unified diff of YAML with secrets masked and defaults left out, empty when nothing differs. Each "
    "section and each process is compared by itself, and named behind the @@ of its hunks; lines are counted "
    "from its own start. A secret that differs is `*** (changed)`."
)

Diff = Annotated[str, Meta(description=_DIFF)]


class ConfigReply(Struct, frozen=True, kw_only=True):
    """The configuration in force, and how the file differs from it."""

    path: Annotated[str | None, Meta(description="The file; null where there is none.")]
    config: Annotated[
        dict[str, JsonValue],
        Meta(description="By the keys of the file, secrets masked, without what has its default."),
    ]
    unsaved: Annotated[bool, Meta(description="Whether changes made through the API are not in the file.")]
    diff: Annotated[str, Meta(description=f"From the file to what is in force. {_DIFF}")]
    file_errors: Annotated[
        tuple[str, ...],
        Meta(description="Why the file cannot be compared: it cannot be read, or is not valid now."),
    ]


class ValidateRequest(Struct, frozen=True, kw_only=True):
    """What is to be checked: ``name`` and ``process``, or ``config``, or ``yaml``."""

    name: Annotated[str, Meta(description="Of the process: one that exists, or a new one.")] | UnsetType = (
        UNSET
    )
    process: (
        Annotated[
            dict[str, JsonValue],
            Meta(description="All keys of the process; a value as `GET /processes/{name}` masks it stays."),
        ]
        | UnsetType
    ) = UNSET
    config: (
        Annotated[dict[str, JsonValue], Meta(description="A whole configuration, as JSON.")] | UnsetType
    ) = UNSET
    yaml: Annotated[str, Meta(description="A whole configuration, as text.")] | UnsetType = UNSET


class ProblemEntry(Struct, frozen=True, kw_only=True):
    """What is wrong, or could be better, as ``check-config --json`` has it."""

    field: Annotated[str, Meta(description="The path of the key; empty for the whole.")]
    message: str
    recommendation: Annotated[str, Meta(description="How to fix it; may be empty.")]
    severity: Annotated[str, Meta(extra_json_schema={"enum": ["error", "warning", "suggestion"]})]
    line: Annotated[int, Meta(ge=1, description="Of ``yaml``, where a line is the cause.")] | UnsetType = (
        UNSET
    )


class ValidateReply(Struct, frozen=True, kw_only=True):
    """What was found; nothing has changed."""

    valid: Annotated[bool, Meta(description="Whether there is no error.")]
    errors: tuple[ProblemEntry, ...]
    warnings: tuple[ProblemEntry, ...]
    suggestions: tuple[ProblemEntry, ...]
