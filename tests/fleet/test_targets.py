"""Which daemons a fleet has: files, names, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.client.address import ClientTls
from cbox_init.errors import ClientError
from cbox_init.fleet.targets import MOST_TARGETS, DaemonTarget, read_targets, select, target_at, unique

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> str:
    path = folder / "fleet.yaml"
    path.write_text(text)
    return str(path)


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    path = write(
        tmp_path,
        f"""
targets:
  - http://10.0.0.5:9180
  - {{name: api, url: "https://api:9180", token_env: API, cacert: /ca, cert: /cert, key: /key}}
  - {{socket: /run/cbox-init.sock}}
  - {{name: other, url: "http://other:1", token_file: {tmp_path}/token}}
""",
    )
    assert read_targets(path, {"API": "from-environment"}) == [
        DaemonTarget("10.0.0.5:9180", "http://10.0.0.5:9180"),
        DaemonTarget("api", "https://api:9180", None, "from-environment", ClientTls("/ca", "/cert", "/key")),
        DaemonTarget("cbox-init.sock", socket="/run/cbox-init.sock"),
        DaemonTarget("other", "http://other:1", None, "from-file"),
    ]


def test_a_list_alone_will_do(tmp_path: Path) -> None:
    assert read_targets(write(tmp_path, "[http://a:1, http://b:2]"), {}) == [
        DaemonTarget("a:1", "http://a:1"),
        DaemonTarget("b:2", "http://b:2"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("targets: [{url: http://a, socket: /b}]", "targets[0]: give either url or socket"),
        ("targets: [{name: a}]", "targets[0]: give either url or socket"),
        ("targets: [{url: http://a, token: a, token_env: B}]", "targets[0]: give one of token, token_file"),
        ("targets: [{url: http://a, token_env: B}]", "targets[0].token_env: B is not set"),
        (
            "targets: [{url: http://a, token_file: /nowhere/at/all}]",
            "/nowhere/at/all does not exist; mount it",
        ),
        ("targets: [{url: http://a, tokn: b}]", "targets[0]: Object contains unknown field `tokn`"),
        ("targets: [[]]", "targets[0]: Expected `str | object`, got `array`"),
        ("targets: http://a", "targets: Expected `array`"),
        ("[", "line 2: not valid YAML"),
        ("a: b: c", "line 1: not valid YAML: mapping values are not allowed"),
        ("", "Expected `object`"),
        ("\x00", "line 1: not valid YAML: control characters are not allowed"),
        ("[" * 500_000, "line 1: not valid YAML: exceeded maximum nesting depth"),
        ("a: !!python/object:os.system {}", "unknown field `a`"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ClientError) as raised:
        read_targets(path, {})
    message = str(raised.value)
    assert message.startswith(path)
    assert why in message
    assert "\n" not in message


def test_a_file_that_is_missing_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        read_targets(str(tmp_path / "none.yaml"), {})
    with pytest.raises(ClientError, match="larger than 1 MiB"):
        read_targets(write(tmp_path, "#" * (1 << 20) + "\n[]"), {})


def test_names_and_addresses_are_unique() -> None:
    given = [
        DaemonTarget("web", "http://a:1"),
        DaemonTarget("web", "http://b:1"),
        DaemonTarget("again", "http://a:1"),
        DaemonTarget("web-2", "http://c:1"),
    ]
    assert [one.name for one in unique(given)] == ["web", "web-2", "web-2-2"]
    many = [target_at(f"http://10.0.0.1:{port}") for port in range(MOST_TARGETS + 1)]
    assert len(unique(many[:-1])) == MOST_TARGETS
    with pytest.raises(ClientError, match="more than 1000 daemons"):
        unique(many)


def test_selection_by_name() -> None:
    targets = [
        DaemonTarget("web-1", "http://a"),
        DaemonTarget("web-2", "http://b"),
        DaemonTarget("db", "http://c"),
    ]
    assert select(targets, ["web-*"]) == targets[:2]
    assert select(targets, []) == targets
    with pytest.raises(ClientError, match="no daemon matches api; there are web-1, web-2, db"):
        select(targets, ["api"])
