"""Writing a configuration, and reading it as the daemon would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import TYPE_CHECKING, TypeAlias

import pytest

from cbox_init.config.load import Examined, examine

if TYPE_CHECKING:
    from pathlib import Path

Read: TypeAlias = Callable[..., Examined]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a text (or bytes) as a file, under an environment that is empty by default."""

    def read(
        content: str | bytes, environ: Mapping[str, str] | None = None, *, strict: bool = False
    ) -> Examined:
        file = tmp_path / "cbox-init.yaml"
        file.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
        return examine(str(file), environ or {}, strict=strict)

    return read
