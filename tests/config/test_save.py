"""What was edited is written into the file, and nothing else of it is touched."""

from __future__ import annotations

import difflib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.config.edit import Edits
from cbox_init.config.load import examine, examine_text
from cbox_init.config.masking import masked
from cbox_init.config.patch import drop, put
from cbox_init.config.save import saved
from cbox_init.container import Capacity, LimitSource
from cbox_init.errors import NotSaved
from tests.attacker import NOBODY, Swapper, untouched
from tests.config.helpers import config_of
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path

#: Three CPUs, which no process of these files has as its scale.
MACHINE = Capacity(2**30, LimitSource.HOST, 2.5, LimitSource.CGROUP_V2)
ENVIRON = {"DB_PASSWORD": "hush", "LEVEL": "debug", "ARG": "x"}

FILE = """\
# The stack.
global:   # of all
    api_auth: ${TOKEN:-0123456789abcdef}
    log_level:    ${LEVEL}

processes:

    # The database.
    db:
        command: [ postgres, '-D', "/data" ]   # where it is

    # What people see.
    web:
        command: ["web", "--password", "${DB_PASSWORD}", '${ARG}']
        scale:   2     # a pair
        env:
            MODE: 0755
            COUNTRY: no
            "QUOTED": 'single'     # so it is
            PASSWORD: ${DB_PASSWORD}
        # Behind the environment.
        depends_on:
        - db

    flow: {command: [run, ${ARG}], env: {A: ${ARG}, B: two}, scale: 1}   # on one line
    # The end.
"""


