"""A text that must not be seen."""

from __future__ import annotations

from typing import NoReturn

from cbox_init.sensitive import MASK

__all__ = ["MASK", "Secret"]


class Secret:
    """A text that shows itself as ``***`` wherever it is printed, encoded or formatted.

    ``reveal()`` gives the text: call it where it is used, and keep the result in no variable that outlives
    the call. It cannot be pickled, and msgspec refuses to encode it.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        return self.__text == other.__text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled; hand on what reveal() gives")
