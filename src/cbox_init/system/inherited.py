"""What children inherit instead of the daemon's own: its former limit of open files, another oom_score_adj.

Both are inherited by fork. Set from outside after the start they would come too late for a program that reads
its limits first, or for what it forks; and another user's limits may not be set without CAP_SYS_RESOURCE. So
the daemon has the values of a child for the half millisecond of a start: four system calls, and no process in
between.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How far above the daemon's oom_score_adj that of its children is.
OOM_SCORE_ADJ: Final = 100
_MOST_OOM: Final = 1000

#: Descriptors that subprocess needs for a start: the pipe by which it learns of a failed exec.
_NEEDED: Final = 2


class Inherited:
    """A context in which children are started. ``problems`` says what could not be had, and why.

    Raises the daemon's soft limit of open files to the hard one. Only descriptors that are opened by other
    threads during a start meet the lower limit, and only when there are more of them than it allows.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._oom_fd = -1
        self._own_oom = self._childs_oom = b"0"
        self._own_files: tuple[int, int] | None = None
        self._childs_files = (0, 0)
        self._reserve: list[int] = []
        self._raise_open_files()
        self._open_oom()

    def __enter__(self) -> None:
        if self._own_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._childs_files)
        if self._oom_fd >= 0:
            os.pwrite(self._oom_fd, self._childs_oom, 0)

    def __exit__(self, *_: object) -> None:
        if self._own_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._own_files)
        if self._oom_fd >= 0:
            os.pwrite(self._oom_fd, self._own_oom, 0)

    @contextlib.contextmanager
    def with_reserve(self) -> Iterator[None]:
        """The same, with room for `_NEEDED` descriptors below the limit of a child.

        For when a start has failed with EMFILE, as the daemon has more open than a child may have.
        """
        for descriptor in self._reserve:
            os.close(descriptor)
        self._reserve = []
        try:
            with self:
                yield
        finally:
            self._keep_reserve()

    def close(self) -> None:
        """Close what is open. The limit stays as it is: it is the process's last start."""
        for descriptor in (*self._reserve, self._oom_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._reserve, self._oom_fd = [], -1

    def _raise_open_files(self) -> None:
        soft, hard = self._childs_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == hard:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            self.problems.append(f"the limit of open files stays {soft}: {error}")
            return
        self._own_files = (hard, hard)
        self._keep_reserve()

    def _keep_reserve(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._reserve) < _NEEDED:
                descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                if descriptor >= self._childs_files[0]:
                    os.close(descriptor)
                    return
                self._reserve.append(descriptor)

    def _open_oom(self) -> None:
        try:
            self._oom_fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            own = int(os.pread(self._oom_fd, 16, 0))
            self._own_oom, self._childs_oom = (
                str(value).encode() for value in (own, min(own + OOM_SCORE_ADJ, _MOST_OOM))
            )
            with self:
                pass
        except (OSError, ValueError) as error:
            if self._oom_fd >= 0:
                os.close(self._oom_fd)
                self._oom_fd = -1
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.problems.append(f"/proc/self/oom_score_adj cannot be set: {why}")
