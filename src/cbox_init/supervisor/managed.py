"""What the supervisor supervises, with or without a schedule, and what that needs from the supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.instance import Instance
    from cbox_init.core.restart import Trigger
    from cbox_init.core.states import Desired
    from cbox_init.supervisor.oneshot_history import OneshotHistory
    from cbox_init.supervisor.status import ProcessStatus, RunStatus


class Managed(Protocol):
    """One process under supervision. Commands change what is wanted of it; ``reconcile`` acts on it."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> ProcessSettings:
        """Its configuration, and what follows from it and ``global``."""

    @property
    def config(self) -> ProcessConfig:
        """The configuration that it runs by."""

    @property
    def desired(self) -> Desired:
        """What commands have asked of it."""

    @property
    def schedule(self) -> Schedule | None:
        """Its schedule, None when it has none."""

    @property
    def scale_limit(self) -> int:
        """The most instances that it may have, 0 for any number."""

    # -- commands --------------------------------------------------------------------------------------

    def start(self, trigger: Trigger = ...) -> None:
        """Run it, or its schedule."""

    def stop(self) -> None:
        """End what runs of it."""

    def restart(self, trigger: Trigger = ...) -> None:
        """Replace what runs of it."""

    def scale(self, count: int) -> None:
        """Have ``count`` instances when it runs."""

    def kill(self) -> None:
        """End what runs of it without a grace period; nothing of it starts any more."""

    def adopt(self, settings: ProcessSettings) -> None:
        """Use another configuration; what that replaces, starts or stops follows."""

    def reinstate(self, settings: ProcessSettings) -> None:
        """Use ``settings`` although its removal has begun: it is configured again."""

    def begin_shutdown(self) -> None:
        """The daemon ends: begin nothing new; what runs goes on until ``stop``."""

    def release(self) -> None:
        """Release what it holds: it is no longer supervised."""

    def reconcile(self, stop_at: float) -> float | None:
        """Act until what is there is what is wanted, or the slice is over (see `run_queue`)."""

    # -- what is known of it ---------------------------------------------------------------------------

    @property
    def instances(self) -> Collection[Instance]:
        """All its instances, or its runs under way."""

    @property
    def runs_begun(self) -> int | None:
        """How many runs its schedule has begun; None when it has none."""

    @property
    def alive(self) -> bool:
        """Whether something of it may be running, or is about to."""

    @property
    def ready(self) -> bool:
        """Whether what depends on it may start."""

    @property
    def up(self) -> bool:
        """Whether it is as the configuration wants it: it runs, has done its work, or need not run."""

    @property
    def settled(self) -> bool:
        """Whether the last command has had its effect."""

    @property
    def held_back(self) -> bool:
        """Whether it starts nothing until its output flows again."""

    @property
    def ended_for_good(self) -> bool:
        """Whether it should live, and has ended by itself or was given up."""

    @property
    def last_end(self) -> tuple[float, int] | None:
        """Monotonic time and exit code of its latest end."""

    @property
    def ended(self) -> Instance | None:
        """An instance that has ended, whatever its exit code, and does not come back by itself."""

    @property
    def given_up(self) -> Instance | None:
        """An instance that has failed and does not come back by itself."""

    @property
    def clearing(self) -> bool:
        """Whether a main process has ended and its instance may have left others behind."""

    @property
    def drain_s(self) -> float:
        """For how long work under way may go on when the daemon ends, in seconds; 0 when nothing has to."""

    @property
    def names_alive(self) -> tuple[str, ...]:
        """The ids of its instances of which something may be running."""

    @property
    def names_killed(self) -> tuple[str, ...]:
        """The ids of its instances that had to be killed since ``record_killed``."""

    def record_killed(self) -> None:
        """Start the list of those that had to be killed."""

    def status(self) -> ProcessStatus:
        """Its state now; the same object until something changes."""


class Schedule(Protocol):
    """The schedule of a process, for commands and the API."""

    def pause(self) -> None:
        """Begin no run until it is resumed; those under way go on."""

    def resume(self) -> None:
        """Run at its times again."""

    def trigger(self) -> int:
        """Run now; gives the number of the run. Raises Conflict."""

    async def over(self, number: int) -> int:
        """Wait for the end of a run; its exit code. Cancelled when the daemon ends."""

    def history(self, limit: int) -> list[RunStatus]:
        """The last ``limit`` runs that are over, newest first."""

    def give_up_waiting(self) -> None:
        """Cancel who waits for the end of a run."""

    def status(self) -> ProcessStatus:
        """The state of its process."""


class Host(Protocol):
    """What a process needs from the supervisor."""

    @property
    def oneshots(self) -> OneshotHistory:
        """The history of oneshots."""

    def not_ready(self, name: str) -> tuple[str, ...]:
        """The dependencies of the process ``name`` that are not ready."""

    def changed(self, name: str) -> None:
        """The status of the process ``name`` has changed, and others may have to act."""

    def refreshed(self) -> None:
        """Figures that a status shows have changed, and nothing that anybody has to act on."""

    def rolled_back(self, name: str, settings: ProcessSettings) -> None:
        """The former settings of the process ``name`` are in force again."""
