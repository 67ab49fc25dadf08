"""The keys that give a process fewer rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import CapabilitiesConfig
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read


def test_what_is_written_is_read(read: Read) -> None:
    found = read(
        "processes: {web: {command: a, user: www-data, no_new_privileges: yes, private_tmp: yes, "
        "read_only_paths: [/etc], capabilities: {drop: [all], add: [CAP_CHOWN]}}}",
        {"CBOX_INIT_PROCESS_WEB_CAPABILITIES_AMBIENT": '["net_raw"]'},
    )
    process = config_of(found).processes["web"]
    assert process.capabilities == CapabilitiesConfig(drop=("all",), add=("CAP_CHOWN",), ambient=("net_raw",))
    assert (process.no_new_privileges, process.private_tmp, process.read_only_paths) == (
        True,
        True,
        ("/etc",),
    )
    assert fields(found, Severity.WARNING) == []


@pytest.mark.parametrize(
    ("keys", "path", "message", "hint"),
    [
        (
            "capabilities: {drop: [NET_BIND]}",
            "capabilities.drop[0]",
            "expected the name of a capability, got 'NET_BIND'",
            "did you mean NET_ADMIN?",
        ),
        (
            "capabilities: {ambient: [ALL, '']}",
            "capabilities.ambient[1]",
            "expected the name of a capability, got ''",
            "use a name such as NET_BIND_SERVICE, or ALL",
        ),
        (
            "capabilities: {drop: [CHOWN], add: [cap_chown]}",
            "capabilities.add",
            "CHOWN is in drop too",
            "remove it from one of them",
        ),
        (
            "capabilities: {drop: ALL}",
            "capabilities.drop",
            "expected a list of texts, got a single value",
            "write it as [a, b], or one entry a line with a dash",
        ),
        (
            "read_only_paths: [/etc, etc]",
            "read_only_paths[1]",
            "expected an absolute path, got 'etc'",
            "begin it with /",
        ),
        (
            f"read_only_paths: [{', '.join(['/a'] * 101)}]",
            "read_only_paths",
            "has 101 entries, at most 100 are allowed",
            "name a directory above several of them",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_wrong_is_one_line(read: Read, keys: str, path: str, message: str, hint: str) -> None:
    error = the_error(read(f"processes: {{web: {{command: a, user: a, {keys}}}}}"))
    assert (error.field, error.message, error.recommendation) == (f"processes.web.{path}", message, hint)


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("read_only_paths: [/etc]", True),
        ("private_tmp: true, user: root", True),
        ("private_tmp: true, user: '0', capabilities: {drop: [NET_RAW]}", True),
        ("private_tmp: true, capabilities: {drop: [ALL], add: [SYS_ADMIN]}", True),
        ("private_tmp: true, capabilities: {drop: [ALL], ambient: [SYS_PTRACE]}", True),
        ("private_tmp: true, capabilities: {drop: [ALL], add: [ALL]}", True),
        ("private_tmp: true, capabilities: {drop: [SYS_ADMIN, CAP_SYS_PTRACE]}", False),
        ("private_tmp: true, capabilities: {drop: [ALL], add: [CHOWN]}", False),
        ("private_tmp: true, capabilities: {drop: [ALL], ambient: [ALL]}", False),
        ("private_tmp: true, user: www-data", False),
        ("no_new_privileges: true", False),
    ],
)
def test_root_that_can_undo_its_mounts_is_a_warning(read: Read, keys: str, warned: bool) -> None:
    found = read(f"processes: {{web: {{command: a, {keys}}}}}")
    assert [name.partition("web.")[2] for name in fields(found, Severity.WARNING)] == (
        [keys.partition(":")[0]] if warned else []
    )


@pytest.mark.parametrize(("user", "suggested"), [("www-data", True), ("root", False)])
def test_a_capability_that_another_user_would_not_have(read: Read, user: str, suggested: bool) -> None:
    found = read(f"processes: {{web: {{command: a, user: {user}, capabilities: {{add: [NET_RAW]}}}}}}")
    assert fields(found, Severity.SUGGESTION) == (["processes.web.capabilities.add"] if suggested else [])


def test_what_private_tmp_hides_is_a_warning(read: Read) -> None:
    found = read(
        "processes: {web: {command: a, user: a, private_tmp: true, "
        "read_only_paths: [/tmp/a, /tmpfs, /var//tmp], "
        "logging: {files: {a: {path: /tmp/a.log}, b: {path: /var/log/b.log}}}}}"
    )
    assert fields(found, Severity.WARNING) == [
        "processes.web.read_only_paths[0]",
        "processes.web.read_only_paths[2]",
        "processes.web.logging.files.a.path",
    ]
