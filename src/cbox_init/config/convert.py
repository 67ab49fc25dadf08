"""From the file's content to the model, key by key, so that every problem is found and not only the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from msgspec import Struct

from cbox_init.config import scalars
from cbox_init.config.legacy import RENAMED, modernised
from cbox_init.config.model.enums import LogLevel, TlsVersion
from cbox_init.config.model.kinds import UNLIMITED, Kind
from cbox_init.config.model.logging import OutputConfig
from cbox_init.config.model.process import HealthCheckConfig
from cbox_init.config.raw import kind_of, quoted, scalar_text
from cbox_init.config.rules import signal_name, signal_number
from cbox_init.config.schema import Form, Shape, fields_of, single_value
from cbox_init.config.secret import Secret
from cbox_init.config.substitute import INSTANCE_NAMES, expand_instance, references

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum

    from cbox_init.config.raw import Path, Raw
    from cbox_init.config.report import Report

    Value = object

S = TypeVar("S", bound=Struct)

#: Stands for a value that could not be converted; its problem is in the report.
_INVALID: Final = object()

_OTHER_WORDS: Final[dict[type[StrEnum], dict[str, str]]] = {
    LogLevel: {"warning": "warn"},
    TlsVersion: {"1.2": "TLS 1.2", "1.3": "TLS 1.3", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"},
}
_EXAMPLES: Final[dict[Form | Kind, str]] = {
    Form.BOOL: "write true or false",
    Form.INT: "write digits only, such as 3",
    Form.FLOAT: "write a number such as 0.5",
    Form.WORD: "use one of these words",
    Kind.DURATION: "write 500ms, 30s, 1m30s or a number of seconds",
    Kind.DURATION_MS: "write 500ms, 30s, 1m30s or a number of milliseconds",
    Kind.SIZE: "write 50MB, 8MiB or a number of bytes",
    Kind.RLIMIT: "write digits only, such as 65536, or unlimited",
    Kind.SIZE_RLIMIT: "write 50MB, 8MiB, a number of bytes, or unlimited",
    Kind.SIGNAL: "use a name such as SIGTERM, SIGQUIT or SIGUSR1",
    Kind.COMMAND: 'write a list such as ["php", "artisan", "queue:work"], or a string',
}
#: Keys whose texts each instance completes itself, and sections of which that holds as a whole.
_LEFT_FOR_INSTANCES: Final = frozenset(("command", "env"))
_SECTIONS_OF_INSTANCES: Final = (HealthCheckConfig, OutputConfig)


class Converter:
    """Converts sections. ``environ`` completes ``${PORT}`` and the like where no instance will."""

    def __init__(self, report: Report, environ: Mapping[str, str]) -> None:
        self._report = report
        self._environ = environ
        self._for_instance = False
        self._convert: dict[Form | Kind, Callable[[Shape, Raw, Path], Value]] = {
            Form.SECTION: self._section,
            Form.SECTION_LIST: self._section_list,
            Form.SECTION_MAP: self._section_map,
            Form.TEXT_LIST: self._text_list,
            Form.TEXT_MAP: self._text_map,
            Form.SECRET_MAP: self._secret_map,
            Kind.COMMAND: self._command,
        }

    def section(self, section: type[S], raw: Raw, path: Path) -> S:
        """``raw`` as a ``section``; keys that are absent, null or wrong have their default.

        Nothing in ``raw`` is as good as an empty mapping. Problems go to the report.
        """
        if raw is None:
            return section()
        if not isinstance(raw, dict):
            self._report.error(path, f"expected {Form.SECTION.value}, got {kind_of(raw)}", "write key: value")
            return section()
        known = fields_of(section)
        values: dict[str, Value] = {}
        outer = self._for_instance
        for key, item in modernised(section, raw, path, self._report).items():
            field = known.get(key)
            if field is None:
                self._report.unknown_key((*path, key), (*known, *RENAMED.get(section, ())))
            elif item is not None:
                self._for_instance = outer or key in _LEFT_FOR_INSTANCES or section in _SECTIONS_OF_INSTANCES
                value = self._value(field.shape, item, (*path, key))
                if value is not _INVALID:
                    values[field.attribute] = value
        self._for_instance = outer
        return section(**values)

    def _value(self, shape: Shape, raw: Raw, path: Path) -> Value:
        convert = self._convert.get(shape.form)
        return convert(shape, raw, path) if convert is not None else self._scalar(shape, raw, path)

    def _section(self, shape: Shape, raw: Raw, path: Path) -> Value:
        section = _struct(shape)
        single = single_value(section)
        if single is None or raw is None or isinstance(raw, list | dict):
            return self.section(section, raw, path)
        value = self._value(single.shape, raw, path)
        return _INVALID if value is _INVALID else section(**dict.fromkeys(single.attributes, value))

    def _section_list(self, shape: Shape, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, list):
            return self._wrong(shape, raw, path, "begin each entry with a dash")
        return tuple(self.section(_struct(shape), item, (*path, index)) for index, item in enumerate(raw))

    def _section_map(self, shape: Shape, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, dict):
            return self._wrong(shape, raw, path, "write NAME: and its keys below, indented")
        return {name: self.section(_struct(shape), item, (*path, name)) for name, item in raw.items()}

    def _text_list(self, shape: Shape, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, list):
            return self._wrong(shape, raw, path, "write it as [a, b], or one entry a line with a dash")
        items = [self._text(item, (*path, index)) for index, item in enumerate(raw)]
        return _INVALID if None in items else tuple(cast("list[str]", items))

    def _text_map(self, shape: Shape, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, dict):
            return self._wrong(shape, raw, path, "write NAME: value, one a line")
        items = {name: self._map_item(item, (*path, name)) for name, item in raw.items()}
        return {name: item for name, item in items.items() if item is not None}

    def _secret_map(self, shape: Shape, raw: Raw, path: Path) -> Value:
        texts = self._text_map(shape, raw, path)
        return {name: Secret(text) for name, text in texts.items()} if isinstance(texts, dict) else texts

    def _map_item(self, raw: Raw, path: Path) -> str | None:
        return "" if raw is None else self._text(raw, path)

    def _command(self, shape: Shape, raw: Raw, path: Path) -> Value:
        if isinstance(raw, list):
            return self._text_list(shape, raw, path)
        text = self._text(raw, path, shape.form)
        if text is None:
            return _INVALID
        if not any(mark in text for mark in "'\"\\"):
            return tuple(text.split())
        from shlex import split

        try:
            return tuple(split(text))
        except ValueError as error:
            self._report.error(
                path, f"cannot be split as a shell would: {str(error).lower()}", "write it as a list"
            )
            return _INVALID

    def _scalar(self, shape: Shape, raw: Raw, path: Path) -> Value:
        text = self._text(raw, path, shape.form)
        if text is None:
            return _INVALID
        try:
            value = _parsed(shape, text)
        except ValueError as error:
            self._report.error(path, f"expected {error}, got {quoted(text)}", _mend(shape.form))
            return _INVALID
        unlimited = value == UNLIMITED and shape.form in (Kind.RLIMIT, Kind.SIZE_RLIMIT)
        if isinstance(value, int | float) and not unlimited and (limits := _outside(shape, value)):
            self._report.error(path, f"must be {limits}, got {quoted(text)}", "stay in this range")
            return _INVALID
        return value

    def _text(self, raw: Raw, path: Path, form: Form | Kind = Form.TEXT) -> str | None:
        """The text of a scalar, None (with a problem) when it is none."""
        if raw is None or isinstance(raw, list | dict):
            expected = form.value if isinstance(form, Form) else f"a {form.value}"
            self._report.error(path, f"expected {expected}, got {kind_of(raw)}", _mend(form))
            return None
        text = scalar_text(raw)
        if "\0" in text:
            self._report.error(path, "holds a NUL character, which no program can be given", "remove it")
            return None
        if not text.isascii() and _has_surrogates(text):
            self._report.error(path, "is not UTF-8 text", "set the variable to UTF-8 text")
            return None
        if "${" in text and not self._for_instance:
            return self._completed(text, path)
        return text

    def _completed(self, text: str, path: Path) -> str:
        """The text with instance names taken from the environment: no instance will do it here."""
        for name, has_default in references(text):
            if name in INSTANCE_NAMES and not has_default and not self._environ.get(name):
                self._report.warning(
                    path,
                    f"${{{name}}} is set for each instance, and known only in command, env and health_check",
                    f"write ${{{name}:-default}}, or move it there",
                )
        return expand_instance(text, self._environ)

    def _wrong(self, shape: Shape, raw: Raw, path: Path, mend: str) -> Value:
        expected = shape.form.value
        self._report.error(path, f"expected {expected}, got {kind_of(raw)}", mend)
        return _INVALID


def _has_surrogates(text: str) -> bool:
    """Whether it holds bytes that are not UTF-8, as variables of the environment may."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _struct(shape: Shape) -> type[Struct]:
    assert shape.type is not None and issubclass(shape.type, Struct)
    return shape.type