def save(tmp_path: Path, text: str, **changes: dict[str, object] | None) -> list[str]:
    """The lines that differ, after processes were given other keys (None: were removed)."""
    file = tmp_path / "cbox-init.yaml"
    file.write_bytes(text.encode())
    base = config_of(examine(str(file), ENVIRON))
    edits = Edits(base)
    for name, change in changes.items():
        if change is None:
            edits = edits.removed(name)
        elif name in base.processes:
            whole = {**masked(base.processes[name]), **change}
            edits = edits.updated(name, whole, ENVIRON)  # type: ignore[arg-type]
        else:
            edits = edits.added(name, change, ENVIRON)  # type: ignore[arg-type]
    saved(str(file), edits, ENVIRON)
    after = file.read_bytes().decode()
    assert config_of(examine(str(file), ENVIRON)).processes == edits.config.processes
    lines = difflib.ndiff(text.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


LIMITED = """\
processes:
  web:
    command: [web]
    limits: {memory: 64MiB}   # not much
  db:
    command: [db]
    limits:
      nofile: 100       # for both
      core: {soft: 0, hard: unlimited}
"""


@pytest.mark.parametrize(
    ("name", "limits", "lines"),
    [
        ("db", {"nofile": 100, "core": {"soft": 0, "hard": "unlimited"}}, []),
        ("db", {"nofile": {"soft": 100, "hard": 100}, "core": {"soft": 0, "hard": "unlimited"}}, []),
        (
            "db",
            {"nofile": 200, "core": {"soft": 0, "hard": "unlimited"}},
            ["-       nofile: 100       # for both", "+       nofile: 200       # for both"],
        ),
        ("db", {"nofile": {"soft": 5, "hard": 10}, "core": 0}, None),
        ("db", {"core": "unlimited"}, None),
        ("web", {"memory": "64MiB", "nofile": {"soft": 1, "hard": "unlimited"}}, None),
        ("web", {"memory": 1 << 30, "nofile": 7, "nproc": "unlimited"}, None),
        ("web", None, ["-     limits: {memory: 64MiB}   # not much"]),
    ],
)
def test_a_limit_for_both_or_for_each(
    tmp_path: Path, name: str, limits: dict[str, object] | None, lines: list[str] | None
) -> None:
    change: dict[str, object] = {"limits": limits}
    changed = save(tmp_path, LIMITED, **{name: change})
    assert lines is None or changed == lines


def test_nothing_changed(tmp_path: Path) -> None:
    assert save(tmp_path, FILE) == []
    assert save(tmp_path, FILE, web={}) == []


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"scale": 3}, ["-         scale:   2     # a pair", "+         scale: 3     # a pair"]),
        ({"scale": 1, "max_scale": 4}, None),
        ({"user": "www"}, ["+         user: www"]),
        (
            {"env": {"MODE": "0644", "COUNTRY": "no", "QUOTED": "single", "PASSWORD": "***"}},
            ["-             MODE: 0755", "+             MODE: '0644'"],
        ),
        (
            {"env": {"MODE": "0755", "QUOTED": "single", "PASSWORD": "***", "NEW": "a: b"}},
            ["-             COUNTRY: no", "+             NEW: 'a: b'"],
        ),
        ({"depends_on": []}, ["-         depends_on:", "+         depends_on: []", "-         - db"]),
        (
            {"command": ["web", "--other", "hush", "x"]},
            [
                """-         command: ["web", "--password", "${DB_PASSWORD}", '${ARG}']""",
                """+         command: ["web", --other, "${DB_PASSWORD}", '${ARG}']""",
            ],
        ),
        ({"shutdown": {"timeout": "20s"}}, ["+         shutdown:", "+           timeout: 20s"]),
        ({"command": "one two"}, None),
        ({"env": None}, None),
        ({"env": {"TEXT": "two\nlines", "EMPTY": "", "NULL": "null", "HASH": "a # b"}}, None),
    ],
)
def test_one_change(tmp_path: Path, change: dict[str, object], lines: list[str] | None) -> None:
    differing = save(tmp_path, FILE, web=change)
    assert lines is None or [line for line in differing if line[0] != "?"] == lines
    assert "hush" not in (tmp_path / "cbox-init.yaml").read_text()


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"scale": 0}, ["+     scale: 'off'"]),
        ({"scale": "0"}, ["+     scale: 'off'"]),
        ({"scale": "auto"}, ["+     scale: auto"]),
        ({"dependency_timeout": "never"}, ["+     dependency_timeout: never"]),
        ({"user": ""}, ["-     user: root"]),
        ({"health_check": {}}, ["-     health_check: {address: 'a:1'}"]),
        ({"health_check": {"type": "", "initial_delay": 0}}, ["-     health_check: {address: 'a:1'}"]),
    ],
)
def test_what_is_not_set_or_0_or_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], lines: list[str]
) -> None:
    monkeypatch.setattr("cbox_init.container.read_capacity", lambda: MACHINE)
    text = "processes:\n  web:\n    command: [a]\n    user: root\n    health_check: {address: 'a:1'}\n"
    assert save(tmp_path, text, web=change) == lines


def test_a_process_with_every_key_at_its_zero_is_saved_without_them(tmp_path: Path) -> None:
    zeros: dict[str, object] = {"command": ["a"], "scale": 0, "user": "", "env": {}, "health_check": None}
    lines = save(tmp_path, "processes:\n  web: {command: a}\n", b={**zeros, "depends_on": [], "schedule": ""})
    assert lines == ["+   b:", "+     command: [a]", "+     scale: 'off'"]


def test_in_a_flow_mapping(tmp_path: Path) -> None:
    lines = save(tmp_path, FILE, flow={"scale": 2, "env": {"A": "x", "C": "3"}, "user": "www"})
    assert [line[2:] for line in lines if line[0] == "+"] == [
        "    flow: {command: [run, ${ARG}], env: {A: ${ARG}, C: '3'}, scale: 2, user: www}   # on one line"
    ]


def test_added_and_removed(tmp_path: Path) -> None:
    queue: dict[str, object] = {"command": ["run", "${DB_PASSWORD}"], "env": {"A": "yes"}, "scale": 2}
    assert save(tmp_path, FILE, queue=queue, flow=None) == [
        "-     flow: {command: [run, ${ARG}], env: {A: ${ARG}, B: two}, scale: 1}   # on one line",
        "+     queue:",
        "+       command: [run, '${DB_PASSWORD}']",
        "+       env:",
        "+         A: 'yes'",
        "+       scale: 2",
    ]


