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


def in_parts(package: str, **names: str) -> None:
    """Let modules of ``package`` be imported without what the package itself imports for its users.

    What these modules ask of the package are its ``names``, each with the module that has it. For any other
    name the package is loaded after all. One that is loaded already stays as it is; that one is not there is
    told by the import of its modules.
    """
    if package in sys.modules:
        return
    from importlib import import_module
    from importlib.util import find_spec, module_from_spec

    spec = find_spec(package)
    if spec is None or spec.loader is None or not spec.submodule_search_locations:
        return
    module = module_from_spec(spec)
    load = spec.loader.exec_module

    def find(name: str) -> object:
        if name in names:
            return getattr(import_module(names[name]), name)
        if name.startswith("__"):
            raise AttributeError(name)
        if find_spec(f"{package}.{name}"):
            return import_module(f"{package}.{name}")
        del module.__getattr__
        load(module)
        return getattr(module, name)

    module.__getattr__ = find  # type: ignore[method-assign]
    sys.modules[package] = module
