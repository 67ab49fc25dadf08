"""Compresses the web pages when cbox-init is built or installed, also in a development tree (--editable)."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompressPages(BuildHookInterface):
    """Writes src/cbox_init/web/pages.bin, and adds it to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before the wheel is made."""
        package = os.path.join(self.root, "src", "cbox_init", "web")
        spec = importlib.util.spec_from_file_location("pack", os.path.join(package, "pack.py"))
        assert spec is not None and spec.loader is not None
        pack = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pack)
        pack.write(package)
        build_data["artifacts"].append(f"src/cbox_init/web/{pack.PACKED}")
