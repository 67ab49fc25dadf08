"""Converts the file's content to the model, key by key, so that every problem is found at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from msgspec import Struct

from cbox_init.config import scalars
from cbox_init.config.command import operators_in, parse_command, runs_shell, shell_syntax
from cbox_init.config.legacy import OTHER_FORMS, RENAMED, with_current_keys
from cbox_init.config.model.config import Config
from cbox_init.config.model.enums import LogLevel, TlsVersion
from cbox_init.config.model.kinds import INHERITS_ALL, UNLIMITED, Kind, Zero
from cbox_init.config.model.logging import OutputConfig, RedactionPattern
from cbox_init.config.model.process import HealthCheckConfig
from cbox_init.config.raw import FlowText, kind_of, quoted, scalar_text
from cbox_init.config.rules import signal_name, signal_number
from cbox_init.config.schema import ValueSpec, ValueType, fields_of, single_value
from cbox_init.config.secret import Secret
from cbox_init.config.substitute import INSTANCE_NAMES, expand_instance, references

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum

    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path, Raw

    Value = object

S = TypeVar("S", bound=Struct)

#: Stands for a value that could not be converted; its problem is in the report.
_INVALID: Final = object()
#: Stands for a section of which no key is set.
_ABSENT: Final = object()

#: Words that are taken for members of an enum, beside their own values.
OTHER_WORDS: Final[dict[type[StrEnum], dict[str, str]]] = {
    LogLevel: {"warning": "warn"},
    TlsVersion: {"1.2": "TLS 1.2", "1.3": "TLS 1.3", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"},
}
_EXAMPLES: Final[dict[ValueType | Kind, str]] = {
    ValueType.BOOL: "write true or false",
    ValueType.INT: "write digits only, such as 3",
    ValueType.FLOAT: "write a number such as 0.5",
    ValueType.WORD: "use one of these words",
    Kind.DURATION: "write 500ms, 30s, 1m30s or a number of seconds",
    Kind.DURATION_MS: "write 500ms, 30s, 1m30s or a number of milliseconds",
    Kind.SIZE: "write 50MB, 8MiB or a number of bytes",
    Kind.STATUSES: "write 200, 200-299, 2xx, or a list such as [200, 204]",
    Kind.EXIT_CODES: "write a list such as [0, 2]; 143 is an end by SIGTERM (128 + 15)",
    Kind.UMASK: 'write octal digits such as "027"',
    Kind.ATTEMPTS: "write digits only, such as 3, or unlimited",
    Kind.AMOUNT: "write a number such as 100, a percentage such as 70%, or a size such as 256M",
    Kind.SCALE: "write digits only, such as 3, or auto for one instance a CPU",
    Kind.RLIMIT: "write digits only, such as 65536, or unlimited",
    Kind.SIZE_RLIMIT: "write 50MB, 8MiB, a number of bytes, or unlimited",
    Kind.SIGNAL: "use a name such as SIGTERM, SIGQUIT or SIGUSR1",
    Kind.ENVIRONMENT: "write inherit, clean, or a list such as [LANG, DB_*]; variables are set with env",
    Kind.COMMAND: 'write a list such as ["php", "artisan", "queue:work"], or a string',
}
#: Keys in which each instance replaces its own names, and sections of which every key is one.
_LEFT_FOR_INSTANCES: Final = frozenset(("command", "env"))
_SECTIONS_OF_INSTANCES: Final = (HealthCheckConfig, OutputConfig)


#: Keys at the top level that begin so are the user's own: a place for anchors.
_OWN_KEYS: Final = "x-"
WORDS_FOR_ZERO: Final = frozenset(("never", "off", "unlimited", "infinity"))
_ZERO_WORDS: Final = (Zero.UNSET_OR_WORD, Zero.UNSET_IN_FILE)
#: Without one of these there is nothing in a command that a shell would act on.
_SHELL_SIGNS: Final = "&|;<>$`="
_MOST_SIGNS: Final = 4
#: Linux takes no longer argument or variable.
LONGEST_TEXT: Final = 128 * 1024
_HINT_LONG: Final = "put it into a file: Linux takes no longer argument or variable"
#: Entries of one list or mapping.
MOST_ENTRIES: Final = 20_000
_OF_VARIABLES: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_NUMBERS: Final = (
    *(ValueType.INT, ValueType.FLOAT),
    *(Kind.DURATION, Kind.DURATION_MS, Kind.SIZE, Kind.SCALE, Kind.AMOUNT),
)
#: What is read from texts of variables, too, where a key does not take any text.
_WRITTEN_NOTHING: Final = frozenset(("null", "[]", "{}"))
_ANY_TEXT: Final = (ValueType.TEXT, ValueType.SECRET, Kind.HOST)


def is_unset(spec: ValueSpec, raw: Raw, *, from_api: bool = False) -> bool:
    """Whether ``raw`` means that the key is not set: null, nothing, and 0 where it can mean nothing else."""
    if raw is None or isinstance(raw, list | dict):
        return not raw and not (isinstance(raw, dict) and spec.type is not None and _empty_counts(spec))
    text = scalar_text(raw)
    if spec.value_type not in (ValueType.TEXT, ValueType.SECRET):
        text = text.strip()
    if not text:
        return not spec.empty
    if spec.value_type is Kind.STATUSES:
        return text in ("0", "0s")
    if spec.value_type not in _NUMBERS or not text.lstrip("+-").startswith(("0", ".0")):
        return False
    if spec.zero is Zero.UNSET_IN_FILE and from_api:
        return False
    positive = (spec.ge is not None and spec.ge > 0) or (spec.gt is not None and spec.gt >= 0)
    if spec.zero is Zero.NUMBER and not positive:
        return False
    if text == "0s":
        return True
    try:
        return _parsed(spec, text) == 0
    except ValueError:
        return False


def is_unset_variable(spec: ValueSpec, text: str) -> bool:
    """Whether the text of a variable is JSON for nothing, where the key takes no texts of any kind."""
    return spec.value_type not in _ANY_TEXT and text.strip() in _WRITTEN_NOTHING


def current_keys(
    section: type[Struct], raw: dict[str, Raw], path: Path, report: ProblemReport
) -> dict[str, Raw]:
    """``raw`` with today's keys in place of older ones (`cbox_init.config.legacy`)."""
    fields, renamed = fields_of(section), RENAMED.get(section, {})

    def unset(key: str, value: Raw) -> bool:
        return is_unset(OTHER_FORMS.get(key) or fields[renamed.get(key, key)].spec, value)

    return with_current_keys(section, raw, path, report, unset)


