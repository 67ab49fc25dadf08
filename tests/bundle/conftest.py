"""Tests of the bundle that BUNDLE names, as `make test-bundle` does; `make test` leaves them out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bundle.root import Root

if TYPE_CHECKING:
    from collections.abc import Iterator

if "BUNDLE" not in os.environ:
    collect_ignore_glob = ["test_*"]


@pytest.fixture(scope="session")
def bundle() -> Path:
    return Path(os.environ["BUNDLE"]).resolve()


@pytest.fixture
def root(tmp_path: Path, bundle: Path) -> Iterator[Root]:
    """A root file system that has the bundle, devices, and nothing else."""
    made = Root(tmp_path / "root", bundle)
    yield made
    made.end()
