"""The chain: whatever is done to the lines is found, at the first line that is wrong."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.audit.chain import NO_HASH, START, BrokenLineError, find_end, read_sealed, seal
from cbox_init.audit.verify import AuditReport, ChainReader, LinePlace, NumberedLine, Verdict
from tests.audit.trails import body, sealed


def verdict(data: bytes, *anchors: str) -> AuditReport:
    lines = data.splitlines(keepends=True)
    return ChainReader().check(
        (NumberedLine(LinePlace("f", number), line) for number, line in enumerate(lines, 1)), anchors
    )


def test_a_record_has_the_hash_of_the_one_before() -> None:
    first, link = seal(body(), START)
    second, _ = seal(body(), link)
    shown = [json.loads(line) for line in (first, second)]
    assert [one["seq"] for one in shown] == [1, 2]
    assert [one["prev"] for one in shown] == [NO_HASH, shown[0]["hash"]]
    assert list(shown[0])[-2:] == ["prev", "hash"]


def test_the_hash_is_that_of_sha256sum() -> None:
    """What is documented: all bytes of the line before ``,"hash":``."""
    line, link = seal(body(), START)
    sealed_part = line.partition(b',"hash":')[0]
    assert hashlib.sha256(sealed_part).hexdigest() == link.hash


def test_a_whole_chain_is_intact() -> None:
    lines, link = sealed(5)
    report = verdict(b"".join(lines))
    assert (report.verdict, report.records, report.last) == (Verdict.INTACT, 5, link)
    assert report.notes == ()


LINES, LAST = sealed(6)
WHOLE = b"".join(LINES)
FIRST = read_sealed(LINES[0]).hash


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found_where_it_is(at: int, by: int) -> None:
    changed = bytearray(WHOLE)
    changed[at] = (changed[at] + by) % 256
    report = verdict(bytes(changed))
    assert report.verdict is not Verdict.INTACT
    number = WHOLE.count(b"\n", 0, at) + 1
    assert report.place == LinePlace("f", number)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, len(WHOLE)))
def test_any_removed_bytes_are_found(at: int, size: int) -> None:
    report = verdict(WHOLE[:at] + WHOLE[at + size :], FIRST, LAST.hash)
    assert report.verdict is not Verdict.INTACT


@given(st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=200))
def test_any_inserted_bytes_are_found(at: int, what: bytes) -> None:
    assert verdict(WHOLE[:at] + what + WHOLE[at:]).verdict is not Verdict.INTACT


@given(st.permutations(range(6)))
def test_any_other_order_is_found(order: list[int]) -> None:
    report = verdict(b"".join(LINES[index] for index in order))
    assert (report.verdict is Verdict.INTACT) is (order == sorted(order))


@given(st.lists(st.integers(0, 5), max_size=8))
def test_any_choice_of_records_is_found(chosen: list[int]) -> None:
    """Also when some of them are repeated or left out; the anchors say where the chain begins and ends."""
    report = verdict(b"".join(LINES[index] for index in chosen), FIRST, LAST.hash)
    assert (report.verdict is Verdict.INTACT) is (chosen == [0, 1, 2, 3, 4, 5])


@given(st.integers(0, 4), st.binary(max_size=30))
def test_a_record_that_is_sealed_again_is_found_at_the_next(index: int, text: bytes) -> None:
    """Who rewrites a record with a hash that fits has to rewrite all that follow."""
    before = read_sealed(LINES[index - 1]).link if index else START
    forged, _ = seal(body(99, {"forged": text.hex()}), before)
    report = verdict(b"".join([*LINES[:index], forged, *LINES[index + 1 :]]))
    assert report.verdict is Verdict.BROKEN
    assert report.place == LinePlace("f", index + 2)
    assert report.problem is not None and "one of them was replaced" in report.problem


def test_each_kind_of_break_has_its_words() -> None:
    def said(*lines: bytes) -> str:
        report = verdict(b"".join(lines))
        return f"{report.place}: {report.problem}"

    one, two, three, four = LINES[:4]
    assert said(one, four) == "f:2: records 2 to 3 are missing before record 4: removed or moved"
    assert said(one, three) == "f:2: record 2 is missing before record 3: removed or moved"
    assert said(one, two, one) == "f:3: record 1 stands behind record 2: repeated, moved or inserted"
    assert said(one, b"\n", two) == "f:2: the line is empty"
    assert said(one, b"hello\n", two) == "f:2: the line is no audit record"
    assert (
        said(one.replace(b"process", b"qrocess"), two) == "f:1: the line was changed: its hash does not fit"
    )
    assert said(one, two[:-9]) == "f:2: the line is incomplete: it was cut short, by a crash or by hand"
    assert verdict(one + two[:-1]).verdict is Verdict.INCOMPLETE


def test_a_chain_without_its_begin_is_noted() -> None:
    report = verdict(b"".join(LINES[2:]))
    assert report.verdict is Verdict.INTACT
    assert report.notes == ("f:1: begins with record 3; those before are not in these files",)


def test_a_second_chain_is_a_break_in_a_file_and_a_start_in_a_log() -> None:
    lines = [NumberedLine(LinePlace("f", 1), LINES[0])] * 2
    assert ChainReader().check(lines).verdict is Verdict.BROKEN
    assert ChainReader(restarts=True).check(lines).verdict is Verdict.INTACT


@given(st.binary(max_size=300))
def test_the_end_of_any_file_can_be_found(torn: bytes) -> None:
    link, end = find_end(WHOLE + torn)
    assert (link, end) == (LAST, len(WHOLE))


@given(st.binary(max_size=300))
def test_what_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(BrokenLineError):
        read_sealed(line)
    assert find_end(line) == (None, 0)