class Converter:
    """Converts sections. ``environ`` has the values of ``${PORT}`` and the like where no instance sets them.

    ``from_api``: what is converted is a body of the API, in which ``scale: 0`` is the number.
    """

    def __init__(self, report: ProblemReport, environ: Mapping[str, str], *, from_api: bool = False) -> None:
        self._from_api = from_api
        self._report = report
        self._environ = environ
        self._for_instance = False

    def section(self, section: type[S], raw: Raw, path: Path) -> S:
        """``raw`` as a ``section``; keys that are absent, null or wrong have their default.

        Null is an empty mapping. Problems are added to the report.
        """
        return section(**self._members(section, raw, path))

    def _members(self, section: type[Struct], raw: Raw, path: Path) -> dict[str, Value]:
        """The attributes of a section that ``raw`` sets."""
        if raw is None or (isinstance(raw, str | list) and not raw):
            return {}
        if not isinstance(raw, dict):
            self._report.error(
                path, f"expected {ValueType.SECTION.value}, got {kind_of(raw)}", "write key: value"
            )
            return {}
        if len(raw) > MOST_ENTRIES:
            self._report.error(path, f"has {len(raw)} keys, expected {MOST_ENTRIES} at most", "use fewer")
            return {}
        known = fields_of(section)
        values: dict[str, Value] = {}
        outer = self._for_instance
        for key, item in current_keys(section, raw, path, self._report).items():
            field = known.get(key)
            if field is None:
                if section is Config and key.startswith(_OWN_KEYS):
                    continue
                from cbox_init.config.foreign import hint_for_key

                names = (*known, *RENAMED.get(section, ()))
                self._report.unknown_key((*path, key), names, hint_for_key(section, key))
            elif not is_unset(field.spec, item, from_api=self._from_api):
                self._for_instance = (
                    outer
                    or key in _LEFT_FOR_INSTANCES
                    or section in _SECTIONS_OF_INSTANCES
                    or (section is RedactionPattern and key == "replacement")  # ${name} is a group
                )
                value = self._value(field.spec, item, (*path, key))
                if value is not _INVALID and value is not _ABSENT:
                    values[field.attribute] = value
            elif field.spec.zero is Zero.UNSET_IN_FILE and item:
                self._report.zero_scales.add(str(path[-1]))
                self._report.suggestion(
                    (*path, key),
                    "0 is the default, 1, when the daemon starts",
                    f"write {key}: off for no instance, or remove it",
                )
        self._for_instance = outer
        return values

    def _value(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        if isinstance(raw, list | dict) and len(raw) > MOST_ENTRIES:
            message = f"has {len(raw)} entries, expected {MOST_ENTRIES} at most"
            self._report.error(path, message, "use fewer")
            return _INVALID
        convert = _CONVERT.get(spec.value_type)
        if convert is not None and isinstance(raw, FlowText):
            raw = self._parsed_flow(raw)
        return convert(self, spec, raw, path) if convert is not None else self._scalar(spec, raw, path)

    def _parsed_flow(self, text: FlowText) -> Raw:
        """The list or mapping that a variable held, or the text itself where it is neither."""
        from cbox_init.config.document import parse_document

        value, problems = parse_document(str(text))
        return text if problems else value

    def _section(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        section = _struct(spec)
        single = single_value(section)
        if single is None or raw is None or isinstance(raw, list | dict):
            members = self._members(section, raw, path)
            return section(**members) if _is_set(section, members) else _ABSENT
        value = self._value(single.spec, raw, path)
        return _INVALID if value is _INVALID else section(**dict.fromkeys(single.attributes, value))

    def _section_list(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        single = single_value(_struct(spec)) is not None
        if single and (not isinstance(raw, list) and raw is not None):
            raw = [raw]
        if not isinstance(raw, list):
            return self._wrong(spec, raw, path, "begin each entry with a dash")
        items = [
            (self._section if single else self._section_of)(spec, item, (*path, index))
            for index, item in enumerate(raw)
        ]
        if _INVALID in items:
            return _INVALID
        return tuple(_struct(spec)() if item is _ABSENT else item for item in items)

    def _section_of(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        return self.section(_struct(spec), raw, path)

    def _section_map(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, dict):
            return self._wrong(spec, raw, path, "write NAME: and its keys below, indented")
        return {name: self.section(_struct(spec), item, (*path, name)) for name, item in raw.items()}

    def _text_list(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, list):
            return self._wrong(spec, raw, path, "write it as [a, b], or one entry a line with a dash")
        items = [self._text(item, (*path, index)) for index, item in enumerate(raw)]
        return _INVALID if None in items else tuple(cast("list[str]", items))

    def _text_map(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        if not isinstance(raw, dict):
            return self._wrong(spec, raw, path, "write NAME: value, one a line")
        items = {name: self._map_item(item, (*path, name)) for name, item in raw.items()}
        return {name: item for name, item in items.items() if item is not None}

    def _secret_map(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        texts = self._text_map(spec, raw, path)
        return {name: Secret(text) for name, text in texts.items()} if isinstance(texts, dict) else texts

    def _map_item(self, raw: Raw, path: Path) -> str | None:
        return "" if raw is None else self._text(raw, path)

    def _command(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        if isinstance(raw, list):
            words = self._text_list(spec, raw, path)
            if isinstance(words, tuple):
                self._warn_of_operators(operators_in(words), path)
            return words
        text = self._text(raw, path, spec.value_type)
        if text is None:
            return _INVALID
        try:
            command = parse_command(text)
        except ValueError as error:
            self._report.error(
                path,
                f"cannot be split into words: {str(error).lower()}",
                "close the quotes, or write it as a list",
            )
            return _INVALID
        if any(sign in text for sign in _SHELL_SIGNS) and not runs_shell(command):
            self._warn_of_shell_syntax(text, path)
        return command

    def _warn_of_shell_syntax(self, text: str, path: Path) -> None:
        found = shell_syntax(text)
        if found and found[0].endswith("="):
            self._report.warning(
                path,
                f"{found[0]} is taken as the program, since no shell runs it",
                "set the variable under env",
            )
        else:
            self._warn_of_operators(found, path)

    def _warn_of_operators(self, found: list[str], path: Path) -> None:
        if found:
            self._report.warning(
                path,
                f"no shell runs this, so it has no use for {', '.join(found[:_MOST_SIGNS])}",
                'write ["sh", "-c", "…"], or several lines, which are run as a script',
            )

    def _inheritance(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        """The names that children inherit. Variables, as Compose has them here, are no value of it."""
        if isinstance(raw, dict) or (
            isinstance(raw, list) and any(isinstance(one, dict) or "=" in str(one) for one in raw)
        ):
            self._report.unknown_key(path, (), "write env")
            return _INVALID
        if isinstance(raw, list):
            names = self._text_list(spec, raw, path)
            if isinstance(names, tuple):
                self._check_inherited(names, path)
            return names
        text = self._text(raw, path, spec.value_type)
        if text is None:
            return _INVALID
        word = text.strip().lower()
        if word not in ("inherit", "clean"):
            self._report.error(
                path, f"expected {spec.value_type}, got {quoted(text)}", _hint(spec.value_type)
            )
            return _INVALID
        return INHERITS_ALL if word == "inherit" else ()

    def _check_inherited(self, names: tuple[str, ...], path: Path) -> None:
        for index, name in enumerate(names):
            plain = name.removesuffix("*")
            if not (plain or "*" in name) or not set(plain) <= _OF_VARIABLES:
                hint = "write names such as DB_HOST, or the beginning of names as DB_*"
                self._report.error((*path, index), f"{quoted(name)} is not a name of a variable", hint)

    def _statuses(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        """One status or range, or a list of them."""
        if not isinstance(raw, list):
            return self._scalar(spec, raw, path)
        items = [self._scalar(spec, item, (*path, index)) for index, item in enumerate(raw)]
        if _INVALID in items:
            return _INVALID
        return tuple(one for item in items for one in cast("tuple[tuple[int, int], ...]", item))

    def _exit_codes(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        """One exit code, or a list of them."""
        if not isinstance(raw, list):
            return self._scalar(spec, raw, path)
        items = [self._scalar(spec, item, (*path, index)) for index, item in enumerate(raw)]
        if _INVALID in items:
            return _INVALID
        return tuple(dict.fromkeys(one for item in items for one in cast("tuple[int, ...]", item)))

    def _scalar(self, spec: ValueSpec, raw: Raw, path: Path) -> Value:
        text = self._text(raw, path, spec.value_type)
        if text is None:
            return _INVALID
        if spec.zero in _ZERO_WORDS and text.strip().lower() in WORDS_FOR_ZERO:
            return 0
        try:
            value = _parsed(spec, text)
        except ValueError as error:
            self._report.error(path, f"expected {error}, got {quoted(text)}", _hint_for(spec, text))
            return _INVALID
        unlimited = value == UNLIMITED and spec.value_type in (Kind.RLIMIT, Kind.SIZE_RLIMIT)
        if isinstance(value, int | float) and not unlimited and (limits := _outside(spec, value)):
            self._report.error(path, f"must be {limits}, got {quoted(text)}", "stay in this range")
            return _INVALID
        return value

    def _text(self, raw: Raw, path: Path, value_type: ValueType | Kind = ValueType.TEXT) -> str | None:
        """The text of a scalar; None (with a problem) for anything else."""
        if raw is None or isinstance(raw, list | dict):
            expected = value_type.value if isinstance(value_type, ValueType) else f"a {value_type.value}"
            self._report.error(path, f"expected {expected}, got {kind_of(raw)}", _hint(value_type))
            return None
        text = str(scalar_text(raw))
        if len(text) > LONGEST_TEXT:
            self._report.error(path, f"is longer than {LONGEST_TEXT} characters", _HINT_LONG)
            return None
        if "\0" in text:
            self._report.error(path, "contains a NUL character", "remove it")
            return None
        if not text.isascii() and _has_surrogates(text):
            self._report.error(path, "is not UTF-8 text", "set the variable to UTF-8 text")
            return None
        if "${" in text and not self._for_instance:
            return self._completed(text, path)
        return text

    def _completed(self, text: str, path: Path) -> str:
        """The text with the names of instances replaced from the environment, where no instance does it."""
        for name, has_default in references(text):
            if name in INSTANCE_NAMES and not has_default and not self._environ.get(name):
                self._report.warning(
                    path,
                    f"${{{name}}} is set for each instance, only in command, env and health_check",
                    f"write ${{{name}:-default}}, or move it there",
                )
        return expand_instance(text, self._environ)

    def _wrong(self, spec: ValueSpec, raw: Raw, path: Path, hint: str) -> Value:
        expected = spec.value_type.value
        self._report.error(path, f"expected {expected}, got {kind_of(raw)}", hint)
        return _INVALID


_CONVERT: Final[dict[ValueType | Kind, Callable[[Converter, ValueSpec, Raw, Path], Value]]] = {
    ValueType.SECTION: Converter._section,
    ValueType.SECTION_LIST: Converter._section_list,
    ValueType.SECTION_MAP: Converter._section_map,
    ValueType.TEXT_LIST: Converter._text_list,
    ValueType.TEXT_MAP: Converter._text_map,
    ValueType.SECRET_MAP: Converter._secret_map,
    Kind.COMMAND: Converter._command,
    Kind.STATUSES: Converter._statuses,
    Kind.EXIT_CODES: Converter._exit_codes,
    Kind.ENVIRONMENT: Converter._inheritance,
}


def _empty_counts(spec: ValueSpec) -> bool:
    return spec.value_type is ValueType.SECTION and getattr(spec.type, "empty_counts", False)


def _is_set(section: type[Struct], members: dict[str, Value]) -> bool:
    """Whether what is set of a section makes it one: of some sections zeros alone do not."""
    if getattr(section, "empty_counts", False):
        return True
    return any(members.values()) if getattr(section, "zeros_are_absent", False) else bool(members)


def _has_surrogates(text: str) -> bool:
    """Whether it holds bytes that are not UTF-8, as variables of the environment may."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _struct(spec: ValueSpec) -> type[Struct]:
    assert spec.type is not None and issubclass(spec.type, Struct)
    return spec.type


def _parsed(spec: ValueSpec, text: str) -> Value:
    """The value of a scalar; ValueError says what was expected."""
    match spec.value_type:
        case ValueType.TEXT:
            return text
        case ValueType.BOOL:
            return scalars.parse_bool(text)
        case ValueType.INT:
            return scalars.parse_int(text)
        case ValueType.FLOAT:
            return scalars.parse_float(text)
        case ValueType.SECRET:
            return Secret(text)
        case ValueType.WORD:
            return _word(cast("type[StrEnum]", spec.type), text)
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
        case Kind.STATUSES:
            return scalars.parse_statuses(text)
        case Kind.EXIT_CODES:
            return scalars.parse_exit_codes(text)
        case Kind.UMASK:
            return scalars.parse_umask(text)
        case Kind.ATTEMPTS:
            return scalars.parse_attempts(text)
        case Kind.AMOUNT:
            return scalars.parse_amount(text)
        case Kind.SCALE:
            return scalars.parse_scale(text)
        case Kind.HOST:
            return "" if text.strip().lower() in ("all", "*") else text.strip()
    raise AssertionError(spec.value_type)


def _word(enum: type[StrEnum], text: str) -> StrEnum:
    """The member that ``text`` names, whatever its case and whichever of - _ and space it uses."""
    wanted = _plain(text)
    for member in enum:
        if _plain(member.value) == wanted:
            return member
    for word, value in OTHER_WORDS.get(enum, {}).items():
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


def _outside(spec: ValueSpec, value: float) -> str:
    """The range in words when ``value`` is outside it, else nothing."""
    low = spec.ge if spec.ge is not None else spec.gt
    above = spec.gt is None or value > spec.gt
    if above and (spec.ge is None or value >= spec.ge) and (spec.le is None or value <= spec.le):
        return ""
    bottom = f"more than {low:g}" if spec.gt is not None else f"at least {_number(low)}"
    return f"{bottom} and at most {_number(spec.le)}"


def _number(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:.15g}"


def _hint_for(spec: ValueSpec, text: str) -> str:
    if spec.value_type is ValueType.WORD:
        from cbox_init.config.foreign import hint_for_word

        if (hint := hint_for_word(text)) is not None:
            return hint
    return _hint(spec.value_type)


def _hint(value_type: ValueType | Kind) -> str:
    return _EXAMPLES.get(value_type, "write a single value")
