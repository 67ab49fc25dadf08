"""Importing a library without the parts of it that nobody needs here."""

from __future__ import annotations

import sys


class without:  # noqa: N801  # reads as the statement that it is: ``with without("ssl"): import asyncio``
    """While it lasts, an import of ``module`` fails as if it were not installed.

    For libraries that treat it as optional. A module that is loaded already stays as it is, and later imports
    find it again.
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
