"""The JSON Schema (2020-12) of the configuration, for editors and validators: made from the model.

It takes what the loader takes under ``check-config --strict``, written as YAML: a value, a text that means
it, a reference to a variable, or what means that the key is not set. What a schema cannot say (names that
must exist, cycles, files) is left to ``check-config``.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from msgspec import Struct

from cbox_init.config.convert import LONGEST_TEXT, MOST_ENTRIES, OTHER_WORDS, WORDS_FOR_ZERO
from cbox_init.config.legacy import RENAMED
from cbox_init.config.model import (
    Config,
    EnvFileConfig,
    HealthCheckConfig,
    LoggingConfig,
    ProcessConfig,
)
from cbox_init.config.model.kinds import Kind, Zero
from cbox_init.config.schema import ValueSpec, ValueType, fields_of, single_value
from cbox_init.reference.keys import default_of, keys, words_of
from cbox_init.reference.meanings import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import StrEnum

    from cbox_init.reference.keys import Key

    Schema: TypeAlias = "dict[str, Any]"

#: The file that ``cbox-init schema --output`` writes beside a configuration, so that editors find it.
SCHEMA_FILE: Final = "cbox-init.schema.json"
#: The first line of a configuration beside that file: editors with yaml-language-server read it.
EDITOR_LINE: Final = f"# yaml-language-server: $schema={SCHEMA_FILE}"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ID: Final = "urn:cbox-init:configuration"

_UNIT: Final = "(?:ns|us|µs|μs|ms|s|m|h|d)"
_DIGITS: Final = r"(?:\d+\.?\d*|\.\d+)"
_DURATION_TEXT: Final = rf"(?:{_DIGITS}{_UNIT})+|{_DIGITS}(?:[eE][+-]?\d{{1,3}})?"
_SIZE_TEXT: Final = rf"{_DIGITS}\s*(?:[kmgtKMGT][iI]?[bB]?|[bB])?"
_NUMBER_TEXT: Final = rf"{_DIGITS}(?:[eE][+-]?\d{{1,3}})?"
_AMOUNT_TEXT: Final = rf"{_NUMBER_TEXT}\s*%?|{_SIZE_TEXT}"
_STATUS: Final = r"\s*(?:[1-5]\d\d(?:-[1-5]\d\d)?|[1-5][xX][xX])\s*"
_EXIT_CODE: Final = r"\s*0*(?:1?\d?\d|2[0-4]\d|25[0-5])\s*"
_NO_LIMIT: Final = ("unlimited", "infinity")
_AUTO: Final = "auto"
_SEPARATORS: Final = "[-_ ]*"
_LAST_SIGNAL: Final = 64


def schema() -> Schema:
    """The document, as JSON has it."""
    builder = _SchemaBuilder()
    return {
        "$schema": _DIALECT,
        "$id": _ID,
        "title": "cbox-init.yaml",
        "description": "The configuration of cbox-init, a process manager for PID 1 of a container.",
        **builder.section(Config),
        "$defs": builder.definitions(),
    }


def schema_text() -> str:
    """The document as the file has it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


