"""Which file is which while names change: what was at a path, and what it is called now.

Pure: takes the events of one directory in their order. A file may be renamed several times before it is
opened; it is found by its current name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.system.inotify import CREATE, DELETE, MOVED_FROM, MOVED_TO

if TYPE_CHECKING:
    from cbox_init.system.inotify import InotifyEvent

_MOST_ON_THE_MOVE: Final = 64


class FileGeneration:
    """One file that is or was at the path. ``name`` is None when it has no name in the directory any more.

    ``moving`` means that only the first half of a rename was seen: its name may come with the next event.
    """

    __slots__ = ("moving", "name")

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.moving = False

    @property
    def lost(self) -> bool:
        """Whether it has no name that it could be opened by."""
        return self.name is None and not self.moving


class FileNames:
    """The generations of the file called ``base``, by their names in its directory."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._named: dict[str, FileGeneration] = {}
        self._moving: dict[int, FileGeneration] = {}

    @property
    def current(self) -> FileGeneration | None:
        """The file at the path, as far as is known."""
        return self._named.get(self._base)

    def reset(self) -> None:
        """The directory was replaced, or events were lost: no known file has a name any more."""
        for generation in self._named.values():
            generation.name = None
        self._named.clear()
        self._give_up_moving()

    def appear(self) -> FileGeneration:
        """Another file is at the path: a new generation."""
        self._vanish(self._base)
        generation = self._named[self._base] = FileGeneration(self._base)
        return generation

    def forget(self, generation: FileGeneration) -> None:
        """Stop following a generation."""
        if generation.name is not None and self._named.get(generation.name) is generation:
            del self._named[generation.name]
        generation.name = None

    def apply(self, event: InotifyEvent) -> FileGeneration | None:
        """Apply an event; gives the generation that it adds, if any."""
        name = event.name
        if event.mask & (MOVED_FROM | DELETE):
            generation = self._named.pop(name, None)
            if generation is not None:
                generation.name = None
                if event.mask & MOVED_FROM:
                    if len(self._moving) >= _MOST_ON_THE_MOVE:
                        self._give_up_moving()
                    self._moving[event.cookie] = generation
                    generation.moving = True
        elif event.mask & MOVED_TO:
            moved = self._moving.pop(event.cookie, None)
            self._vanish(name)
            if moved is not None:
                moved.name, moved.moving = name, False
                self._named[name] = moved
            elif name == self._base:
                return self.appear()
        elif event.mask & CREATE and name == self._base:
            return self.appear()
        return None

    def _vanish(self, name: str) -> None:
        """The file with this name was replaced."""
        generation = self._named.pop(name, None)
        if generation is not None:
            generation.name = None

    def _give_up_moving(self) -> None:
        """Files whose second half of a rename did not come were moved to another directory."""
        for generation in self._moving.values():
            generation.moving = False
        self._moving.clear()
