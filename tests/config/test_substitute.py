from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbox_init.config.problems import Severity
from cbox_init.config.substitute import (
    INSTANCE_NAMES,
    expand,
    expand_instance,
    hide_references,
    references,
    show_references,
)
from tests.config.helpers import config_of, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read

VARIABLES = {"SET": "value", "EMPTY": "", "NESTED": "${SET}", "KEPT": "never", "OWN": "a${KEPT}"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain $SET", "plain $SET"),
        ("${SET}", "value"),
        ("a${SET}b${SET}c", "avaluebvaluec"),
        ("${UNSET}", ""),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${SET:-other}", "value"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a b:c}", "a b:c"),
        ("${UNSET-other}", "other"),
        ("${EMPTY-other}", ""),
        ("${SET-other}", "value"),
        ("${UNSET:+other}", ""),
        ("${EMPTY:+other}", ""),
        ("${SET:+other}", "other"),
        ("${UNSET+other}", ""),
        ("${EMPTY+other}", "other"),
        ("${SET:?message}", "value"),
        ("${EMPTY?message}", ""),
        ("${UNSET:-${SET}}", "value"),
        ("${UNSET:-a${EMPTY:-${SET}}b}", "avalueb"),
        ("${SET:-${UNSET}}", "value"),
        ("${SET:-${UNSET:?message}}", "value"),
        ("${KEPT}", "${KEPT}"),
        ("${KEPT:-1}", "${KEPT:-1}"),
        ("${KEPT:-${SET}}", "${KEPT:-value}"),
        ("$${SET}", "$${SET}"),
        ("$$${SET}", "$$${SET}"),
        ("${NESTED}", "$${SET}"),
        ("{a: ${SET}}", "{a: value}"),
    ],
)
def test_expand(text: str, expanded: str) -> None:
    found = expand(text, VARIABLES, frozenset(("KEPT",)))
    assert (found.text, found.errors) == (expanded, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${1}", "${1} is no reference to a variable"),
        ("${}", "${} is no reference to a variable"),
        ("${SET/a/b}", "${SET/a/b} is no reference to a variable"),
        ("${SET:0:3}", "${SET:0:3} is no reference to a variable"),
        ("${SET", "${SET is no reference to a variable"),
        ("${{ x }}", "${{ x } is no reference to a variable"),
        ("${UNSET:-a", "${UNSET:- is not closed"),
        ("${UNSET:?no key}", "UNSET: no key"),
        ("${EMPTY:?}", "EMPTY: is empty"),
        ("${UNSET?}", "UNSET: is not set"),
        ("${UNSET:-${OTHER:?no key}}", "OTHER: no key"),
        ("${KEPT:?no port}", "${KEPT} is set for each instance and cannot be checked here"),
    ],
)
def test_what_is_no_reference_or_lacks_a_value(text: str, message: str) -> None:
    ((found, hint),) = expand(text, VARIABLES, frozenset(("KEPT",))).errors
    assert found == message
    assert hint


@pytest.mark.parametrize(
    ("text", "unset"),
    [
        ("${UNSET} ${SET}", ("UNSET",)),
        ("${EMPTY}", ()),
        ("${UNSET:-}", ()),
        ("${SET:-${UNSET}}", ()),
        ("${EMPTY:-${UNSET}}", ("UNSET",)),
        ("${KEPT:-${UNSET}}", ("UNSET",)),
        ("$${UNSET}", ()),
    ],
)
def test_names_without_a_value(text: str, unset: tuple[str, ...]) -> None:
    assert expand(text, VARIABLES, frozenset(("KEPT",))).unset == unset


def test_an_instance_completes_its_own_names_and_no_others() -> None:
    assert expand_instance("${PORT} ${OTHER}", {"PORT": "80", "OTHER": "x"}) == "80 ${OTHER}"
    assert expand_instance("${PORT:-1} ${PORT:+on}", {}) == "1 "


@example("${${")
@given(st.text(alphabet="${}PORT:-?+ a\n"))
def test_what_a_variable_holds_arrives_unchanged(value: str) -> None:
    found = expand("<${SECRET}>", {"SECRET": value}, INSTANCE_NAMES)
    assert expand_instance(found.text, {"PORT": "80"}) == f"<{value}>"
    assert not found.errors


