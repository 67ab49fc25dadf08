"""Whatever a file or the environment holds, the result is a configuration or problems, never an exception."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.config.load import Examined, examine
from cbox_init.config.model import GlobalConfig, ProcessConfig
from cbox_init.config.schema import fields_of
from cbox_init.machine import check_machine

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["${PORT}", "1s"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
PROCESSES = st.dictionaries(
    st.text(), st.dictionaries(st.sampled_from(list(fields_of(ProcessConfig))), VALUES) | VALUES, max_size=3
)
FILES = st.fixed_dictionaries(
    {
        "global": st.dictionaries(st.sampled_from(list(fields_of(GlobalConfig))), VALUES) | VALUES,
        "processes": PROCESSES,
    }
)
YAML = st.text(st.sampled_from("abp:-[]{},&*<|>'\"# \n\t\0~!%@?\u00e9\ufeff${}"))


def examined(content: bytes, environ: dict[str, str] | None = None) -> Examined:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "c.yaml")
        file.write_bytes(content)
        found = examine(str(file), environ or {}, machine=check_machine)
    assert found.valid == (not any(problem.severity == "error" for problem in found.problems))
    for problem in found.problems:
        assert problem.message
        assert problem.recommendation
        assert str(problem).isprintable()
    return found


@settings(deadline=None, max_examples=200)
@given(st.binary() | YAML.map(str.encode))
def test_any_bytes(content: bytes) -> None:
    examined(content)


@settings(deadline=None, max_examples=200)
@given(FILES)
def test_any_values(content: object) -> None:
    examined(json.dumps(content).encode())


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.builds(
            "{}{}".format,
            st.sampled_from(["CBOX_INIT_GLOBAL_", "CBOX_INIT_PROCESS_", "CBOX_INIT_PROCESS_WEB_"]),
            st.text()
            | st.sampled_from(
                ["API_TLS", "ENV_A", "COMMAND", "SCALE", "HEALTH_CHECK", "LOGGING_FILTER_PATTERNS"]
            ),
        ),
        st.text() | VALUES.map(json.dumps) | st.just("\udcff"),
    )
)
def test_any_environment(environ: dict[str, str]) -> None:
    examined(b"processes: {web: {command: a}}", environ)
