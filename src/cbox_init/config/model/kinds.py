"""The types of keys beyond Python's own: how a text of the file becomes a value, and its range.

A kind is an annotated type. ``Meta`` holds the range; its ``extra`` names the conversion where the Python
type alone does not (a duration is a float, a size is an int).
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta


class Kind(StrEnum):
    """A conversion that does not follow from the Python type."""

    DURATION = "duration"
    DURATION_MS = "duration in milliseconds"
    SIZE = "size"
    RLIMIT = "whole number or unlimited"
    SIZE_RLIMIT = "size or unlimited"
    COMMAND = "command"
    SIGNAL = "signal"
    HOST = "host"
    ATTEMPTS = "number of attempts"
    SCALE = "whole number or auto"
    AMOUNT = "number, percentage or size"
    STATUSES = "status or range of statuses"
    EXIT_CODES = "exit code"
    UMASK = "octal number"
    ENVIRONMENT = "inherit, clean or a list of names"


class Zero(StrEnum):
    """What 0 means for a key."""

    NUMBER = "number"
    #: The key is not set, as in files that were written with all their keys.
    UNSET = "unset"
    #: As `UNSET`; the words never, off and unlimited stand for the number 0.
    UNSET_OR_WORD = "unset or word"
    #: As `UNSET_OR_WORD` in a file and the environment; over the API it is the number.
    UNSET_IN_FILE = "unset in file"


#: Ten years: no timer needs more, and every timer can hold it.
LONGEST_S: Final = 315_360_000.0
LARGEST_COUNT: Final = 2**31 - 1

DURATION: Final = {"kind": Kind.DURATION}
UNSET: Final = {"zero": Zero.UNSET}

#: Seconds, as "1m30s" (Go's notation) or a bare number of seconds.
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_S, extra=DURATION)]
#: Seconds of which 0 makes no sense, such as a period.
PositiveSeconds = Annotated[float, Meta(gt=0, le=LONGEST_S, extra=DURATION)]
#: As `Seconds`, where 0 means not set.
SecondsOrUnset = Annotated[float, Meta(ge=0, le=LONGEST_S, extra={**DURATION, "zero": Zero.UNSET})]
#: As `Seconds`, where 0 means not set, and a word says that there is no limit.
SecondsOrNever = Annotated[float, Meta(ge=0, le=LONGEST_S, extra={**DURATION, "zero": Zero.UNSET_OR_WORD})]
#: Seconds that may be negative, where that has a meaning; 0 means not set, and a word turns it off.
SignedSecondsOrOff = Annotated[
    float, Meta(ge=-LONGEST_S, le=LONGEST_S, extra={**DURATION, "zero": Zero.UNSET_OR_WORD})
]
#: At most an hour; 0 means not set.
SecondsOfAnHourOrUnset = Annotated[float, Meta(ge=0, le=3600, extra={**DURATION, "zero": Zero.UNSET})]
#: At most an hour.
SecondsOfAnHour = Annotated[float, Meta(ge=0, le=3600, extra=DURATION)]
#: Seconds, of which a bare number in the file is milliseconds; 0 means not set.
Milliseconds = Annotated[
    float, Meta(ge=0, le=LONGEST_S, extra={"kind": Kind.DURATION_MS, "zero": Zero.UNSET})
]

#: Bytes, as "50MB", "8 MiB" or a bare number.
Size = Annotated[int, Meta(ge=1, le=2**50, extra={"kind": Kind.SIZE})]

#: No limit, as the module `resource` has it (RLIM_INFINITY).
UNLIMITED: Final = -1
#: A limit of setrlimit(2): a number, or "unlimited".
Rlimit = Annotated[int, Meta(ge=0, le=LARGEST_COUNT, extra={"kind": Kind.RLIMIT})]
#: The same in bytes: "50MB", "8 MiB", a bare number, or "unlimited".
SizeRlimit = Annotated[int, Meta(ge=0, le=2**50, extra={"kind": Kind.SIZE_RLIMIT})]
#: Memory for the last lines of a process; 0 keeps none.
RingSize = Annotated[int, Meta(ge=0, le=2**30, extra={"kind": Kind.SIZE})]

Count = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
#: A number; 0 means not set.
CountOrUnset = Annotated[int, Meta(ge=0, le=LARGEST_COUNT, extra={"zero": Zero.UNSET})]


class CpuCount(int):
    """The number of CPUs of this container, for which a file has ``auto``."""


#: How many instances: in a file 0 means not set. The value of ``auto`` is a `CpuCount`.
Scale = Annotated[int, Meta(ge=0, le=LARGEST_COUNT, extra={"kind": Kind.SCALE, "zero": Zero.UNSET_IN_FILE})]
#: A number of attempts: 0, -1 and "unlimited" are no limit.
Attempts = Annotated[int, Meta(ge=0, le=LARGEST_COUNT, extra={"kind": Kind.ATTEMPTS})]
#: Statuses of HTTP: ranges, each with its first and last one.
Statuses = Annotated[tuple[tuple[int, int], ...], Meta(extra={"kind": Kind.STATUSES})]
#: Exit codes of programs, 128 and a signal's number for one that it has ended.
ExitCodes = Annotated[tuple[int, ...], Meta(extra={"kind": Kind.EXIT_CODES})]
#: A file mode creation mask, in octal digits.
Umask = Annotated[int, Meta(ge=0, le=0o777, extra={"kind": Kind.UMASK})]
#: The names of variables that a child inherits, some with ``*`` at their end. In the file also ``inherit``,
#: which is `INHERITS_ALL`, and ``clean``, which is no name.
Inheritance = Annotated[tuple[str, ...], Meta(extra={"kind": Kind.ENVIRONMENT})]
INHERITS_ALL: Final = ("*",)
#: The mode of a file, in octal digits.
FileMode = Annotated[int, Meta(ge=0, le=0o777, extra={"kind": Kind.UMASK})]
PositiveCount = Annotated[int, Meta(ge=1, le=LARGEST_COUNT)]
Port = Annotated[int, Meta(ge=1, le=65535)]
#: A port, or 0 for none.
OptionalPort = Annotated[int, Meta(ge=0, le=65535)]

#: A load: a number, a percentage ("70" and "70%" are the same), or a size ("256M").
Amount = Annotated[float, Meta(gt=0, le=1e15, extra={"kind": Kind.AMOUNT})]

#: Program and arguments: a list, or a string that is split as a shell would.
Command = Annotated[tuple[str, ...], Meta(extra={"kind": Kind.COMMAND})]
#: A signal's name as in "SIGTERM"; the file may leave out SIG, or give the number.
SignalName = Annotated[str, Meta(extra={"kind": Kind.SIGNAL})]
#: A text that means something when it is empty.
TextOrEmpty = Annotated[str, Meta(extra={"empty": True})]
#: An address to listen on; "" (in the file also "all" or "*") is every address of the machine.
Host = Annotated[str, Meta(extra={"kind": Kind.HOST})]
