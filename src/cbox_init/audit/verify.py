"""Checks files of audit records: whether the chain holds, and where it breaks first."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from cbox_init.audit.chain import LONGEST_LINE, NO_HASH, BrokenLineError, ChainLink, digest_of, read_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from cbox_init.audit.chain import SealedRecord

_MOST_NOTES: Final = 100

#: Behind every number of a record.
_LAST: Final = 2**63


class Verdict(IntEnum):
    """What was found; the exit code of ``cbox-init audit verify``. 1 is that of every command that fails."""

    INTACT = 0
    BROKEN = 2
    INCOMPLETE = 3


class LinePlace(NamedTuple):
    """A line of a file, from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class AuditReport(NamedTuple):
    """``problem`` says what is wrong at ``place``; both are None when the chain holds.

    ``first`` and ``last`` are the links of the first and the last record that were read.
    """

    verdict: Verdict
    records: int
    first: ChainLink | None
    last: ChainLink | None
    place: LinePlace | None
    problem: str | None
    notes: tuple[str, ...]


class NumberedLine(NamedTuple):
    """A line with its end, if it has one."""

    place: LinePlace
    data: bytes


class _BreakError(Exception):
    def __init__(self, place: LinePlace, problem: str) -> None:
        super().__init__(problem)
        self.place = place


