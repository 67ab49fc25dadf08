"""Imports a library without an optional module that it would import, to save time and memory."""

from __future__ import annotations

import sys


class without:  # noqa: N801  # used as a statement: ``with without("ssl"): import asyncio``
    """A context in which an import of ``module`` fails as if it were not installed.

    For libraries that treat the module as optional. It has no effect if the module is loaded already. Later
    imports find the module again.
    """

    __slots__ = ("_hidden", "_module")

    def __init__(self, module: str) -> None:
        self._module = module
        self._hidden = False

    def __enter__(self) -> None:
        if self._module not in sys.modules:
            self._hidden = True
            sys.modules[self._module] = None  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        if self._hidden:
            del sys.modules[self._module]
