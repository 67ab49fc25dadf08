from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.substitute import INSTANCE_NAMES, expand, expand_instance
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from tests.config.conftest import Read


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
        ("${KEPT}", "${KEPT}"),
        ("${KEPT:-1}", "${KEPT:-1}"),
        ("${1}", "${1}"),
        ("${}", "${}"),
        ("${SET", "${SET"),
        ("${UNSET:?message}", "${UNSET:?message}"),
        ("${NESTED}", "${SET}"),
    ],
)
def test_expand(text: str, expanded: str) -> None:
    variables = {"SET": "value", "EMPTY": "", "NESTED": "${SET}", "KEPT": "never"}
    assert expand(text, variables, frozenset(("KEPT",))) == expanded


def test_an_instance_completes_its_own_names_and_no_others() -> None:
    assert expand_instance("${PORT} ${OTHER}", {"PORT": "80", "OTHER": "x"}) == "80 ${OTHER}"


def test_a_file_is_completed_before_it_is_yaml(read: Read) -> None:
    text = """
        processes:
          ${NAME}:
            command: ["${PROGRAM:-sleep}", "$HOME"]
            scale: ${SCALE:-2}
            user: ${UNSET}
    """
    process = config_of(read(text, {"NAME": "web"})).processes["web"]
    assert (process.command, process.scale, process.user) == (("sleep", "$HOME"), 2, None)


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
    assert "known only in command, env and health_check" in problem.message
    assert config_of(found).processes["web"].working_dir == "/srv/"


def test_all_variables_of_an_instance_are_known() -> None:
    assert {"PORT", "CBOX_INIT_PROCESS_NAME", "CBOX_INSTANCE"} <= INSTANCE_NAMES
