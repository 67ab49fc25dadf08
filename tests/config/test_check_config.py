"""What check-config prints, and its exit code."""

from __future__ import annotations

import io
import json
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from cbox_init import __version__
from cbox_init.cli.check_config import run

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "global: {shutdown_timeout: 45}\nprocesses: {web: {command: [sleep, '1']}}\n"
WARNS = GOOD + "extra: 1\n"
BAD = "processes:\n  web:\n    command: sleep 1\n    scale: many\nextra: 1\n"


def check(
    directory: Path, text: str, *, strict: bool = False, as_json: bool = False, quiet: bool = False
) -> tuple[int, str]:
    file = directory / "c.yaml"
    file.write_text(text)
    out = io.StringIO()
    code = run(str(file), {}, strict, as_json, quiet, out)
    return code, out.getvalue().replace(str(file), "FILE")


def test_a_good_file(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == (0, "FILE: valid, 1 process; 0 errors, 0 warnings, 0 suggestions\n")
    assert check(tmp_path, GOOD, quiet=True) == (0, "")
    assert check(tmp_path, GOOD, strict=True)[0] == 0


def test_a_bad_file(tmp_path: Path) -> None:
    code, text = check(tmp_path, BAD)
    assert code == 1
    assert text == dedent("""\
        error: line 4: processes.web.scale
            expected a whole number or auto, got 'many'
            -> write digits only, such as 3, or auto for one instance a CPU
        warning: line 5: extra
            unknown key
            -> remove it, or correct its name
        FILE: not valid; 1 error, 1 warning, 0 suggestions
        """)


@pytest.mark.parametrize("text", ["processes: [", "", "- a\n", "processes: {}\n"])
def test_files_without_a_configuration(tmp_path: Path, text: str) -> None:
    code, shown = check(tmp_path, text)
    assert code == 1
    assert "FILE: not valid; 1 error" in shown
    code, shown = check(tmp_path, text, as_json=True)
    assert code == 1
    assert json.loads(shown)["counts"] == {"errors": 1, "warnings": 0, "suggestions": 0}


def test_strict_fails_on_warnings(tmp_path: Path) -> None:
    assert check(tmp_path, WARNS)[0] == 0
    code, text = check(tmp_path, WARNS, strict=True, quiet=True)
    assert code == 1
    assert text.startswith("error: line 3: extra\n")
    built = GOOD.replace("45", "45, process_stop_timeout: 5")
    assert check(tmp_path, built)[0] == 0
    assert check(tmp_path, built, strict=True)[0] == 1


def test_quiet_leaves_out_what_does_not_fail(tmp_path: Path) -> None:
    assert check(tmp_path, WARNS, quiet=True) == (0, "")
    code, text = check(tmp_path, BAD, quiet=True)
    assert (code, text.count("error:"), text.count("warning:")) == (1, 1, 0)


def test_json(tmp_path: Path) -> None:
    code, text = check(tmp_path, WARNS, as_json=True)
    assert code == 0
    assert json.loads(text) == {
        "valid": True,
        "errors": [],
        "warnings": [
            {
                "field": "extra",
                "message": "unknown key",
                "recommendation": "remove it, or correct its name",
                "severity": "warning",
            }
        ],
        "suggestions": [],
        "summary": {
            "config_path": "FILE",
            "version": __version__,
            "process_count": 1,
            "log_level": "info",
            "shutdown_timeout": "45s",
        },
        "counts": {"errors": 0, "warnings": 1, "suggestions": 0},
    }


def test_users_that_this_machine_lacks_are_told(tmp_path: Path) -> None:
    text = (
        "processes:\n"
        "  web: {command: a, user: nobody-of-that-name, group: 12345}\n"
        "  api: {command: a, user: root}\n"
    )
    code, shown = check(tmp_path, text)
    assert code == 0
    assert "warning: line 2: processes.web.user\n    no user 'nobody-of-that-name' on this machine" in shown
    assert "1 warning," in shown


def test_a_suggestion(tmp_path: Path) -> None:
    code, shown = check(tmp_path, GOOD.replace("45", "45, api_enabled: true, api_auth: abc"), strict=True)
    assert code == 0
    assert "suggestion: line 1: global.api_auth" in shown


def test_the_environment_alone() -> None:
    out = io.StringIO()
    assert run(None, {"CBOX_INIT_PROCESS_WEB_COMMAND": "sleep 1"}, False, False, False, out) == 0
    assert out.getvalue().startswith("the environment: valid, 1 process;")
