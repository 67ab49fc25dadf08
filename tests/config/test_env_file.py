"""Files of variables: what Docker Compose reads in them, and what is wrong with them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config import env_file
from cbox_init.config.env_file import FileFault, FileReader, parse_env_file, parse_raw_env_file

if TYPE_CHECKING:
    from pathlib import Path

OUTSIDE = {"HOME": "/root", "EMPTY": "", "USER": "me"}


def parsed(text: str) -> dict[str, str]:
    return parse_env_file(text, OUTSIDE.get)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
        ("\n  # comment\n\tA = b  \n", {"A": "b"}),
        ("export A=b\nexport  C=d", {"A": "b", "C": "d"}),
        ("A: b", {"A": "b"}),
        ("A=", {"A": ""}),
        ("A= # nothing", {"A": ""}),
        ("A=b # comment", {"A": "b"}),
        ("A=b#no", {"A": "b#no"}),
        ("A=b c", {"A": "b c"}),
        ("A='b # c'", {"A": "b # c"}),
        ("A='b' # c", {"A": "b"}),
        ('A="b\\tc\\n" # d', {"A": "b\tc\n"}),
        (r"A='it\'s $HOME \n'", {"A": r"it's $HOME \n"}),
        (r'A="say \"no\" \\ \$HOME \x"', {"A": r'say "no" \ $HOME \x'}),
        (r'A="\0101"', {"A": "A"}),
        ("A='one\ntwo'\nB=c", {"A": "one\ntwo", "B": "c"}),
        ('A="one\n# two"\nB=c', {"A": "one\n# two", "B": "c"}),
        ("A=$HOME/x", {"A": "/root/x"}),
        ("A=${HOME}/x", {"A": "/root/x"}),
        ("A=$$HOME", {"A": "$HOME"}),
        ("A=${NONE}", {"A": ""}),
        ("A=${NONE:-b}${EMPTY:-c}${EMPTY-d}", {"A": "bc"}),
        ("A=${NONE:-${HOME:-x}}", {"A": "/root"}),
        ("A=${HOME:+b}${NONE+c}", {"A": "b"}),
        ("A=b\nC=${A}d", {"A": "b", "C": "bd"}),
        ("HOME=x\nA=$HOME", {"HOME": "x", "A": "/root"}),
        ("A=1\nA=2", {"A": "2"}),
        ("USER\nNONE\nA=b", {"USER": "me", "A": "b"}),
        ("A.b-c=d", {"A.b-c": "d"}),
        ("A={b}", {"A": "{b}"}),
        ("A=5$", {"A": "5$"}),
        ("", {}),
    ],
)
def test_what_compose_reads(text: str, variables: dict[str, str]) -> None:
    assert parsed(text) == variables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=b\n=c", "line 2 does not begin with the name of a variable"),
        ("A=b\n\n1A=c", "line 3 does not begin with the name of a variable"),
        ("A B", "line 1 has something other than = after the name"),
        ("A=b\nC='s3cr3t", "line 2 opens a quote that is not closed"),
        ('A="b\nc" s3cr3t', "line 2 has text after the closing quote"),
        ("A='x\ny'\nB=${", "line 3 has an invalid reference"),
        ("B=${A:-s3cr3t", "line 1 has a reference to A that is not closed"),
        ("B=${A:?s3cr3t}", "line 1 needs A, which is not set"),
        ("A=" + "${A:-" * 20, "line 1 has more than 16 references in one another"),
        ("A=" + "x" * 200_000, "line 1 has a value longer than 128 KiB"),
    ],
)
def test_what_is_wrong_names_the_line_and_no_value(text: str, message: str) -> None:
    with pytest.raises(FileFault) as found:
        parsed(text)
    assert str(found.value) == message
    assert "s3cr3t" not in found.value.hint
    assert found.value.hint


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A='b' # c ", {"A": "'b' # c "}),
        ('\t A="$HOME ${USER:-x} \\n"', {"A": '"$HOME ${USER:-x} \\n"'}),
        ("# A=b\n\n  # C=d\r\nE=f\r\nE==g\n", {"E": "=g"}),
        ("a.b-c=\nexport=1", {"a.b-c": "", "export": "1"}),
        ("USER\nEMPTY\nNONE", {"USER": "me", "EMPTY": ""}),
        ("A=x\x0cy\u2028z", {"A": "x\x0cy\u2028z"}),
        ("", {}),
    ],
)
def test_what_compose_reads_raw(text: str, variables: dict[str, str]) -> None:
    assert parse_raw_env_file(text, OUTSIDE.get) == variables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=b\n=s3cr3t", "line 2 does not begin with the name of a variable"),
        ("export A=s3cr3t", "line 1 has a blank in the name of its variable"),
        ("A =s3cr3t", "line 1 has a blank in the name of its variable"),
        ("A=b\nC=" + "x" * 200_000, "line 2 has a value longer than 128 KiB"),
        ("\n".join(f"A{n}=" for n in range(10_001)), "line 10001 is one of more than 10000 variables"),
    ],
)
def test_what_is_wrong_in_a_raw_file(text: str, message: str) -> None:
    with pytest.raises(FileFault) as found:
        parse_raw_env_file(text, OUTSIDE.get)
    assert str(found.value) == message
    assert found.value.hint


@given(st.text(alphabet="A=$\\{}:-?+\"'# \nb"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed(text)
    except FileFault as fault:
        assert str(fault).startswith("line ")


@pytest.mark.parametrize(
    "text", ["A=${B:-" * 3 + "${B:-" * 40_000, "A=" + "$" * 100_000, 'A="' + "\\" * 99_999]
)
def test_the_work_is_linear(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(FileFault):
        parse_env_file(text + "\n'", OUTSIDE.get)
    assert time.process_time() - begin < 1.0


def reason(path: Path, most: int = 100) -> str:
    with pytest.raises(FileFault) as found:
        FileReader().text(str(path), most)
    return str(found.value).replace(str(path), "FILE")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert reason(tmp_path / "none") == "cannot read FILE: No such file or directory"
    assert reason(tmp_path) == "FILE is a directory"
    pipe, latin, zero, large = (tmp_path / name for name in ("pipe", "latin", "zero", "large"))
    os.mkfifo(pipe)
    assert reason(pipe) == "FILE is not a regular file"
    latin.write_bytes(b"A=b\nC=\xff")
    assert reason(latin) == "line 2 of FILE contains a byte that is not UTF-8"
    zero.write_bytes(b"A=\0")
    assert reason(zero) == "line 1 of FILE contains a NUL byte"
    large.write_bytes(b"A" * 2048)
    assert reason(large, 1023) == "FILE is larger than 1 KiB"
    assert reason(tmp_path / "a\0b").startswith("cannot read ")


def test_a_file_system_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    stuck = Event()
    monkeypatch.setattr(env_file, "_text", lambda path, most: str(stuck.wait(30)))
    monkeypatch.setattr(env_file, "_READING_S", 0.05)
    try:
        assert reason(tmp_path / "a") == "FILE was not read within 0 s"
    finally:
        stuck.set()


def test_without_a_thread_the_file_is_what_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    (tmp_path / "a").write_text("A=b")
    monkeypatch.setattr("threading.Thread.start", refused)
    assert reason(tmp_path / "a") == "cannot read FILE: no thread can be started for env-file"


def test_any_error_of_a_file_is_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: str, most: int) -> str:
        raise MemoryError

    monkeypatch.setattr(env_file, "_text", fails)
    assert reason(tmp_path / "a") == "cannot read FILE: MemoryError"


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfA=b")
    assert parsed(FileReader().text(str(tmp_path / "a"), 100)) == {"A": "b"}