def test_a_removed_block_goes_whole_and_comments_of_others_stay(tmp_path: Path) -> None:
    lines = save(tmp_path, FILE, web=None)
    assert all(line[0] == "-" for line in lines)
    text = (tmp_path / "cbox-init.yaml").read_text()
    assert "# The database." in text
    assert "# The end." in text
    assert "flow: {" in text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_line_ends_and_marks_stay(tmp_path: Path, newline: str, bom: str) -> None:
    text = bom + FILE.replace("\n", newline)
    save(tmp_path, text, web={"user": "www", "scale": 7})
    after = (tmp_path / "cbox-init.yaml").read_bytes().decode()
    assert after.startswith(bom + "# The stack.")
    assert after.count("\r\n") == (after.count("\n") if newline == "\r\n" else 0)


@pytest.mark.parametrize(
    "text",
    [
        "processes: {web: {command: a}}",
        "processes: {web: {command: a,},}\n",
        "processes:\n  web: {command: a}",
        "processes:\n  web:\n    command: a",
        "processes:\n  web:\n    command: |\n      a\n      b\n\n# end\n",
        "processes:\n  web:\n    env:\n    command: a\n    scale:\n",
        "---\nprocesses:\n  web:\n    command:\n      - a\n...\n---\nother: 1\n",
        "processes:\n  web: &w\n    command: a\n  b:\n    <<: *w\n    command: c\nglobal: {}\n",
        '"processes":\n  "web":\n    "command": a # c\n\n\n',
    ],
)
def test_forms_of_files(tmp_path: Path, text: str) -> None:
    save(tmp_path, text, web={"command": "x"}, new={"command": "n"})


def test_what_is_shared_is_not_changed_for_others(tmp_path: Path) -> None:
    text = (
        "processes:\n  a: {command: a, env: &e {X: '1'}}\n  b: {command: b, env: *e}\n"
        "  c: &c {command: c, user: x}\n  d:\n    <<: *c\n    command: d\n"
    )
    for change in ({"a": {"env": {"X": "2"}}}, {"b": {"env": {"X": "2"}}}, {"c": {"user": "y"}}):
        with pytest.raises(NotSaved, match="edit the file by hand"):
            save(tmp_path, text, **change)
        assert (tmp_path / "cbox-init.yaml").read_text() == text
    save(tmp_path, text, d={"user": None})
    assert "user: null" in (tmp_path / "cbox-init.yaml").read_text()


def test_older_names_give_way(tmp_path: Path) -> None:
    text = "processes:\n  a:\n    command: a\n    schedule: '@daily'\n    timeout: 5\n"
    lines = save(tmp_path, text, a={"schedule_timeout": 7})
    assert lines == ["-     timeout: 5", "+     schedule_timeout: 7"]


def test_mode_owner_and_link_stay(tmp_path: Path) -> None:
    real = tmp_path / "real" / "config.yaml"
    real.parent.mkdir()
    real.write_text(FILE)
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 1234, 4321)
    before = real.stat()
    link = tmp_path / "link.yaml"
    link.symlink_to("real/config.yaml")
    base = config_of(examine(str(link), ENVIRON))
    saved(str(link), Edits(base).removed("flow"), ENVIRON)
    after = real.stat()
    assert link.is_symlink()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o640)
    assert after.st_ino != before.st_ino
    assert os.listdir(real.parent) == ["config.yaml"]


def test_the_file_may_have_been_edited_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(FILE)
    edits = Edits(config_of(examine(str(file), ENVIRON))).added("q", {"command": "q"}, ENVIRON)
    file.write_text(FILE.replace("# The end.", "# By hand.").replace("scale:   2", "scale:   9"))
    saved(str(file), edits, ENVIRON)
    processes = config_of(examine(str(file), ENVIRON)).processes
    assert (processes["web"].scale, processes["q"].command) == (9, ("q",))
    assert "# By hand." in file.read_text()


