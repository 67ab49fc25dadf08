"""Lines that are shown once: the tail, and the stream that overlaps it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.cli.logs import unseen
from cbox_init.cli.unknown import unknown_process
from cbox_init.client import MissedEvent
from tests.client.fake import line


def test_lines_of_the_tail_are_not_shown_again() -> None:
    a, b, c = line("a"), line("b", 1), line("c", 2)
    assert list(unseen([b, c], [a, b])) == [c]
    assert list(unseen([b, b, MissedEvent(2), c], [b])) == [b, MissedEvent(2), c]


_texts = st.lists(st.sampled_from("abc"), max_size=8)


@settings(deadline=None)
@given(_texts, _texts, _texts, st.integers(0, 16))
def test_every_line_from_the_tail_on_is_shown_once(
    before: list[str], between: list[str], after: list[str], tail: int
) -> None:
    """Lines of one block carry one time, so that equal ones cannot be told apart; each still counts."""
    old, both, new = (
        [line(text, time) for text in texts] for time, texts in enumerate((before, between, after))
    )
    shown = [*old, *both][-tail:] if tail else []
    rest = list(unseen([*both, *new], shown))
    older = shown[: -len(both)] if both else shown
    assert Counter([*shown, *rest]) == Counter([*older, *both, *new])


def test_unknown_names() -> None:
    assert unknown_process("wbe", ["web", "db"]) == "no process is named 'wbe'; did you mean 'web'?"
    assert unknown_process("zzz", ["web", "db"]) == "no process is named 'zzz'; there are web, db"
    assert unknown_process("zzz", []) == "no process is named 'zzz'; there is none at all"
    many = [f"queue-{number}" for number in range(12)]
    assert unknown_process("zzz", many).endswith("queue-8, queue-9 and 2 more")