@given(st.text(alphabet="${}PORT:-?+,#[] a\n"))
def test_any_text_can_be_read_and_shown_again(text: str) -> None:
    expand(text, {"PORT": "a"})
    expand_instance(text, {"PORT": "a"})
    references(text)
    hidden = hide_references(text)
    assert len(hidden) == len(text)
    assert show_references(hidden) == text


@pytest.mark.parametrize("text", ["${A:-", "${", "}", "${A}", "$${", "${A:-}", "${A:-${A}", "$"])
def test_the_time_is_linear(text: str) -> None:
    def cost(count: int) -> float:
        begun = time.process_time()
        long = text * count
        expand(long, {"A": "b"})
        expand_instance(long, {})
        hide_references(long)
        references(long)
        return time.process_time() - begun

    gc.collect()
    gc.disable()  # a collection of all that a test run holds takes 0.2 s
    try:
        cost(1000)
        assert cost(40_000) < 200 * max(cost(1000), 0.001), "40 times as much takes some 40 times as long"
    finally:
        gc.enable()


def test_names_programs_and_numbers_may_be_variables(read: Read) -> None:
    text = """
        processes:
          ${NAME}:
            command: ["${PROGRAM:-sleep}", "$HOME"]
            scale: ${SCALE:-2}
            user: ${UNSET}
            depends_on: [${FIRST:-a}, ${SECOND}]
            env: {A: ${COLOUR:-#fff}, B: "${TEXT}"}
          a: {command: a}
          b: {command: b}
    """
    found = read(text, {"NAME": "web", "SECOND": "b", "TEXT": "1: 2"})
    process = config_of(found).processes["web"]
    assert (process.command, process.scale, process.user) == (("sleep", "$HOME"), 2, None)
    assert process.depends_on == ("a", "b")
    assert process.env == {"A": "#fff", "B": "1: 2"}
    (unset,) = found.problems
    assert (unset.field, unset.line) == ("processes.web.user", 6)
    assert unset.severity is Severity.WARNING
    assert unset.message == "${UNSET} is not set, so it is empty"
    assert unset.recommendation == "set UNSET, or write ${UNSET:-default}"


SECRET = "a\"b'c\\d\ne: f #g {h} [i], ${PORT} $${X}\t\N{SNOWMAN}"


@pytest.mark.parametrize(
    "scalar", ['"${SECRET}"', "'${SECRET}'", "${SECRET}", "|-\n                ${SECRET}"]
)
def test_a_secret_arrives_as_it_is(read: Read, scalar: str) -> None:
    text = f"""
        global: {{api_auth: "${{SECRET}}"}}
        processes:
          web:
            command: [a, "${{SECRET}}"]
            env:
              TOKEN: {scalar}
    """
    config = config_of(read(text, {"SECRET": SECRET}))
    web = config.processes["web"]
    assert config.global_.api_auth is not None
    assert config.global_.api_auth.reveal() == SECRET.strip()
    assert expand_instance(web.env["TOKEN"], {"PORT": "80"}) == SECRET
    assert expand_instance(web.command[1], {"PORT": "80"}) == SECRET


def test_a_variable_may_hold_a_list_or_nothing_where_it_is_not_quoted(read: Read) -> None:
    text = """
        processes:
          web: {command: ${COMMAND}, depends_on: ${NEEDS}, env: ${ENV}, shutdown: ${NOTHING-}}
          a: {command: a}
    """
    environ = {"COMMAND": '["serve", "a b"]', "NEEDS": "[a]", "ENV": "{A: b}"}
    web = config_of(read(text, environ)).processes["web"]
    assert (web.command, web.depends_on, web.env) == (("serve", "a b"), ("a",), {"A": "b"})
    found = read(text, {**environ, "NEEDS": "[a"})
    assert the_error(found).message == "expected a list of texts, got a single value"


def test_errors_have_their_line(read: Read) -> None:
    found = read("processes:\n  web:\n    command: a\n    working_dir: ${HOME//a/b}\n")
    assert (the_error(found).field, the_error(found).line) == ("processes.web.working_dir", 4)
    found = read("processes:\n  web:\n    command: a\n    env:\n      KEY: ${KEY:?the key is in vault}\n")
    assert str(the_error(found)) == (
        "line 5: processes.web.env.KEY: KEY: the key is in vault (set the environment variable KEY)"
    )


