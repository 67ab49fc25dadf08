"""Makes the probe of each instance from the configuration of its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cbox_init.config.endpoints import parse_address, parse_url
from cbox_init.config.model import HealthCheckType, HealthTlsConfig
from cbox_init.config.secret import Secret
from cbox_init.config.substitute import expand_instance
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.supervisor.instance.launch import Launch, helper_identity
from cbox_init.system.spawn_request import SpawnRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import HealthCheckConfig, ProcessConfig
    from cbox_init.supervisor.health.tls import TlsClient
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.identity import Identity


class Probe(Protocol):
    """One way to check an instance. ``where`` names what is asked, without secrets; it may change by a
    redirect.
    """

    where: str

    async def __call__(self) -> None:
        """Check once, as long as it takes. Raises CheckFailed, SpawnError or OSError when it fails."""


class Probes:
    """Makes the probes of one process's instances, each with its own ``${PORT}`` and other variables."""

    def __init__(self, name: str, config: ProcessConfig, runtime: Runtime) -> None:
        assert config.health_check is not None
        self._check = config.health_check
        self._config = config
        self._identity: Identity | None = None
        self._launch = Launch(name, config, runtime.environ)
        self._runtime = runtime
        self._resolver = Resolver()
        self._tls: TlsClient | None = None

    def of(self, index: int, pid: int) -> Probe:
        """The probe of an instance whose main process is ``pid``.

        Raises CheckFailed when it cannot be made, and SpawnError and OSError for what this machine lacks.
        """
        try:
            if self._identity is None:
                self._identity = helper_identity(self._config)
            return self._make(self._check, index, pid, self._launch.environment(index, self._identity))
        except ValueError as error:
            raise CheckFailed(str(error)) from error

    def _make(self, check: HealthCheckConfig, index: int, pid: int, variables: Mapping[str, str]) -> Probe:
        match check.type:
            case HealthCheckType.HTTP:
                return self._http(check, variables)
            case HealthCheckType.GRPC:
                from cbox_init.supervisor.health.grpc import GrpcProbe

                endpoint = parse_address(expand_instance(check.address or "", variables))
                return GrpcProbe(
                    endpoint,
                    service=expand_instance(check.service, variables),
                    resolver=self._resolver,
                    tls=None if check.tls is None else self._tls_client,
                    server_name=_server_name(check, variables),
                )
            case HealthCheckType.EXEC:
                from cbox_init.supervisor.health.command import CommandProbe

                null = self._runtime.spawner.null_fd
                request = SpawnRequest(
                    argv=tuple(expand_instance(word, variables) for word in check.command),
                    env=variables,
                    cwd=self._config.working_dir,
                    identity=self._identity,
                    stdout_fd=null,
                    stderr_fd=null,
                    umask=self._config.umask,
                    sandbox=self._launch.sandbox(mounts_of=pid),
                )
                return CommandProbe(request, runtime=self._runtime)
            case _:
                from cbox_init.supervisor.health.tcp import TcpProbe

                endpoint = parse_address(expand_instance(check.address or "", variables))
                return TcpProbe(endpoint, resolver=self._resolver)

    def _http(self, check: HealthCheckConfig, variables: Mapping[str, str]) -> Probe:
        from cbox_init.supervisor.health.http import Expected, HttpProbe

        url = parse_url(expand_instance(check.url or "", variables))
        body = check.expected_body
        return HttpProbe(
            url,
            expected=Expected(check.expected_status, body and expand_instance(body, variables)),
            resolver=self._resolver,
            method=check.method,
            headers={
                name: Secret(expand_instance(value.reveal(), variables))
                for name, value in check.headers.items()
            },
            tls=self._tls_client,
            server_name=_server_name(check, variables),
        )

    def _tls_client(self) -> TlsClient:
        """The one of all instances; made, and ssl imported, for the first connection that needs it."""
        if self._tls is None:
            from cbox_init.supervisor.health.tls import TlsClient

            grpc = self._check.type is HealthCheckType.GRPC
            self._tls = TlsClient(self._check.tls or HealthTlsConfig(), protocols=("h2",) if grpc else ())
        return self._tls


def _server_name(check: HealthCheckConfig, variables: Mapping[str, str]) -> str | None:
    if check.tls is None or not check.tls.server_name:
        return None
    return expand_instance(check.tls.server_name, variables)
