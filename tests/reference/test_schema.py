"""The JSON Schema says of a configuration what ``check-config --strict`` says, as far as a schema can."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from jsonschema import Draft202012Validator

from cbox_init.config.convert import Converter
from cbox_init.config.load import examine
from cbox_init.config.problems import ProblemReport, Severity
from cbox_init.reference.keys import keys, words_of
from cbox_init.reference.schema import EDITOR_LINE, SCHEMA_FILE, schema, schema_text
from tests.docs.markdown import PAGES, ROOT, sections
from tests.docs.test_examples import with_variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbox_init.reference.keys import Key

#: What an error says that no schema can: it needs other keys, other files, a language within a text, or YAML.
BEYOND_A_SCHEMA = (
    "a command is required",
    "no process is defined",
    "no process is called",
    "the processes wait for each other",
    "the key occurs twice",
    "the program is empty",
    "cannot be split into words",
    "contains a NUL character",
    "is neither log nor an absolute path",
    "needs a file: what the log has taken",
    "writes to the same file|writes to it, so that it would follow itself",
    "is not an address or CIDR|has bits set behind its prefix",
    "the pattern has a",
    "has a pattern in the name of a directory",
    "is not an HTTP URL",
    "there is no file|cannot read",
    "the variable API_TOKEN is not set|the key is in vault|is no reference to a variable",
    "expected debug, info, warn or error, got '1'",  # what a variable held
)
BEYOND = re.compile("|".join(BEYOND_A_SCHEMA))


class Sample(NamedTuple):
    """A configuration in the tests or the documentation, and what an editor sees of it."""

    where: str
    text: str
    document: object


class _Editor(yaml.SafeLoader):
    """YAML as editors read it: 1.2's types, without dates."""