def test_each_name_is_reported_once(read: Read) -> None:
    found = read("processes:\n  a: {command: '${X} ${X}'}\n  b: {command: 'b ${X}'}\n", {})
    assert [problem.line for problem in found.of(Severity.WARNING)] == [2]


def test_comments_are_not_looked_at(read: Read) -> None:
    assert read("# ${UNSET} ${1\nprocesses: {web: {command: a}} # ${X:?no}\n").problems == ()


def test_a_literal_reference(read: Read) -> None:
    text = """
        processes:
          web:
            command: ["sh", "-c", "echo $${HOME} $${PORT} ${PORT}"]
            working_dir: /srv/$${PORT}
    """
    found = read(text)
    web = config_of(found).processes["web"]
    assert expand_instance(web.command[2], {"PORT": "80"}) == "echo ${HOME} ${PORT} 80"
    assert web.working_dir == "/srv/${PORT}"
    assert found.problems == ()


def test_the_replacement_of_a_pattern_names_groups(read: Read) -> None:
    text = """
        global: {log_redaction_placeholder: "${MASK:-xxx}"}
        processes:
          web:
            command: a
            logging:
              redaction:
                enabled: true
                patterns:
                  - {name: one, pattern: '(?P<name>a)(b)', replacement: "${name}-${2}-${PORT}-$${1}"}
    """
    found = read(text, {"name": "wrong"})
    redaction = found.config and found.config.processes["web"].logging.redaction
    assert redaction
    assert redaction.patterns[0].replacement == "${name}-${2}-${PORT}-$${1}"
    assert [problem.message for problem in found.problems] == [
        "$PORT is always empty: the pattern has no such group"
    ]


def test_names_of_an_instance_are_left_where_it_puts_them_in(read: Read) -> None:
    text = """
        processes:
          web:
            command: serve --port=${PORT} ${CBOX_INIT_INSTANCE_ID}
            env: {NUMBER: "${CBOX_INIT_INSTANCE_NUMBER}"}
            health_check: {address: "localhost:${PORT}"}
    """
    process = config_of(read(text, {"PORT": "1"})).processes["web"]
    assert process.command == ("serve", "--port=${PORT}", "${CBOX_INIT_INSTANCE_ID}")
    assert process.env == {"NUMBER": "${CBOX_INIT_INSTANCE_NUMBER}"}
    assert process.health_check is not None
    assert process.health_check.address == "localhost:${PORT}"


def test_elsewhere_they_come_from_the_environment(read: Read) -> None:
    text = "global: {api_port: '${PORT:-9181}'}\nprocesses: {web: {command: a}}"
    assert config_of(read(text)).global_.api_port == 9181
    assert config_of(read(text, {"PORT": "80"})).global_.api_port == 80


def test_an_instance_name_that_means_nothing_there_is_told(read: Read) -> None:
    found = read("processes: {web: {command: a, working_dir: '/srv/${CBOX_INIT_INSTANCE_INDEX}'}}")
    (problem,) = found.problems
    assert problem.field == "processes.web.working_dir"
    assert "only in command, env and health_check" in problem.message
    assert config_of(found).processes["web"].working_dir == "/srv/"


def test_all_variables_of_an_instance_are_known() -> None:
    assert {"PORT", "CBOX_INIT_PROCESS_NAME", "CBOX_INSTANCE"} <= INSTANCE_NAMES


def test_two_names_that_become_one_are_an_error(read: Read) -> None:
    found = read("processes: {web: {command: a}, '${NAME}': {command: b}}", {"NAME": "web"})
    assert the_error(found).message == "is web, which is there already"


def test_an_alias_is_replaced_once(read: Read) -> None:
    text = """
        x-env: &env {A: "${LITERAL}"}
        processes: {web: {command: a, env: *env}, b: {command: b, env: {<<: *env, B: c}}}
    """
    config = config_of(read(text, {"LITERAL": "${PORT}"}))
    assert config.processes["web"].env == {"A": "$${PORT}"}
    assert config.processes["b"].env == {"A": "$${PORT}", "B": "c"}
