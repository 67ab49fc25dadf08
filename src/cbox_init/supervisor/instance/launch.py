"""Makes the spawn request of an instance from its process's configuration: arguments, environment, user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from cbox_init.config.child_variables import inherited
from cbox_init.config.model import ProcessType
from cbox_init.config.substitute import expand_instance
from cbox_init.system.identity import Identity, resolve
from cbox_init.system.spawn_request import Sandbox, SpawnRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.system.apply_sandbox import CapabilitySets

Work = Literal["instance", "run", "hook"]
"""What `Runtime.job_variables` is asked about."""

#: The variable that marks each process that an instance started, so that it can be found when orphaned.
MARKER = "CBOX_INIT_INSTANCE_ID"


def instance_id(process: str, index: int) -> str:
    """The id of an instance in logs, API and environment: "web-0"."""
    return f"{process}-{index}"


def run_id(process: str, number: int) -> str:
    """The id of a run in logs, API and environment: "backup-run-1"."""
    return f"{process}-run-{number}"


def instance_variables(process: str, index: int, port_base: int) -> dict[str, str]:
    """The variables of one instance, for its environment and for ``${NAME}`` in its command and env.

    ``CBOX_INIT_INSTANCE_NUMBER`` counts from 1, the index from 0; ``PORT`` is set if ``port_base`` is.
    """
    name = instance_id(process, index)
    variables = {
        "CBOX_INIT_PROCESS_NAME": process,
        MARKER: name,
        "CBOX_INIT_INSTANCE_INDEX": str(index),
        "CBOX_INIT_INSTANCE_NUMBER": str(index + 1),
        "CBOX_SERVICE": process,
        "CBOX_PROCESS": process,
        "CBOX_INSTANCE": name,
    }
    if port_base:
        variables["PORT"] = str(port_base + index)
    return variables


def helper_identity(config: ProcessConfig) -> Identity | None:
    """Who the hooks and the check commands of a process run as: ``hook_user``, else the user of the process.

    None is the daemon's own user. Raises SpawnError for a user or group that does not exist.
    """
    if config.hook_user is not None:
        return resolve(config.hook_user, None)
    return resolve(config.user or None, config.group or None)


class Launch:
    """Makes the spawn requests of the instances of one process.

    ``recurring``: a schedule starts them, so that a failure is not the end of the process.
    """

    recurring = False
    kind: Work = "instance"
    """What ``Runtime.job_variables`` calls it."""

    def __init__(self, name: str, config: ProcessConfig, environ: Mapping[str, str]) -> None:
        self.process = name
        self._config = config
        self._environ = environ
        self._has_references = any("${" in word for word in (*config.command, *config.env.values()))
        self._identity: Identity | None = None
        self._sandbox = sandbox_of(name, config)

    @property
    def is_job(self) -> bool:
        """Whether what is started does its work and ends: a oneshot, or a run of a schedule."""
        return self.recurring or self._config.type is ProcessType.ONESHOT

    def instance_id(self, index: int) -> str:
        """The id of the instance ``index``."""
        return instance_id(self.process, index)

    def variables(self, index: int) -> dict[str, str]:
        """The variables that cbox-init adds to the environment of the instance ``index``."""
        return instance_variables(self.process, index, self._config.port_base)

    def identity(self) -> Identity | None:
        """The user and group of the instances, None for the daemon's own; looked up when first needed.

        Raises SpawnError for a user or group that does not exist.
        """
        if self._identity is None and (self._config.user or self._config.group):
            self._identity = resolve(self._config.user, self._config.group)
        return self._identity

    def environment(self, index: int, identity: Identity | None = None) -> dict[str, str]:
        """The complete environment of an instance that runs as ``identity``, or of one of its hooks."""
        variables, own, from_files = self.variables(index), self._config.env, self._config.variables
        if self._has_references:
            known = {**self._environ, **variables}
            own = {key: expand_instance(value, known) for key, value in own.items()}
        if from_files.withheld:
            own = {key: value for key, value in own.items() if key not in from_files.withheld}
        given = {
            key: value.reveal() for part in (from_files.kept, from_files.given) for key, value in part.items()
        }
        return {**inherited(self._environ, from_files), **of_user(identity), **given, **own, **variables}

    def request(self, index: int, *, stdout_fd: int, stderr_fd: int) -> SpawnRequest:
        """The spawn request of the instance ``index``. Raises SpawnError when its user does not exist."""
        config = self._config
        identity = self.identity()
        command = config.command
        if self._has_references:
            known = {**self._environ, **self.variables(index)}
            command = tuple(expand_instance(word, known) for word in command)
        env = self.environment(index, identity)
        return SpawnRequest(
            argv=command,
            env=env,
            cwd=config.working_dir,
            identity=identity,
            stdout_fd=stdout_fd,
            stderr_fd=stderr_fd,
            umask=config.umask,
            sandbox=self.sandbox(),
        )

    def sandbox(self, mounts_of: int | None = None) -> Sandbox | None:
        """The sandbox of the instances, None where they have none.

        What belongs to an instance that runs shares its mounts, by the pid of its main process.
        """
        if self._sandbox is None or mounts_of is None or not self._sandbox.has_mounts:
            return self._sandbox
        return replace(self._sandbox, mounts_of=mounts_of)


class RunLaunch(Launch):
    """How the runs of a schedule are started, with ids and variables of their own.

    Runs are numbered from 1. Each has the index 0, and so the PORT, of the process's one instance. ``unix``
    is the clock.
    """

    recurring = True
    kind: Work = "run"

    def __init__(
        self, name: str, config: ProcessConfig, environ: Mapping[str, str], *, unix: Callable[[], float]
    ) -> None:
        super().__init__(name, config, environ)
        self._fixed: Mapping[str, str] = {
            **instance_variables(name, 0, config.port_base),
            "CBOX_INIT_SCHEDULED": "true",
            "CBOX_INIT_SCHEDULE": config.schedule or "",
        }
        self._unix = unix

    def instance_id(self, index: int) -> str:
        return run_id(self.process, index)

    def variables(self, index: int) -> dict[str, str]:
        from datetime import UTC, datetime

        name = run_id(self.process, index)
        start = datetime.fromtimestamp(int(self._unix()), UTC)
        return {
            **self._fixed,
            MARKER: name,
            "CBOX_INSTANCE": name,
            "CBOX_INIT_START_TIME": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def sandbox_of(name: str, config: ProcessConfig) -> Sandbox | None:
    """The sandbox of a process's children, None where it has no key for one."""
    capabilities: CapabilitySets | None = None
    if config.capabilities is not None:
        from cbox_init.capabilities import capability_set
        from cbox_init.system.spawn_request import EVERY

        sets = config.capabilities
        capabilities = (
            capability_set(sets.drop, EVERY),
            capability_set(sets.add, EVERY),
            capability_set(sets.ambient, EVERY),
        )
    elif not (config.no_new_privileges or config.read_only_paths or config.private_tmp):
        return None
    return Sandbox(
        where=f"processes.{name}",
        no_new_privileges=config.no_new_privileges,
        capabilities=capabilities,
        read_only_paths=config.read_only_paths,
        private_tmp=config.private_tmp,
    )


def of_user(identity: Identity | None) -> dict[str, str]:
    """HOME, USER and LOGNAME of another user, so that a child does not use the daemon's home."""
    if identity is None:
        return {}
    variables = {}
    if identity.home:
        variables["HOME"] = identity.home
    if identity.name:
        variables["USER"] = variables["LOGNAME"] = identity.name
    return variables