def _parsed(shape: Shape, text: str) -> Value:
    """The value of a scalar; ValueError says what was expected."""
    match shape.form:
        case Form.TEXT:
            return text
        case Form.BOOL:
            return scalars.parse_bool(text)
        case Form.INT:
            return scalars.parse_int(text)
        case Form.FLOAT:
            return scalars.parse_float(text)
        case Form.SECRET:
            return Secret(text)
        case Form.WORD:
            return _word(cast("type[StrEnum]", shape.type), text)
        case Kind.DURATION:
            return scalars.parse_duration(text)
        case Kind.DURATION_MS:
            return scalars.parse_duration(text, 1e-3)
        case Kind.SIZE:
            return scalars.parse_size(text)
        case Kind.RLIMIT:
            return scalars.parse_unlimited(text, scalars.parse_int, "a whole number")
        case Kind.SIZE_RLIMIT:
            return scalars.parse_unlimited(text, scalars.parse_size, "a size")
        case Kind.SIGNAL:
            return _signal(text)
        case Kind.HOST:
            return "" if text.strip().lower() in ("all", "*") else text.strip()
    raise AssertionError(shape.form)


def _word(enum: type[StrEnum], text: str) -> StrEnum:
    """The member that ``text`` names, whatever its case and whichever of - _ and space it uses."""
    wanted = _plain(text)
    for member in enum:
        if _plain(member.value) == wanted:
            return member
    for word, value in _OTHER_WORDS.get(enum, {}).items():
        if _plain(word) == wanted:
            return enum(value)
    words = [member.value for member in enum]
    raise ValueError(f"{', '.join(words[:-1])} or {words[-1]}")


def _plain(text: str) -> str:
    return text.strip().lower().replace("-", "").replace("_", "").replace(" ", "")


def _signal(text: str) -> str:
    try:
        return signal_name(signal_number(text))
    except ValueError:
        raise ValueError("the name of a signal") from None


def _outside(shape: Shape, value: float) -> str:
    """The range in words when ``value`` is outside it, else nothing."""
    low = shape.ge if shape.ge is not None else shape.gt
    above = shape.gt is None or value > shape.gt
    if above and (shape.ge is None or value >= shape.ge) and (shape.le is None or value <= shape.le):
        return ""
    bottom = f"more than {low:g}" if shape.gt is not None else f"at least {_number(low)}"
    return f"{bottom} and at most {_number(shape.le)}"


def _number(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:.15g}"


def _mend(form: Form | Kind) -> str:
    return _EXAMPLES.get(form, "write a single value")
