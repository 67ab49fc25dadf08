"""Files of variables: ``env_file`` as Docker Compose reads it, and the files of ``NAME_FILE``.

Imported only where a process has one.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from typing import TYPE_CHECKING, Final

from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths import open_to_read
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Gives the value of a variable that a value refers to, None when it is not set.
    LookUp = Callable[[str], str | None]

LARGEST_ENV_FILE: Final = 1024 * 1024
#: The kernel refuses a variable of 128 KiB or more.
LARGEST_SECRET: Final = 128 * 1024 - 1

#: How long all files of one reading may take together, in seconds: a network file system may never answer.
_READING_S: Final = 10.0
_MOST_VARIABLES: Final = 10_000
_LONGEST_VALUE: Final = LARGEST_SECRET
_DEEPEST: Final = 16

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-\[\]]*")
_EXPORT: Final = re.compile(r"export[ \t]+")
_BLANKS: Final = re.compile(r"[ \t\r\f\v]*")
_COMMENT: Final = re.compile(r"(?:^|[ \t])#.*")
_ESCAPE: Final = re.compile(r"\\([abfnrtv\\\"$]|0[0-7]{0,3})")
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REFERENCE: Final = re.compile(
    r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(\}|:?[-?+])|(.?))|(\})", re.DOTALL
)


class FileFault(Exception):
    """A file that cannot be used: what is wrong with it, and how to fix it. It never holds a value.

    ``missing`` says that it is not there at all; ``line`` counts from 1.
    """

    def __init__(self, message: str, hint: str, *, missing: bool = False, line: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.missing = missing
        self.line = line


class FileReader:
    """Reads the small text files of one configuration, each once, and all of them within 10 s.

    A thread reads, so that a file system that does not answer holds up nothing longer than that.
    """

    def __init__(self) -> None:
        self._read: dict[str, str | FileFault] = {}
        self._until: float | None = None

    def text(self, path: str, most: int) -> str:
        """The text of a file of at most ``most`` bytes. Raises FileFault."""
        if path not in self._read:
            self._read[path] = self._within_time(path, most)
        found = self._read[path]
        if isinstance(found, FileFault):
            raise found
        return found

    def _within_time(self, path: str, most: int) -> str | FileFault:
        if self._until is None:
            self._until = time.monotonic() + _READING_S
        done = threading.Event()
        found: list[str | FileFault] = []

        def read() -> None:
            try:
                found.append(_text(path, most))
            except FileFault as fault:
                found.append(fault)
            done.set()

        def failed(error: Exception) -> None:
            found.append(FileFault(f"cannot read {path}: {type(error).__name__}", "try again"))
            done.set()

        try:
            start_thread(read, name="env-file", failed=failed)
        except NoThreadError as error:
            return FileFault(f"cannot read {path}: {error.strerror}", "raise the limit of processes")
        if done.wait(max(0.0, self._until - time.monotonic())) and found:
            return found[0]
        return FileFault(f"{path} was not read within {_READING_S:.0f} s", "check its file system")


def parse_env_file(text: str, look_up: LookUp) -> dict[str, str]:
    """The variables of a file as Docker Compose reads it, in its order.

    ``look_up`` gives what is set outside of the file, which counts before the file's own earlier lines in
    references. Raises FileFault with the line.
    """
    return _EnvFileParser(text.replace("\r\n", "\n"), look_up).variables()


def parse_raw_env_file(text: str, look_up: LookUp) -> dict[str, str]:
    """The variables of a file as Docker Compose reads it with ``format: raw``, in its order.

    Quotes, references, backslashes, comments behind a value and blanks at its end are part of the value.
    ``look_up`` gives the value of a name that stands alone. Raises FileFault with the line.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r").lstrip(" \t")
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not name:
            raise _fault_at(number, "does not begin with the name of a variable")
        if " " in name or "\t" in name:
            raise _fault_at(number, "has a blank in the name of its variable")
        given = value if sign else look_up(name)
        if given is not None:
            _add(found, name, given, number)
    return found


