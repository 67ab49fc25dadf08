"""From a process's configuration to what checks one of its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from cbox_init.config.endpoints import parse_address, parse_url
from cbox_init.config.model import HealthCheckType
from cbox_init.config.substitute import expand_instance
from cbox_init.errors import CheckFailed, SpawnError
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.supervisor.instance.launch import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import HealthCheckConfig, ProcessConfig
    from cbox_init.supervisor.runtime import Runtime


class Probe(Protocol):
    """One way to look at an instance. ``where`` names what it looks at, without secrets."""

    where: str

    async def __call__(self) -> None:
        """Look once, as long as it takes. Raises CheckFailed, SpawnError or OSError when it is not well."""


class Probes:
    """Makes the probes of one process's instances, each with its own ``${PORT}`` and other variables."""

    def __init__(self, name: str, config: ProcessConfig, runtime: Runtime) -> None:
        assert config.health_check is not None
        self._check = config.health_check
        self._launch = Launch(name, config, runtime.environ)
        self._runtime = runtime
        self._resolver = Resolver()

    def of(self, index: int) -> Probe:
        """The probe of an instance. One that cannot be made fails each time, with the reason."""
        try:
            return self._make(self._check, index, self._launch.environment(index, self._launch.identity()))
        except (SpawnError, ValueError) as error:
            return _Unusable(str(error))

    def _make(self, check: HealthCheckConfig, index: int, variables: Mapping[str, str]) -> Probe:
        match check.type:
            case HealthCheckType.HTTP:
                from cbox_init.supervisor.health.http import HttpProbe

                body = check.expected_body
                return HttpProbe(
                    parse_url(expand_instance(check.url or "", variables)),
                    expected_status=check.expected_status,
                    expected_body=body and expand_instance(body, variables),
                    resolver=self._resolver,
                )
            case HealthCheckType.EXEC:
                from cbox_init.supervisor.health.command import CommandProbe

                null = self._runtime.spawner.null_fd
                request = self._launch.request(index, stdout_fd=null, stderr_fd=null)
                command = tuple(expand_instance(word, variables) for word in check.command)
                return CommandProbe(replace(request, argv=command), runtime=self._runtime)
            case _:
                from cbox_init.supervisor.health.tcp import TcpProbe

                endpoint = parse_address(expand_instance(check.address or "", variables))
                return TcpProbe(endpoint, resolver=self._resolver)


class _Unusable:
    def __init__(self, reason: str) -> None:
        self.where = "the check"
        self._reason = reason

    async def __call__(self) -> None:
        raise CheckFailed(self._reason)
