"""Whether what sends traces is installed, without importing any of it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Final

_SDK: Final = "opentelemetry.sdk.trace"
_GRPC: Final = ("opentelemetry.exporter.otlp.proto.grpc", "grpc")
_HTTP: Final = ("opentelemetry.exporter.otlp.proto.http", "requests")

INSTALL: Final = "pip install 'cbox-init[tracing]'"


def missing_package(*, grpc: bool) -> str | None:
    """A module that is not installed and is needed to send over gRPC, or over HTTP; None with all of them."""
    needed = (_SDK, *(_GRPC if grpc else _HTTP))
    return next((name for name in needed if not _is_installed(name)), None)


def _is_installed(module: str) -> bool:
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except ValueError:  # something that is no module has its name
        return False
    if spec is None:
        return False
    # What is below may be without __init__.py, in several folders, and is not imported to be found.
    places = spec.submodule_search_locations or ()
    return not rest or any(os.path.isdir(os.path.join(place, *rest)) for place in places)
