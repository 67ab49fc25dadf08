"""The operating system's side of an instance: its process group, its output, what it left behind."""

from __future__ import annotations

import os
from signal import SIGCONT, SIGKILL
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from cbox_init.config.model import Stdin
from cbox_init.errors import SpawnError
from cbox_init.system.descriptors import out_of_descriptors, output_pipe
from cbox_init.system.procfs import now_since_boot_s
from cbox_init.system.tree import Stray, signal_group, signal_strays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cbox_init.logs.capture import Capture
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.instance.launch import Launch
    from cbox_init.supervisor.instance.limits import InstanceLimits, ProcessLimits
    from cbox_init.supervisor.instance.notify_channel import NotifyChannel
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.identity import Identity
    from cbox_init.system.spawn_request import SpawnRequest


#: How long a shell may take from the fork of a child to its exec, in seconds. It is less than a millisecond
#: on an idle machine.
_FORK_TO_EXEC_S = 0.25


class TreeRecord(Struct):
    """What a `LiveTree` must remember: plain values, which could be written down and read again.

    ``pid`` is the main process and the id of its process group. Once ``main_ended`` is set, the main process
    has been reaped and the number may become another's. ``signalled`` are the processes beside the main one
    that have had the stop signal by themselves; ``group_signalled_s`` is when all in the group had it, in
    seconds since boot.
    """

    id: str
    index: int
    pid: int
    main_ended: bool = False
    signalled: set[Stray] = field(default_factory=set)
    group_signalled_s: float | None = None


class StdinPipe:
    """Standard input that stays open and empty, for programs that end when their input does."""

    __slots__ = ("_write_fd", "read_fd")

    def __init__(self) -> None:
        try:
            self.read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            raise out_of_descriptors(error) from error

    def spawned(self) -> None:
        """Close the child's end, which the child has inherited."""
        os.close(self.read_fd)

    def close(self) -> None:
        """End the input."""
        os.close(self._write_fd)


class LiveTree:
    """The processes of one instance, from its spawn until none of them is left.

    Each signal but the kill is followed by SIGCONT: a stopped process (by SIGSTOP, or because it read from
    the terminal) would not handle the signal.
    """

    __slots__ = (
        "_channel",
        "_limits",
        "_runtime",
        "_stdin",
        "_terminal",
        "capture",
        "id",
        "index",
        "pid",
        "record",
    )

    def __init__(
        self,
        runtime: Runtime,
        record: TreeRecord,
        *,
        capture: Capture,
        limits: InstanceLimits | None = None,
        channel: NotifyChannel | None = None,
        stdin: StdinPipe | None = None,
        terminal: bool = False,
    ) -> None:
        self._runtime = runtime
        self._stdin = stdin
        self._terminal = terminal
        self._limits = limits
        self._channel = channel
        self.record = record
        self.index, self.id, self.pid = record.index, record.id, record.pid
        self.capture = capture

    def mark_main_ended(self) -> None:
        """Record that the main process was reaped; close its standard input and notification socket."""
        self.record.main_ended = True
        self._runtime.main_ended(self.id, self.pid)
        if self._stdin is not None:
            self._stdin.close()
        if self._terminal:
            from cbox_init.system.terminal import take_back

            take_back(self.pid)
        if self._channel is not None:
            self._channel.close()

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of it for exceeding ``limits.memory``."""
        return self._limits is not None and self._limits.out_of_memory

    @property
    def cgroup(self) -> str | None:
        """The path of its cgroup, if it has one of its own."""
        return None if self._limits is None else self._limits.cgroup

    def anything_left(self) -> bool:
        """Whether processes are left, inside or outside of the group, after the main process has ended."""
        return bool(self._strays())

    def signal_main(self, signum: int) -> bool:
        """Signal the main process alone; False when it lives and we are not permitted to."""
        if not self.record.main_ended:
            try:
                os.kill(self.pid, signum)
                os.kill(self.pid, SIGCONT)
            except PermissionError:  # it runs as another user, and we do not have CAP_KILL
                return self._signal_as_owner((self.pid,), signum)
        return True

    def signal_group(self, signum: int) -> bool:
        """Signal the main process and its group; False when we are not permitted to."""
        if self.record.main_ended:
            return True
        signalled_s = now_since_boot_s()
        sent = signal_group(self.pid, signum)
        if not sent:
            return self._signal_as_owner((-self.pid,), signum)
        if self._runtime.may_signal_all:  # else a member that is another user's has not had it
            self.record.group_signalled_s = signalled_s
        signal_group(self.pid, SIGCONT)
        return True

    def send(self, signum: int, *, group: bool) -> bool:
        """Send a signal that a command asks for, and nothing after it; False when we are not permitted to.

        Raises ProcessLookupError when there is no such group: its main process has left it.
        """
        target = -self.pid if group else self.pid
        try:
            os.kill(target, signum)
        except PermissionError:
            return self._runtime.spawner.signal_as_owner((target,), signum)
        return True

    def signal_rest(self, signum: int) -> None:
        """Signal each process that the main process left behind, once.

        Many programs take a second stop signal as an order to stop without draining. So members of the group
        that have received it with the group are left out. A signal that arrives between a shell's fork and
        its exec is lost to the child, as the shell's own handler takes it: members that are younger are
        signalled again.
        """
        missed = [
            stray
            for stray in self._strays()
            if stray not in self.record.signalled and not self._had_with_group(stray)
        ]
        self.record.signalled.update(missed)
        self._signal_strays(missed, signum)
        signal_strays(missed, SIGCONT)

    def signal_all(self, signum: int) -> bool:
        """Signal every process of the instance; False when we are not permitted to."""
        strays = self._strays()
        sent = True
        if not self.record.main_ended and not signal_group(self.pid, signum):
            sent = self._signal_as_owner((-self.pid,), signum)
        return self._signal_strays(strays, signum) and sent

    def release(self) -> None:
        """Release the instance's bookkeeping; call when no process of it is left."""
        self._runtime.cleared(self.pid)
        self._runtime.unreachable.discard(self.id)
        if self._limits is not None:
            self._limits.release()

    def count_left(self) -> int:
        """How many processes the main process, which has ended, has left."""
        return len(self._strays())

    def _had_with_group(self, stray: Stray) -> bool:
        signalled_s = self.record.group_signalled_s
        if signalled_s is None or stray.pgid != self.pid:
            return False
        return stray.started_s < signalled_s - _FORK_TO_EXEC_S

    def _signal_strays(self, strays: Iterable[Stray], signum: int) -> bool:
        refused: list[Stray] = []
        signal_strays(strays, signum, refused)
        return not refused or self._signal_as_owner([stray.pid for stray in refused], signum)

    def _signal_as_owner(self, targets: Iterable[int], signum: int) -> bool:
        """Signal what we are not permitted to signal as the users that it runs as, where we may become those.

        What cannot be signalled at all is noted: nothing waits for its end.
        """
        targets = tuple(targets)
        spawner = self._runtime.spawner
        if spawner.signal_as_owner(targets, signum):
            if signum != SIGKILL:
                spawner.signal_as_owner(targets, SIGCONT)
            return True
        self._runtime.unreachable.add(self.id)
        return False

    def _strays(self) -> Sequence[Stray]:
        if self.record.main_ended:
            return self._runtime.left_behind(self.id)
        return self._runtime.strayed(self.id, self.pid)


