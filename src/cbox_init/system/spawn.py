"""Starting a child."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from cbox_init.errors import SpawnError
from cbox_init.system import identity as identities
from cbox_init.system import procfs
from cbox_init.system.descriptors import out_of_descriptors
from cbox_init.system.remote_mounts import RemoteMounts
from cbox_init.system.spawn_request import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.system.fork_server import ForkServer, Watch
    from cbox_init.system.identity import Identity
    from cbox_init.system.inherited import Inherited
    from cbox_init.system.spawn_request import SpawnRequest


class Spawner:
    """Starts children; owns a descriptor of /dev/null for their input and unwanted output.

    ``watch`` (`Reaper.watch`) is called for a process that it starts for itself: the `fork_server`, when a
    child is to be held to limits. ``inherited`` is the context of each start, if there is one.
    """

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.inherited: Inherited | None = None
        self._fork_server: ForkServer | None = None
        self._mounts = RemoteMounts()
        try:
            self._null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise SpawnError(f"cannot open {os.devnull} for children: {error.strerror}") from error

    @property
    def null_fd(self) -> int:
        """The descriptor of /dev/null; it stays ours."""
        return self._null_fd

    def close(self) -> None:
        """Give the descriptor back, and end what was started for this alone."""
        if self._fork_server is not None:
            self._fork_server.close()
        if self.inherited is not None:
            self.inherited.close()
        os.close(self._null_fd)

    def spawn(self, request: SpawnRequest) -> int:
        """Start a child in a session of its own and return its pid, which is the id of its process group too.

        With a session it has no controlling terminal: one that opens /dev/tty is refused, instead of stopped.
        With ``request.terminal`` it stays in the daemon's session, except with limits or a sandbox.
        When this returns, the program runs: exec has succeeded. The child has the descriptors 0, 1 and 2
        and no other (see `descriptors.inherit_nothing`), no signal blocked or ignored (see
        `signals.reset_inherited`). The caller has its exit awaited by the `Reaper`, and calls this in the
        thread that reaps.

        Raises SpawnError, with the reason and a shell's exit code, for whatever goes wrong.
        """
        if not request.argv or not request.argv[0]:
            raise SpawnError("no command to start: its first word is missing or empty", 127)
        identity = request.identity
        if identity is not None and not identities.differs(identity):
            identity = None
        if identity is not None and not identities.may_switch():
            raise SpawnError(
                f"cannot become user {identity}: this daemon runs as uid {os.geteuid()}, and only root may; "
                "start it as root, or leave out user and group"
            )
        if (mount := self._mounts.silent_one(request)) is not None:
            message = f"the file system at {mount.place} ({mount.kind}) does not answer"
            raise SpawnError(message, shortage=True)
        try:
            if request.limits is not None or request.sandbox is not None:
                return self._start_held(request, identity)
            return self._start(request, identity)
        except (OSError, ValueError, OverflowError, MemoryError, subprocess.SubprocessError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise out_of_descriptors(error) from error  # without a descriptor nothing can be imported
            from cbox_init.system.exec_failure import explain

            raise explain(error, request, identity) from error

    def signal_as_owner(self, targets: Iterable[int], signum: int) -> bool:
        """Signal processes, and groups as negative numbers, as the user that each runs as.

        For a daemon without CAP_KILL, whose own signal was refused. Whether all could be signalled.
        """
        if not identities.may_switch():
            return False
        owners: dict[tuple[int, int], list[int]] = {}
        for target in targets:
            ids = procfs.real_ids(abs(target))
            if ids is not None:
                owners.setdefault(ids, []).append(target)
        sent = [self._signal_as(*ids, tuple(theirs), signum) for ids, theirs in owners.items()]
        return all(sent)

    def _signal_as(self, uid: int, gid: int, targets: tuple[int, ...], signum: int) -> bool:
        from cbox_init.system.fork_server import ForkServerGone

        for _ in range(2):
            try:
                return self._ready_fork_server().signal_as(uid, gid, signum, targets) == len(targets)
            except ForkServerGone:
                self._drop_fork_server()
            except (OSError, SpawnError):
                return False
        return False

    def _ready_fork_server(self) -> ForkServer:
        from cbox_init.system.fork_server import ForkServer

        if self._fork_server is None:
            with self.inherited or contextlib.nullcontext():
                self._fork_server = ForkServer(self._null_fd, self.watch)
        return self._fork_server

    def _drop_fork_server(self) -> None:
        if self._fork_server is not None:
            self._fork_server.kill()
            self._fork_server = None

    def _start_held(self, request: SpawnRequest, identity: Identity | None) -> int:
        from cbox_init.system.fork_server import ForkServerGone, StepRefused

        try:
            for _ in range(2):  # it may have been killed
                try:
                    return self._ready_fork_server().spawn(request, identity, self._null_fd)
                except ForkServerGone:
                    self._drop_fork_server()
            raise SpawnError(
                "limits and sandbox cannot be set: the process that starts children for it ends at once"
            )
        except StepRefused as refused:
            limits, sandbox = request.limits, request.sandbox
            if limits is not None and refused.key in Limits.__struct_fields__:
                from cbox_init.system.limit_errors import reason

                where, why = limits.where, reason(limits, refused.key, refused.number, str(refused))
            else:
                from cbox_init.system.sandbox_errors import reason_of

                assert sandbox is not None
                where, why = sandbox.where, reason_of(sandbox, refused.key, refused.number, str(refused))
            raise SpawnError(f"{where}.{refused.key} cannot be set: {why}") from refused

    def _start(self, request: SpawnRequest, identity: Identity | None) -> int:
        # Without user and groups subprocess uses vfork, which takes half the time of fork.
        if self.inherited is None:
            child = self._popen(request, identity)
        else:
            try:
                with self.inherited:
                    child = self._popen(request, identity)
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                with self.inherited.with_reserve():
                    child = self._popen(request, identity)
        # Our reaper waits for it. A Popen that knows of no exit waits by itself when it is deleted, and
        # would take the status away.
        child.returncode = 0
        return child.pid

    def _popen(self, request: SpawnRequest, identity: Identity | None) -> subprocess.Popen[bytes]:
        return _Child(
            request.argv,
            stdin=self._null_fd if request.stdin_fd is None else request.stdin_fd,
            stdout=request.stdout_fd,
            stderr=request.stderr_fd,
            env=request.env,
            cwd=request.cwd,
            user=None if identity is None else identity.uid,
            group=None if identity is None else identity.gid,
            extra_groups=None if identity is None else identity.groups,
            start_new_session=not request.terminal,
            process_group=0 if request.terminal else None,
            umask=-1 if request.umask is None else request.umask,
            close_fds=False,
        )


class _Child(subprocess.Popen[bytes]):
    """A child of which nothing runs when its start fails half way, after the fork."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            if getattr(self, "_child_created", False) and self.returncode is None:
                os.kill(self.pid, signal.SIGKILL)
                self.returncode = 0  # the reaper waits for it
            raise
