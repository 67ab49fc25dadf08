"""Mounts whose server may not answer (network file systems, FUSE), asked before a child is started there.

The daemon waits in vfork(2) until the child has changed its directory and executed its program: on such a
mount for as long as the server does not answer, and without handling signals.
"""

from __future__ import annotations

import os
import re
import time
from threading import Event
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.system.procfs import read_bytes
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.system.spawn_request import SpawnRequest

_KINDS: Final = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "9p", "virtiofs", "lustre", "glusterfs", "gfs2", "ocfs2")
)
_FUSE: Final = "fuse"

#: How often the list of mounts is read, at most, in seconds.
_READ_EACH_S: Final = 10.0
#: How long a start waits for an answer, in seconds. There is no further wait until the answer has come.
_WAITS_S: Final = 0.2

_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


class RemoteMount(NamedTuple):
    """A mount, and the kind of its file system."""

    place: str
    kind: str


class RemoteMounts:
    """Tells for a child whether the mounts that its start needs answer.

    Paths count as they are written: a link that leads to such a mount is not followed. The root is not
    counted, as the daemon itself is there.
    """

    def __init__(self) -> None:
        self._mounts: Sequence[RemoteMount] = ()
        self._read_at: float | None = None
        self._asked: dict[RemoteMount, Event] = {}

    def silent_one(self, request: SpawnRequest) -> RemoteMount | None:
        """A mount that does not answer, among those of the program and the directory of a child."""
        self._read()
        if not self._mounts:
            return None
        for path in _paths(request):
            mount = self._mount_of(path)
            if mount is not None and not self._answers(mount, path):
                return mount
        return None

    def _read(self) -> None:
        now = time.monotonic()
        if self._read_at is not None and now < self._read_at + _READ_EACH_S:
            return
        self._read_at = now
        try:
            data = read_bytes("/proc/self/mountinfo")
        except OSError:
            return
        self._mounts = tuple(remote_mounts(data))

    def _mount_of(self, path: str) -> RemoteMount | None:
        inside = (one for one in self._mounts if path == one.place or path.startswith(f"{one.place}/"))
        return max(inside, key=lambda one: len(one.place), default=None)

    def _answers(self, mount: RemoteMount, path: str) -> bool:
        before = self._asked.get(mount)
        if before is not None:
            if not before.is_set():
                return False
            del self._asked[mount]
        answered = Event()

        def ask() -> None:
            try:
                os.path.exists(path)
            finally:
                answered.set()

        try:
            start_thread(ask, name="mount-check", failed=lambda error: None)
        except NoThreadError:
            return True  # the start may work all the same
        if answered.wait(_WAITS_S):
            return True
        self._asked[mount] = answered
        return False


def remote_mounts(mountinfo: bytes) -> Iterator[RemoteMount]:
    """Those of the mounts that /proc/PID/mountinfo lists whose server may not answer."""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(b" - ")
        fields, kind = head.split(b" "), tail.split(b" ", 1)[0].decode("ascii", "replace")
        if len(fields) > 4 and fields[4] != b"/" and (kind in _KINDS or kind.startswith(_FUSE)):
            place = _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), fields[4])
            yield RemoteMount(os.fsdecode(place), kind)


def _paths(request: SpawnRequest) -> Iterator[str]:
    """Where the program may be, and the directory of the child; absolute ones only."""
    cwd = request.cwd
    if cwd is not None:
        yield cwd
    program = request.argv[0]
    if "/" in program:
        yield os.path.normpath(os.path.join(cwd or "/", program))
        return
    for folder in request.env.get("PATH", "").split(os.pathsep):
        if folder.startswith("/"):
            yield os.path.join(os.path.normpath(folder), program)