class _SchemaBuilder:
    """Makes the schema of each section once, under its name in ``$defs``."""

    def __init__(self) -> None:
        self._keys: dict[type[Struct], dict[str, Key]] = {}
        for key in keys():
            self._keys.setdefault(key.owner, {}).setdefault(key.name, key)
        self._sections: dict[str, Schema] = {}
        self._make: dict[ValueType | Kind, Callable[[ValueSpec], list[Schema]]] = {
            ValueType.SECTION: self._section,
            ValueType.SECTION_LIST: self._section_list,
            ValueType.SECTION_MAP: self._section_map,
            ValueType.TEXT_LIST: lambda spec: [_ref("texts")],
            ValueType.TEXT_MAP: lambda spec: [_ref("textsByName")],
            ValueType.SECRET_MAP: lambda spec: [_ref("textsByName")],
            ValueType.BOOL: lambda spec: [_ref("bool")],
            ValueType.TEXT: lambda spec: [_ref("text")],
            ValueType.SECRET: lambda spec: [_ref("text")],
            ValueType.WORD: self._words,
            ValueType.INT: _whole_number,
            ValueType.FLOAT: lambda spec: _number(spec, _NUMBER_TEXT),
            Kind.DURATION: lambda spec: _number(spec, _DURATION_TEXT),
            Kind.DURATION_MS: lambda spec: _number(spec, _DURATION_TEXT, 1000),
            Kind.SIZE: lambda spec: _number(spec, _SIZE_TEXT),
            Kind.RLIMIT: lambda spec: [*_whole_number(spec), *_some_words(_NO_LIMIT)],
            Kind.SIZE_RLIMIT: lambda spec: [*_number(spec, _SIZE_TEXT), *_some_words(_NO_LIMIT)],
            Kind.ATTEMPTS: lambda spec: [
                *_whole_number(spec),
                {"const": -1},
                *_some_words(("-1", *_NO_LIMIT)),
            ],
            Kind.SCALE: lambda spec: [*_whole_number(spec), *_some_words((_AUTO,))],
            Kind.AMOUNT: lambda spec: _number(spec, _AMOUNT_TEXT),
            Kind.COMMAND: lambda spec: [_ref("text"), _ref("texts")],
            Kind.SIGNAL: lambda spec: [_ref("signal")],
            Kind.HOST: lambda spec: [_ref("text")],
            Kind.STATUSES: lambda spec: [
                _ref("status"),
                {"type": "array", "items": {"anyOf": [_ref("status"), _ref("variable")]}},
            ],
            Kind.EXIT_CODES: lambda spec: [
                _ref("exitCode"),
                {"type": "array", "items": {"anyOf": [_ref("exitCode"), _ref("variable")]}},
            ],
            Kind.UMASK: _octal,
            Kind.ENVIRONMENT: lambda spec: [
                *_some_words(("inherit", "clean")),
                {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"type": "string", "pattern": r"^[\w.-]+\*?$|^\*$|\$\{"},
                            {"type": "number"},
                        ]
                    },
                },
            ],
        }

    def section(self, section: type[Struct]) -> Schema:
        """A mapping with the keys of ``section`` and no others."""
        properties = {name: self._property(key) for name, key in self._keys[section].items()}
        properties = {**self._older(section), **properties}
        found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if section is Config:
            found["patternProperties"] = {"^x-": True}
            properties["processes"]["anyOf"][0]["propertyNames"] = {
                "anyOf": [{"pattern": r"^(?!\.{1,2}$)[^\s/?#%\x00-\x1f]{1,128}$"}, {"pattern": r"\$\{"}]
            }
        if section is ProcessConfig:
            properties["env"]["anyOf"][0] = {**_ref("textsByName"), "propertyNames": {"pattern": "^[^=]+$"}}
            oneshot = {"properties": {"type": {"const": "oneshot"}}, "required": ["type"]}
            never = {
                "restart": {"not": {"const": "always"}},
                "scale": {"not": {"anyOf": [{"type": "integer", "minimum": 2}, *_some_words((_AUTO,))]}},
            }
            found["if"], found["then"] = oneshot, {"properties": never}
        return found

    def definitions(self) -> Schema:
        return {**_common(), **dict(sorted(self._sections.items()))}

    def _property(self, key: Key) -> Schema:
        (field,) = (field for name, field in fields_of(key.owner).items() if name == key.name)
        found: Schema = {"description": _description(key)}
        if (default := default_of(key.owner, field.attribute, key.spec)) is not None:
            found["default"] = default
        if key.example:
            found["examples"] = [_example(key)]
        if key.built == "unused":
            found["deprecated"] = True
        found["anyOf"] = self._choices(key.spec)
        return found

    def _choices(self, spec: ValueSpec) -> list[Schema]:
        choices = self._make[spec.value_type](spec)
        if spec.zero in (Zero.UNSET_OR_WORD, Zero.UNSET_IN_FILE):
            choices += _some_words(sorted(WORDS_FOR_ZERO))
        if {"$ref": "#/$defs/text"} not in choices:
            choices.append(_ref("variable"))
        return [*choices, _ref("absent")]

    def _older(self, section: type[Struct]) -> Schema:
        """The names of older files."""
        found: Schema = {}
        for old, new in RENAMED.get(section, {}).items():
            key = self._keys[section][new]
            spec = key.spec
            meaning = f"An older name of {new}."
            if section is HealthCheckConfig and old == "port":
                spec = ValueSpec(ValueType.INT, ge=1, le=65535)
                meaning = "An older way to write the address 127.0.0.1:PORT."
            elif section is LoggingConfig and old == "filter_patterns":
                spec = ValueSpec(ValueType.TEXT_LIST)
                meaning = "An older name of filters.exclude."
            found[old] = {"description": meaning, "deprecated": True, "anyOf": self._choices(spec)}
        return found

    def _section(self, spec: ValueSpec) -> list[Schema]:
        section = _struct(spec)
        single = single_value(section)
        return [self._named(section), *(self._choices(single.spec) if single is not None else ())]

    def _section_list(self, spec: ValueSpec) -> list[Schema]:
        section = _struct(spec)
        items = self._section(spec)
        if section.__name__ == "RedactionPattern":
            items.append(_ref("text"))
        # An entry that is null is one with its defaults.
        array: Schema = {
            "type": "array",
            "maxItems": MOST_ENTRIES,
            "items": {"anyOf": [*items, {"type": "null"}]},
        }
        return [array, *(items if section is EnvFileConfig else ())]

    def _section_map(self, spec: ValueSpec) -> list[Schema]:
        inner = {"anyOf": [self._named(_struct(spec)), {"type": "null"}]}
        return [{"type": "object", "maxProperties": MOST_ENTRIES, "additionalProperties": inner}]

    def _words(self, spec: ValueSpec) -> list[Schema]:
        """The words as they are, for editors to offer; and with other case and separators."""
        enum = cast("type[StrEnum]", spec.type)
        words = words_of(spec)
        plain_words = dict.fromkeys(re.sub("[-_ ]", "", one) for one in (*words, *OTHER_WORDS.get(enum, ())))
        spelled = _some_words(plain_words, _SEPARATORS)
        self._sections[enum.__name__] = {"anyOf": [{"enum": list(words)}, *spelled]}
        return [_ref(enum.__name__)]

    def _named(self, section: type[Struct]) -> Schema:
        name = section.__name__
        if name not in self._sections:
            self._sections[name] = {}  # so that one within itself would end
            self._sections[name] = self.section(section)
        return _ref(name)


