"""The interfaces between the supervisor and its processes, with or without a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.changes import Aim, Standing
    from cbox_init.core.instance import Instance
    from cbox_init.core.restart import Trigger
    from cbox_init.core.restart_with import Companion
    from cbox_init.core.states import Desired
    from cbox_init.supervisor.instance.live import LiveTree
    from cbox_init.supervisor.oneshot_history import OneshotHistory
    from cbox_init.supervisor.status import ProcessStatus, RunStatus


class Managed(Protocol):
    """One supervised process. Commands change its desired state; ``reconcile`` brings it about."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> ProcessSettings:
        """Its configuration, and the rules made from that and ``global``."""

    @property
    def config(self) -> ProcessConfig:
        """The configuration that it uses."""

    @property
    def desired(self) -> Desired:
        """The state that the last commands want."""

    @property
    def schedule(self) -> Schedule | None:
        """Its schedule, None when it has none."""

    @property
    def scale_limit(self) -> int:
        """The most instances that it may have, 0 for any number."""

    # -- commands --------------------------------------------------------------------------------------

    def start(self, trigger: Trigger = ...) -> None:
        """Run its instances, or its schedule."""

    def stop(self) -> None:
        """Stop its instances or runs."""

    def restart(self, trigger: Trigger = ...) -> None:
        """Replace its instances, or end its runs."""

    def scale(self, count: int) -> None:
        """Set the number of instances that it has when it runs."""

    def abandon_rollout(self) -> bool:
        """Keep the old instances of a rollout as they are; whether there was one."""

    def stop_instance(self, index: int) -> None:
        """Stop one instance; it stays down until it, or the process, is started or restarted."""

    def restart_instance(self, index: int) -> None:
        """Replace one instance."""

    def send_signal(self, signum: int, *, group: bool, index: int | None = ...) -> list[tuple[str, bool]]:
        """Send a signal to its instances that run, or to one; gives each, and whether it could be sent."""

    def kill(self) -> None:
        """Kill its instances without a grace period; none starts any more."""

    def adopt(self, settings: ProcessSettings) -> None:
        """Use another configuration; instances are then replaced, started or stopped as it requires."""

    def reinstate(self, settings: ProcessSettings) -> None:
        """Undo its removal, which has begun, and use ``settings``: it is configured again."""

    def begin_shutdown(self) -> None:
        """Start nothing new during the shutdown; what runs goes on until ``stop``."""

    def release(self) -> None:
        """Release its resources: it is no longer supervised."""

    def reconcile(self, stop_at: float) -> float | None:
        """Bring the instances to the desired state, or until the slice is over (see `run_queue`)."""

    # -- queries ---------------------------------------------------------------------------------------

    @property
    def instances(self) -> Collection[Instance]:
        """All its instances, or its runs under way."""

    @property
    def runs_begun(self) -> int | None:
        """How many runs its schedule has begun; None when it has none."""

    @property
    def alive(self) -> bool:
        """Whether a process of it may be running, or is about to."""

    @property
    def ready(self) -> bool:
        """Whether what depends on it may start."""

    @property
    def up(self) -> bool:
        """Whether it is as the configuration wants it: it runs, has done its work, or need not run."""

    @property
    def settled(self) -> bool:
        """Whether the last command has had its effect."""

    def standing(self, aim: Aim) -> Standing:
        """How far a command is that wanted ``aim`` of it."""

    @property
    def restart_pending(self) -> bool:
        """Whether it will be restarted with another process (``restart_with``)."""

    @property
    def held_back(self) -> bool:
        """Whether it starts nothing until its output flows again."""

    @property
    def ended_for_good(self) -> bool:
        """Whether it should run, and has ended by itself or was given up."""

    @property
    def last_end(self) -> tuple[float, int] | None:
        """Monotonic time and exit code of its latest end."""

    @property
    def ended(self) -> Instance | None:
        """An instance that has ended, with any exit code, and is not restarted; None if there is none."""

    @property
    def given_up(self) -> Instance | None:
        """An instance that has failed and is not restarted; None if there is none."""

    @property
    def clearing(self) -> bool:
        """Whether the main process of an instance has ended, and other processes of it may be left."""

    @property
    def drain_s(self) -> float:
        """For how long its runs may go on when the daemon ends, in seconds; 0 without any."""

    @property
    def trees(self) -> Sequence[LiveTree]:
        """The process trees of its instances that run."""

    @property
    def names_alive(self) -> tuple[str, ...]:
        """The ids of its instances that may have running processes."""

    @property
    def names_killed(self) -> tuple[str, ...]:
        """The ids of its instances that had to be killed since ``begin_kill_record``."""

    def begin_kill_record(self) -> None:
        """Record from now on which instances have to be killed."""

    def status(self) -> ProcessStatus:
        """Its present status; the same object until something changes."""


class Schedule(Protocol):
    """The schedule of a process, for commands and the API."""

    def pause(self) -> None:
        """Begin no run until it is resumed; those under way go on."""

    def resume(self) -> None:
        """Run at its times again."""

    def trigger(self) -> int:
        """Run now; gives the number of the run. Raises Conflict."""

    def history(self, limit: int) -> list[RunStatus]:
        """The last ``limit`` runs that are over, newest first."""

    def upcoming(self, after: float) -> Iterator[float]:
        """The Unix times after this one at which it starts runs; none when it is paused."""

    def status(self) -> ProcessStatus:
        """The status of its process."""


class Host(Protocol):
    """What a process needs from the supervisor."""

    @property
    def oneshots(self) -> OneshotHistory:
        """The history of oneshots."""

    def not_ready(self, name: str) -> tuple[str, ...]:
        """The dependencies of the process ``name`` that are not ready."""

    def companion(self, name: str) -> Companion | None:
        """What has to be known of the process ``name`` to be restarted with it; None when it is gone."""

    def restart_with(self, name: str, why: str) -> bool:
        """Restart the process ``name`` with others; False when that is not possible now."""

    def changed(self, name: str) -> None:
        """Act on a change of the status of the process ``name``."""

    def refreshed(self) -> None:
        """Take in that figures in a status have changed, but nothing that others act on."""

    def run_ended(self, name: str, number: int, *, exit_code: int, error: str | None) -> None:
        """Act on the end of a run of the process ``name``; ``error`` says why it was no success."""

    def run_dropped(self, name: str, number: int) -> None:
        """Act on a run of the process ``name`` that does not begin any more."""

    def autoscaled(self, name: str, count: int, reason: str) -> str:
        """Set the scale of the process ``name``, as its load requires; gives the id of the change.

        Raises Conflict.
        """

    def rolled_back(self, name: str, settings: ProcessSettings) -> None:
        """Put the former settings of the process ``name`` in force again."""
