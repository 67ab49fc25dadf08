"""One entry of ``processes``."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from cbox_init.config.model.enums import (
    AutoscaleMetric,
    EnvFileFormat,
    HealthCheckMode,
    HealthCheckType,
    InitialState,
    Misfire,
    OnExit,
    OnGiveUp,
    ProcessType,
    RestartPolicyName,
    RolloutFailure,
    RolloutStrategy,
    ShutdownMode,
    Stdin,
)
from cbox_init.config.model.hooks import HookConfig
from cbox_init.config.model.kinds import (
    DURATION,
    INHERITS_ALL,
    Amount,
    Attempts,
    Command,
    Count,
    CountOrUnset,
    ExitCodes,
    Inheritance,
    OptionalPort,
    PositiveCount,
    PositiveSeconds,
    Scale,
    Seconds,
    SecondsOfAnHourOrUnset,
    SecondsOrNever,
    SecondsOrUnset,
    SignalName,
    SignedSecondsOrOff,
    Statuses,
    Umask,
)
from cbox_init.config.model.limits import CapabilitiesConfig, LimitsConfig
from cbox_init.config.model.logging import LoggingConfig
from cbox_init.config.secret import Secret


class HealthTlsConfig(Struct, frozen=True, kw_only=True):
    """How a check over TLS trusts its peer: by the system's certificates, or by those of ``ca_file``.

    ``server_name`` is the name that is asked for and verified; None is the host of the URL or address.
    """

    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = None


class HealthCheckConfig(Struct, frozen=True, kw_only=True):
    """``type`` and ``period`` are None only before loading: the type then follows from ``url``, ``command``
    or ``address``, the period is ``global.health_check_interval``. ``start_period`` of None is
    ``global.process_start_timeout``. ``service`` is the name in a check of type ``grpc``.
    """

    zeros_are_absent: ClassVar[bool] = True

    type: HealthCheckType | None = None
    address: str | None = None
    url: str | None = None
    command: Command = ()
    initial_delay: Seconds = 5.0
    period: PositiveSeconds | None = None
    timeout: PositiveSeconds = 3.0
    failure_threshold: PositiveCount = 3
    success_threshold: PositiveCount = 1
    start_period: SecondsOrUnset | None = None
    start_interval: PositiveSeconds = 1.0
    method: str = "GET"
    headers: dict[str, Secret] = field(default_factory=dict)
    expected_status: Statuses = ((200, 200),)
    expected_body: str | None = None
    tls: HealthTlsConfig | None = None
    service: str = ""
    mode: HealthCheckMode = HealthCheckMode.BOTH


class ReadyWhenConfig(Struct, frozen=True, kw_only=True):
    """When an instance is ready, beside its health check: when a line of its output matches ``log``.

    ``timeout`` of None is `global.process_start_timeout`, or the ``start_period`` of its health check.
    """

    log: str | None = None
    timeout: SecondsOrUnset | None = None


class ShutdownConfig(Struct, frozen=True, kw_only=True):
    """How an instance is stopped. ``graceful: false`` sends the kill signal at once.

    ``timeout`` is None only before loading; `Config.stop_rules` gives what counts.
    """

    signal: SignalName = "SIGTERM"
    timeout: SecondsOfAnHourOrUnset | None = None
    kill_signal: SignalName = "SIGKILL"
    mode: ShutdownMode = ShutdownMode.GROUP
    graceful: bool = True
    pre_stop_hook: HookConfig | None = None
    post_stop_hook: HookConfig | None = None


class RolloutConfig(Struct, frozen=True, kw_only=True):
    """How a restart, or a changed configuration, replaces the instances.

    ``max_surge`` and ``max_unavailable`` are None where they follow from the process
    (`cbox_init.config.rules.rollout_rules`); ``ready_timeout`` is None for `global.process_start_timeout`.
    """

    strategy: RolloutStrategy = RolloutStrategy.ROLLING
    max_surge: Count | None = None
    max_unavailable: Count | None = None
    ready_timeout: Seconds | None = None
    pause: Seconds = 0.0
    on_failure: RolloutFailure = RolloutFailure.STOP


class HeartbeatConfig(Struct, frozen=True, kw_only=True):
    """The URLs that are called for the runs of a schedule. URLs and headers contain keys, hence secrets."""

    zeros_are_absent: ClassVar[bool] = True

    enabled: bool = True
    url: Secret | None = None
    start_url: Secret | None = None
    success_url: Secret | None = None
    failure_url: Secret | None = None
    interval: SecondsOrUnset | None = None
    grace: Seconds = 0.0
    timeout: PositiveSeconds = 30.0
    retry_count: Count = 3
    retry_delay: Seconds = 5.0
    method: str = "POST"
    headers: dict[str, Secret] = field(default_factory=dict)


class AutoscaleConfig(Struct, frozen=True, kw_only=True):
    """How many instances a process has, by its load. ``least`` and ``most`` are ``min`` and ``max``.

    ``metric`` is None only before loading: it then follows from ``url`` or ``command``. ``target`` is that of
    one instance: percent of a CPU, bytes, or what the command or the server counts; None is 70 % for ``cpu``.
    ``value`` is where an answer in JSON has the number.
    """

    least: Count = field(default=1, name="min")
    most: CountOrUnset | None = field(default=None, name="max")
    metric: AutoscaleMetric | None = None
    target: Amount | None = None
    interval: Annotated[float, Meta(ge=0.1, le=3600, extra=DURATION)] = 15.0
    stabilization: Annotated[float, Meta(ge=0, le=3600, extra=DURATION)] = 300.0
    command: Command = ()
    url: str | None = None
    headers: dict[str, Secret] = field(default_factory=dict)
    value: str | None = None
    timeout: PositiveSeconds = 5.0


class EnvFileConfig(Struct, frozen=True, kw_only=True):
    """A file of variables, ``NAME=value`` in each line."""

    one_value_gives: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    required: bool = True
    format: EnvFileFormat = EnvFileFormat.DOTENV


class ChildVariables(Struct, frozen=True, kw_only=True):
    """What follows for a process from its ``environment`` and the files of variables; no key of the file.

    ``inherits`` are the names that it inherits (`Inheritance`), apart from ``withheld``, which it does not
    get at all: ``NAME_FILE`` where ``NAME`` came from the file. ``settings`` are the ``CBOX_INIT_PROCESS_…``
    that are its own. ``kept`` are variables of the daemon's secrets that it names itself, ``given`` came from
    files: ``env`` counts before both. ``files`` have been read.
    """

    inherits: tuple[str, ...] = INHERITS_ALL
    withheld: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()
    kept: dict[str, Secret] = field(default_factory=dict)
    given: dict[str, Secret] = field(default_factory=dict)
    files: tuple[str, ...] = ()


class ProcessConfig(Struct, frozen=True, kw_only=True):
    """One process. After loading, ``restart`` and ``shutdown.timeout`` are never None. ``timeout`` is that of
    a oneshot; of a process with a schedule it is `schedule_timeout`.

    ``env`` values are plain texts: show them through `cbox_init.config.masking.masked`. ``variables`` is no
    key (`not_keys`): loading makes it.
    """

    not_keys: ClassVar[frozenset[str]] = frozenset(("variables",))

    enabled: bool = True
    type: ProcessType = ProcessType.LONGRUN
    initial_state: InitialState = InitialState.RUNNING
    command: Command = ()
    working_dir: str | None = None
    user: str | None = None
    group: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    env_file: tuple[EnvFileConfig, ...] = ()
    env_files_from_secrets: bool = False
    environment: Inheritance | None = None
    hook_user: str | None = None
    umask: Umask | None = None
    no_new_privileges: bool = False
    capabilities: CapabilitiesConfig | None = None
    read_only_paths: tuple[str, ...] = ()
    private_tmp: bool = False
    stdin: Stdin = Stdin.NULL
    restart: RestartPolicyName | None = None
    restart_delay: Seconds | None = None
    max_restart_delay: SecondsOrUnset | None = None
    max_restarts: Attempts | None = None
    restart_threshold: SignedSecondsOrOff | None = None
    on_give_up: OnGiveUp = OnGiveUp.KEEP
    on_exit: OnExit = OnExit.KEEP
    success_codes: ExitCodes = (0,)
    timeout: SecondsOrUnset | None = None
    max_runtime: SecondsOrUnset | None = None
    scale: Scale = 1
    max_scale: Count = 0
    scale_locked: bool = False
    autoscale: AutoscaleConfig | None = None
    port_base: OptionalPort = 0
    groups: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    restart_with: tuple[str, ...] = ()
    dependency_timeout: SecondsOrNever | None = None
    health_check: HealthCheckConfig | None = None
    ready_when: ReadyWhenConfig | None = None
    watchdog: Seconds = 0.0
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    shutdown: ShutdownConfig = field(default_factory=ShutdownConfig)
    stdout: bool = True
    stderr: bool = True
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    schedule: str | None = None
    schedule_timezone: str = "UTC"
    schedule_timeout: SecondsOrUnset | None = None
    schedule_max_concurrent: Count = 0
    schedule_misfire: Misfire = Misfire.RUN
    run_on_start: bool = False
    heartbeat: HeartbeatConfig | None = None
    max_memory_mb: Count = 0
    limits: LimitsConfig | None = None
    priority: int = 0
    variables: ChildVariables = field(default_factory=ChildVariables)

    @property
    def autoscales(self) -> bool:
        """Whether its scale follows its load: not where it cannot be scaled, or without all that it needs."""
        config = self.autoscale
        if config is None or self.schedule or self.type is ProcessType.ONESHOT:
            return False
        return bool(config.metric and config.target and config.most)

    @property
    def initial_scale(self) -> int:
        """How many instances it has at first: its scale, brought within the limits of ``autoscale``."""
        limits = self.autoscale
        if limits is None or not limits.most or not self.autoscales or self.scale == 0:
            return int(self.scale)  # a plain number, which every encoder takes
        return max(limits.least, min(self.scale, limits.most))

    @property
    def starts_by_itself(self) -> bool:
        """Whether the daemon starts it, or its schedule, rather than a command."""
        return self.initial_state is InitialState.RUNNING
