"""Which file is which, held against a directory that a test renames files in."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from cbox_init.logs.follow.names import FileGeneration, FileNames
from cbox_init.system.inotify import CREATE, DELETE, MOVED_FROM, MOVED_TO, InotifyEvent

NAMES = ("app.log", "app.log.1", "app.log.2", "other")

STEPS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("away"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("hither"), st.sampled_from(NAMES), st.just("")),
)


@given(st.lists(STEPS, max_size=60))
def test_a_name_leads_to_the_file_that_has_it(steps: list[tuple[str, str, str]]) -> None:
    names = FileNames("app.log")
    files: dict[str, int] = {}
    followed: dict[int, FileGeneration] = {}
    numbers, cookies = count(), count(1)

    def tell(mask: int, name: str, cookie: int = 0) -> None:
        generation = names.apply(InotifyEvent(1, mask, cookie, name))
        if generation is not None:
            followed[files[name]] = generation

    for kind, name, to in steps:
        if kind == "create" and name not in files:
            files[name] = next(numbers)
            tell(CREATE, name)
        elif kind == "delete" and name in files:
            del files[name]
            tell(DELETE, name)
        elif kind == "rename" and name in files and name != to:
            files[to] = files.pop(name)
            cookie = next(cookies)
            tell(MOVED_FROM, name, cookie)
            tell(MOVED_TO, to, cookie)
        elif kind == "away" and name in files:
            del files[name]
            tell(MOVED_FROM, name, next(cookies))
        elif kind == "hither":
            files[name] = next(numbers)
            tell(MOVED_TO, name, next(cookies))
        by_number = {number: where for where, number in files.items()}
        for number, generation in followed.items():
            assert generation.name == by_number.get(number)
        current = names.current
        assert (current is not None) == ("app.log" in files)
        if current is not None:
            assert followed[files["app.log"]] is current


def test_between_the_halves_of_a_rename_it_is_not_lost() -> None:
    names = FileNames("app.log")
    generation = names.appear()
    names.apply(InotifyEvent(1, MOVED_FROM, 7, "app.log"))
    assert (generation.name, generation.lost) == (None, False)
    names.apply(InotifyEvent(1, MOVED_TO, 7, "app.log.1"))
    assert (generation.name, generation.lost) == ("app.log.1", False)
    names.apply(InotifyEvent(1, DELETE, 0, "app.log.1"))
    assert generation.lost


def test_those_that_went_elsewhere_are_given_up_in_the_end() -> None:
    names = FileNames("app.log")
    first = names.appear()
    for cookie in range(100):
        names.apply(InotifyEvent(1, MOVED_FROM, cookie, "app.log"))
        names.appear()
    assert first.lost


def test_after_a_reset_nothing_has_a_name() -> None:
    names = FileNames("app.log")
    first = names.appear()
    names.reset()
    assert first.lost
    assert names.current is None