class ChainReader:
    """Follows the chain through lines. ``restarts``: each start of the daemon may begin a chain (logs)."""

    def __init__(self, *, restarts: bool = False) -> None:
        self._restarts = restarts
        self._records = 0
        self._first: ChainLink | None = None
        self._last: ChainLink | None = None
        self._notes: list[str] = []
        self._unread: list[NumberedLine] = []
        self._reason = ""

    def check(self, lines: Iterable[NumberedLine], anchors: Iterable[str] = ()) -> AuditReport:
        """Read all lines, up to the first that breaks the chain.

        Each of ``anchors`` is the hash of a record that must be among them.
        """
        missing = set(anchors)
        place: LinePlace | None = None
        try:
            for line in lines:
                place = line.place
                try:
                    record = read_sealed(line.data)
                except BrokenLineError as error:
                    # It may be what a crash has left: the next record says so then.
                    if not self._unread:
                        self._reason = str(error)
                    self._unread.append(line)
                    if sum(len(one.data) for one in self._unread) > LONGEST_LINE * 8:
                        raise self._unreadable() from None
                else:
                    self._follow(record, line)
                    missing.discard(record.hash)
        except _BreakError as broken:
            return self._report(Verdict.BROKEN, broken.place, str(broken))
        if self._unread:
            end = self._unreadable()
            if len(self._unread) == 1 and not self._unread[0].data.endswith(b"\n"):
                problem = f"{end}: it was cut short, by a crash or by hand"
                return self._report(Verdict.INCOMPLETE, end.place, problem)
            return self._report(Verdict.BROKEN, end.place, str(end))
        if missing:
            lost = ", ".join(sorted(missing))
            problem = f"there is no record with the hash {lost}: records before or after these were removed"
            return self._report(Verdict.BROKEN, place, problem)
        return self._report(Verdict.INTACT, None, None)

    def _report(self, verdict: Verdict, place: LinePlace | None, problem: str | None) -> AuditReport:
        return AuditReport(
            verdict, self._records, self._first, self._last, place, problem, tuple(self._notes)
        )

    def _unreadable(self) -> _BreakError:
        return _BreakError(self._unread[0].place, f"the line {self._reason}")

    def _follow(self, record: SealedRecord, line: NumberedLine) -> None:
        place, last = line.place, self._last
        if self._unread:
            self._explain(line.data)
        if last is None:
            self._first = record.link
            if record.seq == 1 and record.prev != NO_HASH:
                raise _BreakError(place, "record 1 does not begin a chain")
            if record.seq > 1:
                self._note(f"{place}: begins with record {record.seq}; those before are not in these files")
        elif record.seq == 1 and record.prev == NO_HASH and self._restarts:
            self._note(f"{place}: the daemon was started, a chain begins")
        elif record.seq > last.seq + 1:
            missing = f"record {last.seq + 1} is"
            if record.seq > last.seq + 2:
                missing = f"records {last.seq + 1} to {record.seq - 1} are"
            raise _BreakError(place, f"{missing} missing before record {record.seq}: removed or moved")
        elif record.seq <= last.seq:
            problem = f"record {record.seq} stands behind record {last.seq}: repeated, moved or inserted"
            raise _BreakError(place, problem)
        elif record.prev != last.hash:
            problem = f"record {record.seq} does not follow from the one before; one of them was replaced"
            raise _BreakError(place, problem)
        self._records += 1
        self._last = record.link
        if b'"lost":' in line.data and (count := _context(line.data).get("lost")):
            self._note(f"{place}: {count} records could not be written before this one")

    def _explain(self, data: bytes) -> None:
        """Whether the record behind lines that cannot be read says what they are. Raises _BreakError."""
        torn = b"".join(line.data for line in self._unread)
        context = _context(data)
        for found in (torn, torn.removesuffix(b"\n")):
            if context.get("torn_bytes") == len(found) and (context.get("torn_sha256") == digest_of(found)):
                place = self._unread[0].place
                self._note(f"{place}: a write was cut short, as by a crash; the next record says so")
                self._unread.clear()
                return
        raise self._unreadable()

    def _note(self, text: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(text)


def verify_files(paths: Iterable[str], *, anchors: Iterable[str] = (), from_log: bool = False) -> AuditReport:
    """Check the records of files, given in any order: rotated ones have smaller numbers. ``.gz`` is read too.

    ``from_log``: the files are the daemon's log in JSON, in their order. Raises OSError, and EOFError for a
    compressed file that is not complete.
    """
    ordered = list(paths) if from_log else _in_order(paths)
    lines = (line for path in ordered for line in lines_of(path))
    return ChainReader(restarts=from_log).check(_from_log(lines) if from_log else lines, anchors)


def lines_of(path: str) -> Iterator[NumberedLine]:
    """The lines of a file. One that is longer than a record may be comes in pieces."""
    number = 0
    with _open(path) as file:
        while data := file.readline(LONGEST_LINE + 1):
            number += 1
            yield NumberedLine(LinePlace(path, number), data)


def _open(path: str) -> BinaryIO:
    if path.endswith(".gz"):
        import gzip

        return cast("BinaryIO", gzip.open(path))
    return open(path, "rb")


def _in_order(paths: Iterable[str]) -> list[str]:
    """The files in the order of their first records. One without any stands where its name has it."""
    oldest_first = sorted(paths, key=_rotation_of, reverse=True)
    numbers = [_first_number(path) for path in oldest_first]
    for index in range(len(numbers) - 2, -1, -1):
        if numbers[index] is None:
            numbers[index] = numbers[index + 1]
    by_number = sorted(zip(oldest_first, numbers, strict=True), key=lambda one: one[1] or _LAST)
    return [path for path, _ in by_number]


def _rotation_of(path: str) -> int:
    """N of FILE.N and FILE.N.gz, 0 of FILE."""
    number = path.removesuffix(".gz").rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def _first_number(path: str) -> int | None:
    """The number of the first record of a file that can be read, None when there is none."""
    for line in lines_of(path):
        try:
            return read_sealed(line.data).seq
        except BrokenLineError:
            continue
    return None


def _from_log(lines: Iterable[NumberedLine]) -> Iterator[NumberedLine]:
    """The records in a log of the daemon; its other lines are left out."""
    for place, data in lines:
        if b'"audit"' not in data:
            continue
        try:
            record = json.loads(data)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("audit"), str) and "stream" not in record:
            yield NumberedLine(place, record["audit"].encode("utf-8", "replace") + b"\n")


def _context(data: bytes) -> dict[str, object]:
    record = json.loads(data)
    context = record.get("context") if isinstance(record, dict) else None
    return context if isinstance(context, dict) else {}
