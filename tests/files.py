"""Files that another program renames while a test looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from pathlib import Path


def status(path: Path) -> os.stat_result | None:
    """The status of what is at ``path``, a link too; None when nothing is, as in the middle of a rotation."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
