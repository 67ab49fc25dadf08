"""Imports a library without an optional module that it would import, to save time and memory."""

from __future__ import annotations

import sys
import threading

_hiding = threading.RLock()


class whole:  # noqa: N801  # used as a statement: ``with whole(): import httpx``
    """A context for imports in a thread: while it lasts, nothing is hidden from it by `without`."""

    __slots__ = ()

    def __enter__(self) -> None:
        _hiding.acquire()

    def __exit__(self, *_: object) -> None:
        _hiding.release()


class without:  # noqa: N801  # used as a statement: ``with without("ssl"): import asyncio``
    """A context in which an import of ``module`` fails as if it were not installed.

    For libraries that treat the module as optional. It has no effect if the module is loaded already. Later
    imports find the module again. It is hidden from other threads as well: one that may run meanwhile imports
    under `whole`.
    """

    __slots__ = ("_hidden", "_module")

    def __init__(self, module: str) -> None:
        self._module = module
        self._hidden = False

    def __enter__(self) -> None:
        _hiding.acquire()
        if self._module not in sys.modules:
            self._hidden = True
            sys.modules[self._module] = None  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        if self._hidden:
            del sys.modules[self._module]
        _hiding.release()
