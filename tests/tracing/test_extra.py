"""Whether the packages that send traces are there, found without an import."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from cbox_init.tracing import extra

FRESH = """
import sys
from cbox_init.tracing.extra import missing_package
assert missing_package(grpc=True) is None and missing_package(grpc=False) is None
import cbox_init.tracing.tracing, cbox_init.tracing.stdout
LATER = ("opentelemetry", "grpc", "requests", "asyncio", "hashlib", "random", "ssl", "logging")
assert not [name for name in sys.modules if name.partition(".")[0] in LATER]
"""


def test_they_are_found_and_not_imported() -> None:
    subprocess.run([sys.executable, "-c", FRESH], check=True, timeout=60)


@pytest.mark.parametrize(
    ("module", "grpc", "missing"),
    [
        ("opentelemetry", True, "opentelemetry.sdk.trace"),
        ("grpc", True, "grpc"),
        ("grpc", False, None),
        ("requests", False, "requests"),
    ],
)
def test_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, module: str, grpc: bool, missing: str | None
) -> None:
    def find(name: str) -> object:
        return None if name == module else find_spec(name)

    monkeypatch.setattr(extra, "find_spec", find)
    assert extra.missing_package(grpc=grpc) == missing