@as_root
@pytest.mark.parametrize("what", ["file", "folder", "hard"])
def test_a_link_of_another_user_is_not_written_to(
    theirs: Path, public_path: Path, tmp_path: Path, what: str
) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    real = ours / "c.yaml"
    real.write_text(FILE)
    real.chmod(0o600)
    edits = Edits(config_of(examine(str(real), ENVIRON))).removed("flow")
    path = theirs / "ours" / "c.yaml" if what == "folder" else theirs / "c.yaml"
    if what == "hard":
        os.link(real, path)
    else:
        link = theirs / "ours" if what == "folder" else path
        link.symlink_to(ours if what == "folder" else real)
        os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(NotSaved, match=r"cannot save [^:]+: refused, [^:]+: (it is a file|uid 65534 made)"):
        saved(str(path), edits, ENVIRON)
    assert real.read_text() == FILE
    assert os.listdir(ours) == ["c.yaml"]


@as_root
def test_links_at_the_name_that_is_written_first_are_not_followed(theirs: Path, secret: Path) -> None:
    file = theirs / "c.yaml"
    file.write_text(FILE)
    os.chown(file, NOBODY, NOBODY)
    (theirs / f"c.yaml.{os.getpid()}.tmp").symlink_to(secret)
    saved(str(file), Edits(config_of(examine(str(file), ENVIRON))).removed("flow"), ENVIRON)
    assert "flow" not in file.read_text()
    assert file.stat().st_uid == NOBODY
    assert os.listdir(theirs) == ["c.yaml"]
    assert untouched(secret)


@as_root
def test_the_folder_is_swapped_while_it_is_saved(theirs: Path, public_path: Path) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (ours / "c.yaml").write_text(FILE)
    edits = Edits(config_of(examine(str(ours / "c.yaml"), ENVIRON))).removed("flow")
    path = theirs / "conf" / "c.yaml"
    with Swapper(theirs / "conf", ours, directory=True) as swapper:
        while swapper.turns < 1000:
            swapper.check()
            with suppress(NotSaved):
                saved(str(path), edits, ENVIRON)
    assert (ours / "c.yaml").read_text() == FILE
    assert os.listdir(ours) == ["c.yaml"]


@pytest.mark.parametrize("what", ["gone", "directory", "broken", "read-only"])
def test_where_it_cannot_be_saved(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(FILE)
    edits = Edits(config_of(examine(str(file), ENVIRON))).removed("flow")
    if what == "read-only":

        def refuse(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("os.rename", refuse)
    elif what == "broken":
        file.write_text("processes: {web: [")
    else:
        file.unlink()
        if what == "directory":
            file.mkdir()
    with pytest.raises(NotSaved, match="cannot save") as caught:
        saved(str(file), edits, ENVIRON)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ([] if what == "gone" else ["c.yaml"])
    if what == "read-only":
        assert file.read_text() == FILE


#: A file with references may not hold these noncharacters: they stand for signs while it is read.
RESERVED = "".join(chr(0xFDD0 + place) for place in range(7))
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff" + RESERVED), max_size=12
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(texts.filter(lambda t: t and "=" not in t and t != "<<"), texts, max_size=4))
def test_any_text_is_read_as_it_was_written(env: dict[str, str]) -> None:
    env = {key: value for key, value in env.items() if "${" not in key + value}
    text = FILE
    for key, value in env.items():
        text = put(text, ("processes", "web", "env", key), value)
    text = put(text, ("processes", "new"), {"command": ["a"], "env": dict(env)})
    config = examine_text(text, "f", ENVIRON).config
    assert config is not None
    assert config.processes["new"].env == env
    assert {key: config.processes["web"].env[key] for key in env} == env
    for key in env:
        text = drop(text, ("processes", "web", "env", key))
    for key in config.processes["web"].env.keys() - env.keys():
        assert f"{key}" in text
