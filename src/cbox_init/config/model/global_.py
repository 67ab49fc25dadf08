"""The section ``global``."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from cbox_init.config.model.enums import (
    AclMode,
    ClientAuth,
    LogFormat,
    LogLevel,
    LogOverflow,
    PhpFpmProfile,
    ReadinessMode,
    RestartPolicyName,
    Role,
    TlsVersion,
    TracingExporter,
)
from cbox_init.config.model.kinds import (
    DURATION,
    UNSET,
    Attempts,
    CountOrUnset,
    FileMode,
    Host,
    Inheritance,
    Kind,
    Milliseconds,
    OptionalPort,
    Port,
    PositiveCount,
    PositiveSeconds,
    RingSize,
    Seconds,
    SecondsOfAnHour,
    SecondsOfAnHourOrUnset,
    SecondsOrNever,
    SecondsOrUnset,
    SignedSecondsOrOff,
    Size,
    TextOrEmpty,
)
from cbox_init.config.model.logging import OutputConfig
from cbox_init.config.secret import Secret


class TlsConfig(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None
    crl_file: str | None = None
    client_auth: ClientAuth = ClientAuth.NONE
    min_version: TlsVersion = TlsVersion.TLS_1_2
    cipher_suites: tuple[str, ...] = ()
    auto_reload: bool = False
    auto_reload_interval: PositiveSeconds = 300.0


class AclConfig(Struct, frozen=True, kw_only=True):
    """The lists hold addresses and CIDRs, checked when loaded.

    Without ``trusted_proxies`` the proxies that ``trust_proxy`` means are those of ``allow_list``.
    """

    enabled: bool = False
    mode: AclMode = AclMode.ALLOW
    allow_list: tuple[str, ...] = ()
    deny_list: tuple[str, ...] = ()
    trust_proxy: bool = False
    trusted_proxies: tuple[str, ...] = ()


class ApiTokenConfig(Struct, frozen=True, kw_only=True):
    """A token of the API, with its role. One of ``token``, ``token_file``, ``token_env`` and ``hash`` is set.

    No ``processes`` is every process. ``expires`` is a date, or a time with its zone.
    """

    name: str = ""
    role: Role | None = None
    processes: tuple[str, ...] = ()
    token: Secret | None = None
    token_file: str | None = None
    token_env: str | None = None
    hash: Secret | None = None
    expires: str | None = None


class ApiCertificateRole(Struct, frozen=True, kw_only=True):
    """The role of clients whose verified certificate has this subject and this subjectAltName."""

    subject: str | None = None
    san: str | None = None
    role: Role | None = None
    processes: tuple[str, ...] = ()


class ApiSocketRole(Struct, frozen=True, kw_only=True):
    """The role of processes of this user and this group (names or numbers) on the Unix socket."""

    user: str | None = None
    group: str | None = None
    role: Role | None = None
    processes: tuple[str, ...] = ()


class ReadinessConfig(Struct, frozen=True, kw_only=True):
    """An empty ``path`` is no file, an ``http_port`` of 0 no server; no ``processes`` is every longrun."""

    enabled: bool = False
    path: TextOrEmpty = "/tmp/cbox-ready"
    mode: ReadinessMode = ReadinessMode.ALL_HEALTHY
    content: TextOrEmpty | None = None
    processes: tuple[str, ...] = ()
    http_port: OptionalPort = 0
    http_host: Host = "0.0.0.0"
    http_tls: TlsConfig | None = None


class AuditRotateConfig(Struct, frozen=True, kw_only=True):
    """An empty section has the defaults, as a missing one has."""

    empty_counts: ClassVar[bool] = True

    max_size: Size = 50_000_000
    max_files: PositiveCount = 10


class GlobalConfig(Struct, frozen=True, kw_only=True):
    """Settings of the daemon, and the defaults of every process.

    ``restart_backoff_initial`` and ``restart_backoff_max`` are None only before loading.
    """

    shutdown_timeout: SecondsOfAnHourOrUnset = 30.0
    shutdown_drain: SecondsOfAnHour = 0.0
    health_check_interval: PositiveSeconds = 10.0
    health_check_strict: bool = False
    restart_policy: RestartPolicyName = RestartPolicyName.ALWAYS
    max_restart_attempts: Attempts = 3
    restart_backoff: Seconds = 5.0
    restart_backoff_initial: SecondsOrUnset | None = None
    restart_backoff_max: SecondsOrUnset | None = None
    restart_stability_window: SignedSecondsOrOff = 60.0
    dependency_timeout: SecondsOrNever = 300.0
    process_start_timeout: SecondsOrNever = 30.0
    process_stop_timeout: SecondsOrUnset = 60.0
    max_process_scale: Annotated[int, Meta(ge=1, le=5000)] = 100
    zombie_reap_interval: SecondsOrUnset = 1.0
    php_fpm_profile: PhpFpmProfile | None = None
    autotune_memory_threshold: Annotated[float, Meta(ge=0, le=10)] = 0.0

    environment: Inheritance | None = None
    dumpable: bool = True

    log_format: LogFormat = LogFormat.JSON
    log_level: LogLevel = LogLevel.INFO
    log_timestamps: bool = True
    log_ring_size: RingSize = 256 * 1024
    log_overflow: LogOverflow = LogOverflow.BLOCK
    log_outputs: dict[str, OutputConfig] = field(default_factory=dict)
    log_multiline_enabled: bool = False
    log_multiline_pattern: str = ""
    log_multiline_timeout: Milliseconds = 1.0
    log_multiline_max_lines: PositiveCount = 100
    log_redaction_enabled: bool = False
    log_redaction_patterns: tuple[str, ...] = ()
    log_redaction_placeholder: str = "***"
    log_filter_enabled: bool = False
    log_filter_level: LogLevel | None = None
    log_filter_patterns: tuple[str, ...] = ()
    log_json_parsing: bool = False
    log_level_detection: bool = False

    api_enabled: bool = False
    api_host: Host = ""
    api_port: Port = 9180
    api_socket: str | None = None
    api_socket_mode: FileMode = 0o660
    api_socket_group: str | None = None
    api_socket_roles: tuple[ApiSocketRole, ...] = ()
    api_auth: Secret | None = None
    api_tokens: tuple[ApiTokenConfig, ...] = ()
    api_certificate_roles: tuple[ApiCertificateRole, ...] = ()
    api_insecure: bool = False
    api_max_request_body: Annotated[int, Meta(ge=1, le=100 * 2**20, extra={"kind": Kind.SIZE})] = 2**20
    api_memory_budget: Annotated[int, Meta(ge=2**20, le=2**36, extra={"kind": Kind.SIZE})] = 32 * 2**20
    api_max_connections: Annotated[int, Meta(ge=16, le=65_536)] = 1024
    api_max_connections_per_address: Annotated[int, Meta(ge=0, le=65_536)] = 64
    api_rate_limit: Annotated[float, Meta(ge=0, le=1e9)] = 100.0
    api_rate_burst: CountOrUnset = 200
    api_preload: bool = False
    api_ui: bool = True
    api_cors_origins: tuple[str, ...] = ()
    api_tls: TlsConfig | None = None
    api_acl: AclConfig | None = None

    metrics_enabled: bool = False
    metrics_host: Host = ""
    metrics_port: Port = 9090
    metrics_path: str = "/metrics"
    metrics_tls: TlsConfig | None = None
    metrics_acl: AclConfig | None = None
    resource_metrics_enabled: bool = False
    resource_metrics_interval: Annotated[float, Meta(gt=0, le=3600, extra=DURATION)] = 5.0
    resource_metrics_max_samples: Annotated[int, Meta(ge=0, le=100_000)] = 720
    resource_metrics_pss: bool = False

    audit_enabled: bool = False
    audit_output: str = "log"
    audit_rotate: AuditRotateConfig | None = None
    audit_required: bool = False
    audit_reads: bool = False
    tracing_enabled: bool = False
    tracing_exporter: TracingExporter = TracingExporter.STDOUT
    tracing_endpoint: str | None = None
    tracing_sample_rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    tracing_service_name: str = "cbox-init"
    tracing_use_tls: bool = False

    state_dir: str | None = None
    schedule_history_size: Annotated[int, Meta(ge=0, le=10_000, extra=UNSET)] = 100
    oneshot_history_max_entries: Annotated[int, Meta(ge=0, le=100_000, extra=UNSET)] = 5000
    oneshot_history_max_age: SecondsOrUnset = 86_400.0
    readiness: ReadinessConfig | None = None
