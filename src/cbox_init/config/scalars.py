"""Texts that become values. Each function raises ValueError with what it expected."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cbox_init.config.model.kinds import UNLIMITED, CpuCount

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_EXIT_CODE: Final = 255
_UNLIMITED: Final = frozenset(("unlimited", "infinity"))
_TRUE: Final = frozenset(("true", "yes", "on", "1", "y", "t"))
_FALSE: Final = frozenset(("false", "no", "off", "0", "n", "f"))

_UNIT_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_SIZE: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*([kmgt]?)(i?)(b?)", re.ASCII | re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
# More digits than any key takes; beyond some thousands Python refuses to convert at all.
_MOST_DIGITS: Final = 19


def parse_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def parse_int(text: str) -> int:
    digits = text.strip()
    sign, digits = (-1, digits[1:]) if digits[:1] == "-" else (1, digits.removeprefix("+"))
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        raise ValueError("a whole number")
    return sign * int(digits)


def parse_float(text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


def parse_duration(text: str, bare_unit_s: float = 1.0) -> float:
    """Seconds from Go's notation and days ("1m30s", "-1.5h", "7d"), or a number of ``bare_unit_s`` each."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return parse_float(text) * bare_unit_s
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    total, position = 0.0, 0
    while part := _DURATION_PART.match(unsigned, position):
        total += float(part[1]) * _UNIT_S[part[2]]
        position = part.end()
    if not unsigned or position != len(unsigned) or not math.isfinite(total):
        raise ValueError("a duration")
    return -total if text[0] == "-" else total


def parse_size(text: str) -> int:
    """Bytes: "50MB" is 50,000,000, "8 MiB" and "8M" are 8 * 2**20, a bare number is bytes."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError("a size")
    decimal = found[4] and not found[3]
    power = " kmgt".index(found[2].lower() or " ")
    size = float(found[1]) * (1000 if decimal else 1024) ** power
    # Whole numbers are exact up to 2 ** 53, beyond what any key takes.
    return int(size) if math.isfinite(size) else 2**63


def parse_unlimited(text: str, parse: Callable[[str], int], what: str) -> int:
    """A limit that ``parse`` reads, which is ``what``, or `UNLIMITED` for one of its words."""
    if text.strip().lower() in _UNLIMITED:
        return UNLIMITED
    try:
        number = parse(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"{what} or unlimited")
    return number


def parse_attempts(text: str) -> int:
    """A number of attempts; 0 is no limit, as are "-1" and "unlimited"."""
    number = UNLIMITED if text.strip() == "-1" else parse_unlimited(text, parse_int, "a whole number")
    return 0 if number == UNLIMITED else number


def parse_scale(text: str) -> int:
    """A number of instances; "auto" is one for each CPU of this container, a part of a CPU being one."""
    if text.strip().lower() == "auto":
        from cbox_init.container import read_capacity

        return CpuCount(max(1, math.ceil(read_capacity().cpus)))
    try:
        return parse_int(text)
    except ValueError:
        raise ValueError("a whole number or auto") from None


def parse_amount(text: str) -> float:
    """A number, a percentage or a size: "2.5", "70%" and "256M" are 2.5, 70 and 2**28."""
    with suppress(ValueError):
        return parse_float(text.strip().removesuffix("%"))
    try:
        return float(parse_size(text))
    except ValueError:
        raise ValueError("a number, a percentage or a size") from None


def parse_umask(text: str) -> int:
    """The mask of octal digits, as in "022", "0o022" or "0027"."""
    digits = text.strip().lower().removeprefix("0o")
    if not digits or len(digits) > _MOST_DIGITS or not set(digits) <= set("01234567"):
        raise ValueError("an octal number")
    return int(digits, 8)


def parse_statuses(text: str) -> tuple[tuple[int, int], ...]:
    """Statuses of HTTP: "200", "200-299", "2xx", or several of these with commas between them."""
    ranges = []
    for part in text.split(","):
        word = part.strip().lower()
        low, dash, high = word.partition("-")
        if len(word) == 3 and word.endswith("xx"):
            low, high = f"{word[0]}00", f"{word[0]}99"
        elif not dash:
            high = low
        try:
            first, last = parse_int(low), parse_int(high)
        except ValueError:
            first = last = 0
        if not 100 <= first <= last <= 599:
            raise ValueError("statuses from 100 to 599")
        ranges.append((first, last))
    return tuple(ranges)


def parse_exit_codes(text: str) -> tuple[int, ...]:
    """Exit codes: "2", or several with commas between them."""
    codes = []
    for part in text.split(","):
        try:
            code = parse_int(part)
        except ValueError:
            code = -1
        if not 0 <= code <= _LARGEST_EXIT_CODE:
            raise ValueError(f"exit codes from 0 to {_LARGEST_EXIT_CODE}")
        codes.append(code)
    return tuple(dict.fromkeys(codes))


def format_statuses(ranges: tuple[tuple[int, int], ...]) -> str:
    """The text that `parse_statuses` reads."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def format_duration(seconds: float) -> str:
    """Go's notation: 90 is "1m30s", 0.5 is "500ms", 0 is "0s"."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{hours}h" if hours else ""
    if hours or minutes:
        text += f"{minutes}m"
    return f"{text}{rest:g}s"
