"""Lines of a log as people see them."""

from __future__ import annotations

import pytest

from cbox_init.cli.console import TextStyle
from cbox_init.cli.log_lines import LineFormat, log_line, process_style
from tests.client.fake import line

PLAIN = LineFormat()


def text(message: str, line_format: LineFormat = PLAIN, **values: str) -> str:
    return "".join(span.text for span in log_line(line(message, 123_456_789, **values), line_format))


def test_a_line() -> None:
    assert text("hello  world", level="warn") == "2026-11-24T09:08:03.123Z web-0 WARN  hello  world"
    assert text("x", timestamp="2026-11-24T09:08:03+01:00") == "2026-11-24T09:08:03+01:00 web-0 INFO  x"
    assert text("x", LineFormat(timestamps=False)) == "web-0 INFO  x"


@pytest.mark.parametrize(
    ("searched", "ignore_case", "message", "marked"),
    [
        ("an", False, "banana An", ["an", "an"]),
        ("an", True, "banana An", ["an", "an", "An"]),
        ("a.*", False, "a.* abc", ["a.*"]),
        ("(a+)+$", True, "a" * 100_000 + "!", []),
        ("straße", True, "STRASSE", []),
        ("", False, "anything", []),
    ],
)
def test_what_was_searched_for_is_marked(
    searched: str, ignore_case: bool, message: str, marked: list[str]
) -> None:
    line_format = LineFormat.of(timestamps=True, text=searched, ignore_case=ignore_case)
    assert text(message, line_format).endswith(f"INFO  {message}")
    spans = log_line(line(message), line_format)[3:]
    assert [span.text for span in spans if span.style] == marked


def test_a_process_keeps_its_colour_and_its_instances_share_it() -> None:
    def colours(process: str, instance: str) -> TextStyle | None:
        return log_line(line("x", process=process, instance=instance), PLAIN)[1].style

    assert colours("web", "web-0") == colours("web", "web-1") == process_style("web") == TextStyle("green")
    names = [f"process-{number}" for number in range(50)]
    assert len({process_style(name) for name in names}) > 5
    assert process_style("\udcff")