def _common() -> Schema:
    """What several keys take. Without descriptions, which editors would show in place of the key's."""
    names = sorted(one.name.removeprefix("SIG") for one in signal.Signals)
    named = "|".join(_any_case(name) for name in names if not name.startswith("RT"))
    real_time = rf"{_any_case('RT')}(?:{_any_case('MIN')}(?:\+\d+)?|{_any_case('MAX')}(?:-\d+)?)"
    a_signal = rf"(?:{_any_case('SIG')})?(?:{named}|{real_time})|0*[1-9]\d?"
    scalar = ["string", "number", "boolean"]
    true, false = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")
    return {
        "absent": {
            "$comment": "Not set: the default counts.",
            "anyOf": [
                {"type": "null"},
                {"type": "string", "pattern": r"^\s*$"},
                {"type": "array", "maxItems": 0},
                {"type": "object", "maxProperties": 0},
            ],
        },
        "variable": {
            "$comment": "A reference to a variable of the environment, such as ${PORT:-80}.",
            "type": "string",
            "pattern": r"\$\{",
        },
        "text": {"$comment": "A text.", "type": scalar, "maxLength": LONGEST_TEXT},
        "texts": {
            "$comment": "A list of texts.",
            "type": "array",
            "maxItems": MOST_ENTRIES,
            "items": _ref("text"),
        },
        "textsByName": {
            "$comment": "Texts by name.",
            "type": "object",
            "maxProperties": MOST_ENTRIES,
            "additionalProperties": {"type": [*scalar, "null"], "maxLength": LONGEST_TEXT},
        },
        "bool": {
            "$comment": "true or false.",
            "anyOf": [{"type": "boolean"}, *_some_words((*true, *false)), {"enum": [0, 1]}],
        },
        "signal": {
            "$comment": "A signal: its name, with or without SIG, or its number.",
            "anyOf": [
                {"type": "string", "pattern": rf"^\s*(?:{a_signal})\s*$"},
                {"type": "integer", "minimum": 1, "maximum": _LAST_SIGNAL},
            ],
        },
        "status": {
            "$comment": "A status of HTTP, a range, or several with commas between them.",
            "anyOf": [
                {"type": "string", "pattern": f"^{_STATUS}(?:,{_STATUS})*$|^0s?$"},
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"const": 0},
            ],
        },
        "exitCode": {
            "$comment": "An exit code, or several with commas between them.",
            "anyOf": [
                {"type": "string", "pattern": f"^{_EXIT_CODE}(?:,{_EXIT_CODE})*$"},
                {"type": "integer", "minimum": 0, "maximum": 255},
            ],
        },
    }  # fmt: skip


