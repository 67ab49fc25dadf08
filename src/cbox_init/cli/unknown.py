"""A name that the daemon does not know: say which one was probably meant."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cbox_init.cli.words import nearest
from cbox_init.errors import ApiError, ClientError, UnknownProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.client import Client

_MOST_NAMES = 10


@contextmanager
def naming_nearest(client: Client, name: str) -> Iterator[None]:
    """Make an error about the unknown process ``name`` say which names there are."""
    try:
        yield
    except (ApiError, UnknownProcess) as error:
        if isinstance(error, ApiError) and error.status != 404:
            raise
        known = [entry.name for entry in client.processes()]
        if name in known:
            raise
        raise ClientError(unknown_process(name, known)) from None


def check_known(client: Client, names: Sequence[str]) -> None:
    """Raise ClientError for the first of ``names`` that the daemon does not know."""
    known = [entry.name for entry in client.processes()] if names else []
    for name in names:
        if name not in known:
            raise ClientError(unknown_process(name, known))


def unknown_process(name: str, known: Sequence[str]) -> str:
    """One line about a name that is not among ``known``."""
    meant = nearest(name, known)
    if meant is not None:
        return f"no process is named {name!r}; did you mean {meant!r}?"
    if not known:
        return f"no process is named {name!r}; there is none at all"
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return f"no process is named {name!r}; there are {', '.join(known[:_MOST_NAMES])}{more}"
