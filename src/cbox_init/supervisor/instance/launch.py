"""From a process's configuration to the spawn of one instance: arguments, environment, user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.config.substitute import expand_instance
from cbox_init.system.identity import Identity, resolve
from cbox_init.system.spawn_request import SpawnRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import ProcessConfig

#: The variable by which everything that an instance started is found again.
MARKER = "CBOX_INIT_INSTANCE_ID"


def instance_id(process: str, index: int) -> str:
    """The name of an instance in logs, API and environment: "web-0"."""
    return f"{process}-{index}"


def instance_variables(process: str, index: int, port_base: int) -> dict[str, str]:
    """The variables that each instance gets, in its environment and as ``${NAME}`` in its command and env.

    ``CBOX_INIT_INSTANCE_NUMBER`` counts from 1, the index from 0; ``PORT`` is there with a ``port_base``.
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


class Launch:
    """How the instances of one process are started.

    ``recurring``: they come by a schedule, so that a failure is not the end of the process.
    """

    recurring = False

    def __init__(self, name: str, config: ProcessConfig, environ: Mapping[str, str]) -> None:
        self._name = name
        self._config = config
        self._environ = environ
        self._has_references = any("${" in word for word in (*config.command, *config.env.values()))
        self._identity: Identity | None = None

    def instance_id(self, index: int) -> str:
        """The name of the instance ``index``."""
        return instance_id(self._name, index)

    def variables(self, index: int) -> dict[str, str]:
        """What the instance ``index`` has in its environment of our own."""
        return instance_variables(self._name, index, self._config.port_base)

    def identity(self) -> Identity | None:
        """The user and group of its instances, None for the daemon's own; looked up once it is needed.

        Raises SpawnError for a name that this machine does not know.
        """
        if self._identity is None and (self._config.user or self._config.group):
            self._identity = resolve(self._config.user, self._config.group)
        return self._identity

    def environment(self, index: int, identity: Identity | None = None) -> dict[str, str]:
        """The whole environment of an instance that runs as ``identity``, or of a hook of it."""
        variables, own = self.variables(index), self._config.env
        if self._has_references:
            known = {**self._environ, **variables}
            own = {key: expand_instance(value, known) for key, value in own.items()}
        return {**self._environ, **_of_user(identity), **own, **variables}

    def request(self, index: int, *, stdout_fd: int, stderr_fd: int) -> SpawnRequest:
        """What to spawn for the instance ``index``. Raises SpawnError when its user cannot be had."""
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
        )


def _of_user(identity: Identity | None) -> dict[str, str]:
    """A child that runs as another user does not look for its files in our home."""
    if identity is None:
        return {}
    variables = {}
    if identity.home:
        variables["HOME"] = identity.home
    if identity.name:
        variables["USER"] = variables["LOGNAME"] = identity.name
    return variables