def _whole_number(spec: ValueSpec) -> list[Schema]:
    return _number(spec, r"\d{1,19}", whole=True)


def _number(spec: ValueSpec, text: str, per_unit: int = 1, whole: bool = False) -> list[Schema]:
    """A number within the range, or a text of this form; 0 is in the range, or means not set."""
    low = spec.ge if spec.ge is not None else spec.gt
    number: Schema = {"type": "integer" if whole else "number"}
    if low is not None:
        number["exclusiveMinimum" if spec.gt is not None else "minimum"] = _plain_number(low * per_unit)
    if spec.le is not None:
        number["maximum"] = _plain_number(spec.le * per_unit)
    sign = "[+-]?" if low is None or low < 0 else r"\+?"
    if spec.value_type in (Kind.SIZE, Kind.SIZE_RLIMIT):
        sign = ""
    positive = (low is not None and low > 0) or spec.gt is not None
    unset = positive or spec.zero is not Zero.NUMBER
    zero = "-?0+s?" if unset or text is _DURATION_TEXT else "-?0+"
    found = [number, {"type": "string", "pattern": rf"^\s*(?:{sign}(?:{text})|{zero})\s*$"}]
    if positive:
        # A part of a byte is none.
        small = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
        found.append(small if spec.value_type is Kind.SIZE else {"const": 0})
    return found


def _plain_number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _octal(spec: ValueSpec) -> list[Schema]:
    return [
        {"type": "string", "pattern": r"^\s*(?:0[oO])?[0-7]{1,19}\s*$"},
        {"type": "integer", "minimum": 0, "maximum": 777},
    ]


def _some_words(words: Iterable[str], between: str = "") -> list[Schema]:
    """Texts that are one of ``words``, in any case, with ``between`` wherever there may be a separator."""
    spelled = "|".join(between.join(_any_case(letter) for letter in word) for word in words)
    return [{"type": "string", "pattern": rf"^\s*(?:{spelled})\s*$"}]


def _any_case(word: str) -> str:
    """A pattern for the word, valid in ECMAScript too, which has no escape for a dash."""
    return "".join(
        f"[{one.upper()}{one.lower()}]" if one.isalpha() else one if one == "-" else re.escape(one)
        for one in word
    )


def _struct(spec: ValueSpec) -> type[Struct]:
    assert spec.type is not None and issubclass(spec.type, Struct)
    return spec.type


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _description(key: Key) -> str:
    """The meaning, and what the other keywords do not say for people."""
    words = [plain(key.text)]
    if key.range not in ("\N{EN DASH}", "any"):
        words.append(f"Range: {key.range}.")
    if key.unit:
        words.append(f"A number without a unit is in {key.unit}.")
    if key.built == "not yet":
        words.append("Read and checked, without effect in this version.")
    return " ".join(words)


def _example(key: Key) -> object:
    from yaml import safe_load

    return (
        safe_load(key.example)
        if key.spec.value_type not in (ValueType.TEXT, ValueType.SECRET)
        else key.example
    )
