"""Bodies and replies of signals, and of commands to instances and to several processes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cbox_init.api.schemas import ChangeId, WholeNumber  # noqa: TC001  # fields of Structs

ActionName = Literal["start", "stop", "restart", "scale", "signal"]

#: How many selectors one command takes, and how long each may be.
MOST_SELECTORS = 1000
LONGEST_SELECTOR = 256

SignalText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        description="A name such as HUP or SIGUSR1, RTMIN+3, or a number.",
        examples=["HUP"],
    ),
]
Receiver = Annotated[
    Literal["main", "group"],
    Meta(description="The main process of each instance, or its process group."),
]


class SignalRequest(Struct, frozen=True, kw_only=True):
    """Which signal is sent, and to whom."""

    signal: SignalText
    to: Receiver = "main"


class ActionRequest(Struct, frozen=True, kw_only=True):
    """A command to several processes. ``signal`` and ``to`` are for a signal, ``scale`` for a scale."""

    action: ActionName
    processes: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=LONGEST_SELECTOR)], ...],
        Meta(
            min_length=1,
            max_length=MOST_SELECTORS,
            description="Names, patterns such as queue-*, groups such as @workers, or all.",
            examples=[["web", "queue-*", "@workers"]],
        ),
    ]
    signal: SignalText | UnsetType = UNSET
    to: Receiver = "main"
    scale: Annotated[WholeNumber, Meta(description="Instances that each is to have.")] | UnsetType = UNSET


class InstanceActionReply(Struct, frozen=True):
    """A command to an instance was taken; the work goes on behind the reply."""

    message: str
    process: str
    instance: str
    change: ChangeId


class ActionsReply(Struct, frozen=True):
    """A command to several processes was taken; the work goes on behind the reply."""

    message: str
    processes: tuple[str, ...]
    change: ChangeId


class ShutdownReply(Struct, frozen=True):
    """The daemon ends; the work goes on behind the reply."""

    status: Annotated[str, Meta(extra_json_schema={"const": "shutting_down"})]
    message: str