def spawn(
    runtime: Runtime,
    launch: Launch,
    log: ProcessLog,
    *,
    index: int,
    stdout: bool,
    stderr: bool,
    stdin: Stdin = Stdin.NULL,
    limits: ProcessLimits | None = None,
    channel: NotifyChannel | None = None,
) -> LiveTree:
    """Start the main process of an instance, with its output captured. Raises SpawnError.

    Its input is what ``stdin`` says; the daemon's own is for the first instance, others have /dev/null. Where
    it is a terminal, outputs that are a terminal too are not captured. Its environment names ``channel``,
    which belongs to the new tree from now on.
    """
    name = launch.instance_id(index)
    inherits = stdin is Stdin.INHERIT and index == 0
    terminal = inherits and os.isatty(0)
    outputs = (False, False)
    if terminal:
        from cbox_init.system.terminal import shared_outputs

        outputs = shared_outputs()
    applied = limits.prepare(name) if limits is not None else None
    pipe: StdinPipe | None = None

    def request(out: int, err: int) -> SpawnRequest:
        made = launch.request(index, stdout_fd=out, stderr_fd=err)
        if applied is not None:
            made = replace(made, limits=applied.limits)
        if pipe is not None:
            made = replace(made, stdin_fd=pipe.read_fd)
        if inherits:
            out_fd, err_fd = (
                standard if shared else fd
                for standard, shared, fd in zip((1, 2), outputs, (out, err), strict=True)
            )
            made = replace(made, stdin_fd=0, stdout_fd=out_fd, stderr_fd=err_fd, terminal=terminal)
        if runtime.job_variables is not None and launch.is_job:
            made = replace(made, env={**made.env, **runtime.job_variables(launch.kind, launch.process, name)})
        return made if channel is None else replace(made, env={**made.env, **channel.variables})

    try:
        if stdin is Stdin.PIPE:
            pipe = StdinPipe()
        pid, capture = spawn_captured(
            runtime,
            log,
            name,
            request,
            identity=launch.identity(),
            stdout=stdout and not outputs[0],
            stderr=stderr and not outputs[1],
        )
    except BaseException:
        if pipe is not None:
            pipe.spawned()
            pipe.close()
        if applied is not None:
            applied.release()
        if channel is not None:
            channel.close()
        raise
    if pipe is not None:
        pipe.spawned()
    if terminal:
        from cbox_init.system.terminal import lend

        lend(pid)
    if channel is not None:
        channel.follow(pid)
    record = TreeRecord(name, index, pid)
    return LiveTree(
        runtime, record, capture=capture, limits=applied, channel=channel, stdin=pipe, terminal=terminal
    )


def spawn_captured(
    runtime: Runtime,
    log: ProcessLog,
    name: str,
    request: Callable[[int, int], SpawnRequest],
    *,
    identity: Identity | None = None,
    stdout: bool = True,
    stderr: bool = True,
) -> tuple[int, Capture]:
    """Start what ``request`` makes of two descriptors; its output goes to ``log`` under ``name``.

    Gives the pid and the capture. Raises SpawnError; nothing runs then, as the capture is made first.
    """
    null = runtime.spawner.null_fd
    reads: list[int] = []
    writes: list[int] = []
    try:
        for wanted in (stdout, stderr):
            read, write = output_pipe(identity) if wanted else (null, null)
            reads.append(read)
            writes.append(write)
    except SpawnError:
        _close((*reads, *writes), null)
        raise
    try:
        out, err = (None if fd == null else fd for fd in reads)
        capture = log.capture(name, stdout=out, stderr=err)
        try:
            return runtime.spawner.spawn(request(*writes)), capture
        except BaseException:
            capture.close()
            raise
    except OSError as error:
        message = f"cannot read its output: {error.strerror}; see /proc/sys/fs/epoll"
        raise SpawnError(message, shortage=True) from error
    finally:
        _close(writes, null)


def _close(descriptors: Iterable[int], null: int) -> None:
    for descriptor in descriptors:
        if descriptor != null:
            os.close(descriptor)