_Editor.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool", ":int"))]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Editor.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$", re.IGNORECASE), list("tTfF")
)
_Editor.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Editor.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def _samples() -> Iterator[tuple[str, str]]:
    for file in (*ROOT.glob("examples/**/*.yaml"), *ROOT.glob("tests/config/*.yaml")):
        yield str(file.relative_to(ROOT)), file.read_text()
    for page in PAGES:
        for section in sections(page):
            for language, text, line in section.blocks:
                if language == "yaml":
                    yield f"{page.relative_to(ROOT)}:{line}", text
    for file in sorted(ROOT.glob("tests/config/test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                raw = node.value
                text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
                if re.search(r"^\s*\{?\"?(?:processes|global|hooks)\"?:", text, re.MULTILINE):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", dedent(text)


def _read() -> dict[str, Sample]:
    found: dict[str, Sample] = {}
    for where, text in _samples():
        try:
            document = yaml.load(text, _Editor)
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            continue
        found[f"{where} {len(found)}"] = Sample(where, text, document)
    return found


SAMPLES = _read()
DOCUMENT = schema()


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(DOCUMENT)
    return Draft202012Validator(DOCUMENT)


@pytest.mark.parametrize("name", SAMPLES)
def test_it_agrees_with_the_check(name: str, validator: Draft202012Validator, tmp_path: Path) -> None:
    """What passes the check is valid. Each error that only the check sees is of a known kind."""
    sample = SAMPLES[name]
    file = tmp_path / "cbox-init.yaml"
    file.write_text(sample.text)
    errors = [
        one.message for one in examine(str(file), with_variables(sample.text), strict=True).of(Severity.ERROR)
    ]
    seen = [f"{one.json_path}: {one.message}" for one in validator.iter_errors(sample.document)]
    if not errors:
        assert seen == []
    elif not seen:
        assert [error for error in errors if not BEYOND.search(error)] == []


def test_there_are_enough_samples_of_both_kinds(validator: Draft202012Validator) -> None:
    valid = [validator.is_valid(sample.document) for sample in SAMPLES.values()]
    assert valid.count(True) > 100 and valid.count(False) > 10


#: Values in the form that YAML gives them; each is tried with each key.
VALUES: list[Any] = [
    *(None, "", " ", [], {}, [{}], [None], [["a"]], {"A": "b"}, {"A": None}, {"A": [1]}, {"unknown": 1}),
    *(
        0,
        "0",
        "0s",
        -1,
        "-1",
        1,
        "1",
        16,
        65535,
        70000,
        "70000",
        10**12,
        0.5,
        "0.5",
        "1e3",
        27,
        "027",
        "0o22",
    ),
    *("1.5h", "30s", "30 s", " 30s ", "5m30s", "-5s", -5, "7d", "50MB", "8 MiB", "8M", "8XB", "1TB"),
    *("unlimited", "Infinity", "never", "off", "true", "Yes", "y", True, False, "maybe"),
    *("SIGTERM", "term", "sigterm", "15", 15, "RTMIN+3", "SIGFOO"),
    *("200", "2xx", "200-299", "700", 600, 204, "200, 204", [200, "2xx"], ["700"]),
    *(["a", "b"], "a b", ["A B"], "inherit", "Clean", ["LANG", "DB_*"], ["*"], ["A=b"], "x" * 200_000),
    *("${X}", "${X:-3}", "2027-01-31"),
]


def _tried() -> dict[str, Key]:
    """One key for each kind of value."""
    kinds = {(key.spec, key.section == "", key.name == "env"): key for key in reversed(keys())}
    return {key.path: key for key in kinds.values()}


TRIED = _tried()


@pytest.mark.parametrize("path", TRIED)
def test_it_takes_each_value_that_the_loader_takes(path: str) -> None:
    """And refuses what that refuses, but for references and for ranges of numbers that are texts."""
    key, document = TRIED[path], DOCUMENT
    section = document["$defs"][key.owner.__name__] if key.section else document
    validator = Draft202012Validator({"$defs": document["$defs"], **section["properties"][key.name]})
    words = [
        spelled for word in words_of(key.spec) for spelled in (word, word.upper(), word.replace("-", "_"))
    ]
    too_strict, too_lax = [], []
    for value in (*VALUES, *words):
        report = ProblemReport(strict=True)
        Converter(report, {"X": "3"}).section(key.owner, {key.name: value}, ("web",))
        valid = validator.is_valid(value)
        if not report.failed and not valid:
            too_strict.append(value)
        elif report.failed and valid and not isinstance(value, str):
            too_lax.append(value)
    assert too_strict == []
    assert too_lax == []


@pytest.mark.parametrize("key", keys(), ids=lambda key: key.path)
def test_examples_and_defaults_are_values(key: Key) -> None:
    """Of each key, in the loader and in the schema."""
    report = ProblemReport(strict=True)
    environ = {"API_TOKEN": "0123456789abcdef"}
    values = [yaml.load(key.example, yaml.BaseLoader)] if key.example else []
    if key.default != "\N{EN DASH}":
        values.append(key.default.strip("`"))
    for value in values:
        Converter(report, environ).section(key.owner, {key.name: value}, ("web",))
    problems = [str(one) for one in report.problems() if one.severity is not Severity.SUGGESTION]
    assert problems == []


def test_every_example_is_in_it_and_valid(validator: Draft202012Validator) -> None:
    document = DOCUMENT
    sections = [document, *document["$defs"].values()]
    properties = [one for section in sections for one in section.get("properties", {}).values()]
    assert len(properties) > 250
    for one in properties:
        assert one["description"]
        check = Draft202012Validator({"$defs": document["$defs"], "anyOf": one["anyOf"]})
        for value in (*one.get("examples", ()), *((one["default"],) if "default" in one else ())):
            check.validate(value)


def test_names_of_older_files_are_deprecated() -> None:
    section = DOCUMENT["$defs"]["HealthCheckConfig"]["properties"]
    assert [name for name, one in section.items() if one.get("deprecated")] == ["interval", "retries", "port"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("processes: {web: {comand: a}}", "comand"),
        ("processes: {web: {command: a, scale: two}}", "scale"),
        ("processes: {web: {command: a, type: oneshot, restart: always}}", "restart"),
        ("processes: {web: {command: a, type: oneshot, scale: 2}}", "scale"),
        ("processes: {'a b': {command: a}}", "a b"),
        ("processes: {web: {command: a, env: {'A=B': c}}}", "A=B"),
        ("global: {api_port: 99999}", "api_port"),
    ],
)
def test_mistakes_that_an_editor_shows(text: str, where: str, validator: Draft202012Validator) -> None:
    (error,) = validator.iter_errors(yaml.safe_load(text))
    assert where in json.dumps([one.message for one in _deepest(error)]) + json.dumps(
        [list(one.absolute_path) for one in _deepest(error)]
    )


def _deepest(error: Any) -> list[Any]:
    return [error, *(inner for one in error.context or () for inner in _deepest(one))]


def test_the_published_file_is_up_to_date() -> None:
    assert (ROOT / "docs" / SCHEMA_FILE).read_text() == schema_text(), "run `make reference`"


def test_examples_name_the_published_file() -> None:
    files = [file for file in ROOT.glob("examples/**/*.yaml") if "yaml-language-server" in file.read_text()]
    assert len(files) > 2
    for file in files:
        line, _, path = file.read_text().partition("\n")[0].partition("$schema=")
        assert f"{line}$schema={SCHEMA_FILE}" == EDITOR_LINE
        assert (file.parent / path).resolve() == ROOT / "docs" / SCHEMA_FILE


def test_its_patterns_are_those_of_ecmascript() -> None:
    """As JSON Schema asks for, and editors need: checked by node."""
    script = """
        let count = 0;
        const walk = (value) => {
          if (value === null || typeof value !== "object") return;
          for (const [key, inner] of Object.entries(value)) {
            if (key === "pattern" && typeof inner === "string") { new RegExp(inner, "u"); count += 1; }
            walk(inner);
          }
        };
        walk(JSON.parse(require("fs").readFileSync(0, "utf8")));
        console.log(count);
    """
    done = subprocess.run(
        ["node", "-e", script], input=schema_text(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