class _EnvFileParser:
    def __init__(self, text: str, look_up: LookUp) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._look_up = look_up
        self._found: dict[str, str] = {}

    def variables(self) -> dict[str, str]:
        while self._at < len(self._text):
            end = self._end_of_line()
            start = _BLANKS.match(self._text, self._at, end)
            assert start is not None
            self._at = start.end()
            if self._at < end and self._text[self._at] != "#":
                self._statement(end)
                end = self._end_of_line()
            self._at = end + 1
            self._line += 1
        return self._found

    def _end_of_line(self) -> int:
        end = self._text.find("\n", self._at)
        return end if end >= 0 else len(self._text)

    def _statement(self, end: int) -> None:
        export = _EXPORT.match(self._text, self._at, end)
        if export is not None:
            self._at = export.end()
        name = _NAME.match(self._text, self._at, end)
        if name is None:
            raise self._fault("does not begin with the name of a variable")
        after = _BLANKS.match(self._text, name.end(), end)
        assert after is not None
        self._at = after.end()
        sign = self._text[self._at : self._at + 1] if self._at < end else ""
        if sign in ("=", ":"):
            self._at += 1
            self._set(name[0], self._value(end))
        elif not sign or sign == "#":  # the variable as it is set outside
            outside = self._look_up(name[0])
            if outside is not None:
                self._set(name[0], outside)
            self._at = end
        else:
            raise self._fault("has something other than = after the name")

    def _set(self, name: str, value: str) -> None:
        _add(self._found, name, value, self._line)

    def _value(self, end: int) -> str:
        blanks = _BLANKS.match(self._text, self._at, end)
        assert blanks is not None
        quote = self._text[blanks.end() : blanks.end() + 1]
        if quote not in ("'", '"') or not quote:
            value = _COMMENT.sub("", self._text[self._at : end], count=1).strip()
            self._at = end
            return self._with_references(value)
        self._at = blanks.end() + 1
        value = self._quoted(quote)
        if quote == "'":
            return value
        return self._with_references(_ESCAPE.sub(_escape, value))

    def _quoted(self, quote: str) -> str:
        """What is in quotes, which may go over several lines; only its own quote is escaped in it."""
        closing = re.compile(rf"\\.|{quote}|\\\Z", re.DOTALL)
        first, start = self._line, self._at
        parts: list[str] = []
        for token in closing.finditer(self._text, self._at):
            if token[0] == "\\" + quote:
                parts += (self._text[start : token.start()], quote)
                start = token.end()
            elif token[0] == quote:
                parts.append(self._text[start : token.start()])
                self._line += self._text.count("\n", self._at, token.start())
                self._at = token.end()
                break
        else:
            raise self._fault("opens a quote that is not closed", "add the closing quote", line=first)
        rest = self._text[self._at : self._end_of_line()].strip()
        if rest and not rest.startswith("#"):
            raise self._fault("has text after the closing quote", "put all of the value in quotes")
        return "".join(parts)

    def _with_references(self, value: str) -> str:
        """``value`` with ``$NAME`` and the forms of ``${NAME}`` replaced, and ``$$`` as a dollar."""
        if "$" not in value:
            return value
        parts: list[str] = []
        stack: list[tuple[str, str, list[str], int]] = []
        at = 0
        for token in _REFERENCE.finditer(value):
            parts.append(value[at : token.start()])
            at = token.end()
            dollar, plain, name, operator, other, brace = token.groups()
            if dollar:
                parts.append("$")
            elif plain or operator == "}":
                parts.append(self._known(plain or name) or "")
            elif operator:
                if len(stack) >= _DEEPEST:
                    raise self._fault(f"has more than {_DEEPEST} references in one another", "simplify it")
                stack.append((name, operator, parts, token.start()))
                parts = []
            elif brace and stack:
                name, operator, before, _ = stack.pop()
                before.append(self._resolved(name, operator, "".join(parts)))
                parts = before
            elif brace:
                parts.append(brace)
            elif other == "{":
                raise self._fault("has an invalid reference", "write ${NAME} or ${NAME:-default}")
            else:
                parts.append(token[0])
        parts.append(value[at:])
        if stack:
            raise self._fault(f"has a reference to {stack[-1][0]} that is not closed", "add the closing }")
        return "".join(parts)

    def _resolved(self, name: str, operator: str, word: str) -> str:
        value = self._known(name)
        counts = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return word if counts else ""
        if counts:
            return value or ""
        if operator.endswith("?"):
            raise self._fault(f"needs {name}, which is not set", f"set {name}")
        return word

    def _known(self, name: str) -> str | None:
        outside = self._look_up(name)
        return self._found.get(name) if outside is None else outside

    def _fault(self, what: str, hint: str = "write NAME=value", line: int | None = None) -> FileFault:
        return _fault_at(self._line if line is None else line, what, hint)


def _add(found: dict[str, str], name: str, value: str, line: int) -> None:
    """Add a variable, up to the limits. Raises FileFault."""
    if len(value) > _LONGEST_VALUE:
        raise _fault_at(line, f"has a value longer than {(_LONGEST_VALUE + 1) >> 10} KiB", "shorten it")
    found[name] = value
    if len(found) > _MOST_VARIABLES:
        raise _fault_at(line, f"is one of more than {_MOST_VARIABLES} variables", "split the file")


def _fault_at(line: int, what: str, hint: str = "write NAME=value") -> FileFault:
    return FileFault(f"line {line} {what}", hint, line=line)


def _escape(match: re.Match[str]) -> str:
    sign = match[1]
    if sign == "$":
        return "$$"  # a dollar to what replaces the references
    if sign[0] == "0":
        return chr(int(sign, 8) & 0xFF)
    return _ESCAPED.get(sign, sign)


def _text(path: str, most: int) -> str:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise FileFault(f"{path} is a directory", "name a file in it")
        if not stat.S_ISREG(mode):
            raise FileFault(f"{path} is not a regular file", "name a file")
        fd = open_to_read(os.path.abspath(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        with open(fd, "rb", closefd=False) as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(fd)
    if len(data) > most:
        raise FileFault(f"{path} is larger than {(most + 1) >> 10} KiB", "name a file of variables")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.find(b"\0")) + 1
        raise FileFault(f"line {line} of {path} contains a NUL byte", "name a text file", line=line)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileFault(
            f"line {line} of {path} contains a byte that is not UTF-8", "save it as UTF-8 text", line=line
        ) from None


def _unreadable(path: str, error: OSError | ValueError) -> FileFault:
    if isinstance(error, UnsafePathError):
        return FileFault(f"cannot read {path}: {error.why}", "keep it where only root can write")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    hint = "create it, or write required: false" if missing else "check the path and its permissions"
    return FileFault(f"cannot read {path}: {reason}", hint, missing=missing)
