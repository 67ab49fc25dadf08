"""What each key of the configuration means, with an example: the one place that says it.

The tables of docs/configuration.md, ``cbox-init explain`` and the JSON Schema are made from it. A text is
Markdown; its links count from docs/. A line that begins with ``>`` is an example of the value, as YAML; a key
without one gets an example by its type (`cbox_init.reference.keys`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.model import (
    AclConfig,
    ApiCertificateRole,
    ApiSocketRole,
    ApiTokenConfig,
    AuditRotateConfig,
    AutoscaleConfig,
    CapabilitiesConfig,
    Config,
    EnvFileConfig,
    FilterConfig,
    GlobalConfig,
    HealthCheckConfig,
    HealthTlsConfig,
    HeartbeatConfig,
    HookConfig,
    HooksConfig,
    JsonConfig,
    LevelDetectionConfig,
    LimitsConfig,
    LogFileConfig,
    LoggingConfig,
    MultilineConfig,
    NotificationConfig,
    OutputConfig,
    ProcessConfig,
    RateLimitConfig,
    ReadinessConfig,
    ReadyWhenConfig,
    RedactionConfig,
    RedactionPattern,
    RlimitConfig,
    RolloutConfig,
    RotateConfig,
    ShutdownConfig,
    SizeRlimitConfig,
    TlsConfig,
    WebhookConfig,
)

if TYPE_CHECKING:
    from msgspec import Struct

_ENTRY: Final = re.compile(r"^ {8}([\w-]+): (.*)$")
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_HOME: Final = "configuration.md"


class Meaning(NamedTuple):
    """One key: its meaning as Markdown, and an example as YAML, empty where its type gives one."""

    text: str
    example: str = ""


@cache
def meanings(section: type[Struct]) -> dict[str, Meaning]:
    """The meaning of each key of a section."""
    found: dict[str, Meaning] = {}
    key = ""
    for line in _TEXTS[section].splitlines():
        text = line.strip()
        if entry := _ENTRY.match(line):
            key = entry[1]
            found[key] = Meaning(entry[2])
        elif text.startswith("> "):
            found[key] = found[key]._replace(example=text[2:])
        elif text:
            found[key] = found[key]._replace(text=f"{found[key].text} {text}")
    return found


def plain(text: str) -> str:
    """A meaning without its links, for a terminal or an editor."""
    return _LINK.sub(r"\1", text)


def pages(text: str) -> list[str]:
    """Where the links of a meaning lead, as paths from the root of the project."""
    return [
        target if "://" in target else f"docs/{_HOME if target.startswith('#') else ''}{target}"
        for _, target in _LINK.findall(text)
    ]


_TEXTS: Final[dict[type[Struct], str]] = {
    Config: r"""
        version: Read and not used.
            > "1.0"
        include: Other files, whose `processes` and `hooks` are added.
            > [conf.d/*.yaml, workers.yaml]
        global: Settings of the daemon, and the defaults of every process.
        hooks: Commands around the life of the whole stack.
        notifications: Who is notified of events: by requests to Slack, Discord, ntfy, PagerDuty or any
            other address, or by commands. See [Notifications](notifications.md).
            > [{webhook: {url: "${SLACK_URL}", template: slack}}]
        processes: What runs: a section for each process, by name.
    """,
    GlobalConfig: r"""
        shutdown_timeout: Time for a whole shutdown. What lives then is killed. Also caps the default of
            `shutdown.timeout` of each process.
            > 20s
        shutdown_drain: Time between the moment when a shutdown makes the container not ready and the first
            signal, so that balancers notice. Part of `shutdown_timeout`.
            > 5s
        health_check_interval: Period of health checks that name none.
        health_check_strict: End an instance that does not get healthy, or with `type: notify` does not say
            that it is ready, within `process_start_timeout`. A check in mode `readiness` never ends one.
        restart_policy: When an instance that ended by itself comes back, where the process does not say. A
            oneshot is never restarted unless its own `restart` says so.
        max_restart_attempts: Restarts in a row before an instance is given up. 0: no limit.
            > 10
        restart_backoff: First wait before a restart.
        restart_backoff_initial: First wait before a restart; counts before `restart_backoff`. Default:
            `restart_backoff`.
        restart_backoff_max: Longest wait. Default: 12 times `restart_backoff`, and at least the first wait.
        restart_stability_window: Uptime after which the budget of restarts is new and the next restart does
            not wait. `off` or negative: never.
            > 5m
        dependency_timeout: How long a process waits for what it depends on. `never`: no limit.
        process_start_timeout: How long after its first check an instance may take to get healthy; see
            [Health](#health). `never`: no limit.
        process_stop_timeout: Time within which a stop must be done. In this version only `shutdown.timeout`
            counts.
        max_process_scale: Most instances that any process may have.
            > 20
        zombie_reap_interval: Read for older files; children are reaped when they end, not at intervals.
        php_fpm_profile: How [PHP-FPM is sized](php.md#the-size-of-the-pool) for this container.
            `--php-fpm-profile` and `PHP_FPM_AUTOTUNE_PROFILE` count before it. Default: not at all.
        autotune_memory_threshold: Share of the memory limit that PHP-FPM is sized for; 0 is the profile's.
            Above 1.0 is a warning.
            > 0.8
        environment: What children get of the daemon's environment; `environment` of a process counts before
            it. Default: `inherit`. See [Environment of an instance](#environment-of-an-instance).
            > [LANG, TZ, DB_*]
        dumpable: `false`: no core dump of the daemon, and no look into its memory by processes of the same
            user. See [Secrets](#secrets).
        log_format: Form of every line on standard output. See [Output](#output).
        log_level: Least level that goes to standard output, for the daemon's messages and for lines of
            processes.
        log_timestamps: Whether lines have a `time`. Container runtimes add their own.
        log_ring_size: Memory for the last lines of each process: the default of `logging.ring_size`.
        log_overflow: What becomes of lines when nobody reads standard output fast enough: the children
            wait, or the lines are dropped and counted.
        log_outputs: Where the lines of all processes and the daemon's messages go, besides standard output.
            See [Outputs](logs.md#outputs).
        log_multiline_enabled: Join lines into records: the default of `logging.multiline.enabled`.
        log_multiline_pattern: Regular expression of a record's first line: the default of
            `logging.multiline.pattern`.
            > ^\[\d{4}-
        log_multiline_timeout: A record that gets no line for so long is complete: the default of
            `logging.multiline.timeout`. A bare number is milliseconds here.
            > 500ms
        log_multiline_max_lines: Most lines of a record: the default of `logging.multiline.max_lines`.
        log_redaction_enabled: Turns `log_redaction_patterns` on, and is the default of
            `logging.redaction.enabled`.
        log_redaction_patterns: Words whose values are masked, or regular expressions, for every process.
            See [Redaction](logs.md#redaction).
            > [password, api_key]
        log_redaction_placeholder: Text that stands in place of what `log_redaction_patterns` masks.
            > "[masked]"
        log_filter_enabled: Turns `log_filter_level` and `log_filter_patterns` on.
        log_filter_level: Least level that goes to standard output: the default of `logging.min_level`.
        log_filter_patterns: Regular expressions that each process excludes, beside those of its own.
            > ["GET /health"]
        log_json_parsing: Understand lines that are JSON: the default of `logging.json.enabled`. A process
            without `logging.json` gets all that its keys can do.
        log_level_detection: Find the level of lines: the default of `logging.level_detection.enabled`.
        api_enabled: Open the Management API on TCP. The Unix socket is always there.
        api_host: Address to listen on. Absent, `all`, `*` or empty: every address, IPv6 and IPv4.
            > 127.0.0.1
        api_port: TCP port of the Management API.
            > 9180
        api_socket: Path of the Unix socket. Default: `/var/run/cbox-init.sock`, else `/tmp/cbox-init.sock`,
            else `/dev/shm/cbox-init.sock`, which can be written in a read-only container too; where none can
            be written, none, which the log says.
            > /run/cbox-init.sock
        api_socket_mode: Mode of the Unix socket. Who may write to it may connect.
            > "0660"
        api_socket_group: Group of the Unix socket, by name or number. Default: that of the daemon.
            > www-data
        api_socket_roles: Roles of the users of the Unix socket: see [its keys](#globalapi_socket_roles).
            Absent: who may open the socket may do everything.
        api_auth: Bearer token for TCP. A leading `Bearer ` is cut off with a warning. One that is given and
            becomes empty, such as `${API_TOKEN}` without that variable, is an error when others can reach
            the port.
            > ${API_TOKEN}
        api_tokens: Tokens with a role each, besides `api_auth`: see [its keys](#globalapi_tokens) and
            [authentication](authentication.md).
        api_certificate_roles: Roles of client certificates: see [its keys](#globalapi_certificate_roles).
        api_insecure: Without a token, on an address that other machines reach, let everyone change the
            configuration too, and so run any command. See [without a
            token](authentication.md#without-a-token).
        api_max_request_body: Size of a request's body; larger ones get 413.
        api_memory_budget: Memory for requests and responses of the API; see [memory](api.md#memory).
        api_max_connections: Connections of all ports and the Unix socket together, at most a quarter of the
            limit of open files; see [connections](api.md#connections).
            > 256
        api_max_connections_per_address: Connections of one client address (IPv6: of one /64) to one port.
            0: no limit.
        api_rate_limit: Requests a second for each client address on TCP. 0: no limit.
            > 20
        api_rate_burst: Requests at once for each client address before the rate counts.
        api_preload: Import the HTTP stack right after the start, not at the first connection: the first
            request is quicker by some 100 ms, the daemon larger by some 12 MB.
        api_ui: Serve the web page at `/` and the page of the API at `/docs`, wherever the API is served; see
            [the pages](api.md#the-pages).
        api_cors_origins: Origins of web pages that may use the API, such as `https://admin.example.com`;
            see [web pages](api.md#web-pages).
            > [https://admin.example.com]
        api_tls: TLS of the API's TCP port: see [its
            keys](#globalapi_tls-globalmetrics_tls-globalreadinesshttp_tls).
        api_acl: Which client addresses may use the API's TCP port: see [its
            keys](#globalapi_acl-globalmetrics_acl).
        metrics_enabled: Serve [Prometheus metrics](metrics.md).
        metrics_host: Address to listen on; by default every address of the machine.
            > 127.0.0.1
        metrics_port: TCP port of the metrics.
            > 9090
        metrics_path: Path of the metrics: begins with `/`, without `?`, and not `/health`, which answers
            `OK`.
            > /metrics
        metrics_tls: TLS of the metrics port: see [its
            keys](#globalapi_tls-globalmetrics_tls-globalreadinesshttp_tls).
        metrics_acl: Which client addresses may use the metrics port: see [its
            keys](#globalapi_acl-globalmetrics_acl).
        resource_metrics_enabled: Keep a history of [what each instance uses](resources.md).
        resource_metrics_interval: Time between two samples of an instance; less than 100 ms counts as that.
        resource_metrics_max_samples: Samples kept for each instance, 0 for none.
        resource_metrics_pss: Measure [proportional memory](resources.md#proportional-memory) too, every
            minute.
        audit_enabled: Record who did what: see [Audit](audit.md).
        audit_output: `log`, or the absolute path of a file.
            > /var/log/cbox-init/audit.jsonl
        audit_rotate: When the audit file is rotated. By default as with an empty section.
        audit_required: Refuse changes whose record cannot be written. Needs a file.
        audit_reads: Record requests that only read as well.
        tracing_enabled: Record [traces](tracing.md): the start, commands, jobs, hooks and the shutdown.
        tracing_exporter: Where traces go to: over OTLP, or as lines of the log (`stdout`). `jaeger` and
            `zipkin` mean OTLP over gRPC, with a warning.
        tracing_endpoint: Address of the collector. By default `localhost:4317` for gRPC, `localhost:4318` for
            HTTP.
            > otel-collector:4317
        tracing_sample_rate: Share of traces that are sent. A request with a `traceparent` decides itself.
            > 0.1
        tracing_service_name: Name of this service in traces.
            > shop
        tracing_use_tls: Use TLS to the collector.
        state_dir: Directory, on a volume that outlives the container, in which the daemon keeps up to when
            schedules have run, so that times that pass while it is down count as missed. See
            [Schedules](#schedules).
            > /var/lib/cbox-init
        schedule_history_size: Runs kept for each scheduled process.
        oneshot_history_max_entries: Executions of oneshots that are kept, of all together.
        oneshot_history_max_age: How long executions of oneshots are kept after their end.
        readiness: A file and a port that tell others whether the container is ready. See [Readiness of the
            container](#readiness-of-the-container).
    """,
    OutputConfig: r"""
        enabled: `false`: nothing goes there. With `type: stdout`: nothing of this process goes to standard
            output.
        type: Where the lines go. Default: `file` with a `path`; with an `address`, `syslog` for `udp://`,
            `tcp://` and `unix://`, `otlp` for `http://` and `https://`.
        path: For `file`: its path. May hold `${CBOX_INIT_PROCESS_NAME}` and `${CBOX_INIT_INSTANCE_ID}`.
            > /var/log/web.log
        address: Where the receiver is. For `syslog`: `udp://HOST:514`, `tcp://HOST:514` or a Unix socket;
            default `unix:///dev/log`. For `otlp`: `http://HOST:4318`.
            > udp://syslog.example.com:514
        rotate: For `file`: rotate it. Absent: it grows, or others rotate it.
        min_level: Least level that goes there. Default: what counts for standard output.
        filters: Which lines go there.
        format: Form of a line, for `file`, `stdout` and `stderr`. Default: `global.log_format`.
        overflow: What happens when it cannot keep up. Default: `drop` for `syslog` and `otlp`,
            `global.log_overflow` for `stdout`, else `block`.
        facility: For `syslog`: the facility of each message.
        headers: For `otlp`: headers of each request.
            > {Authorization: "Bearer ${OTLP_TOKEN}"}
    """,
    RotateConfig: r"""
        max_size: Rotate above this size.
        max_files: Rotated files to keep.
            > 3
        compress: Compress them, as `PATH.N.gz`.
    """,
    FilterConfig: r"""
        exclude: Regular expressions of lines to drop. Beats `include`.
            > ["GET /health"]
        include: When given, only lines that fit one of these.
            > [ERROR, WARN]
    """,
    ApiSocketRole: r"""
        user: User of the client's process, by name or number.
            > www-data
        group: Group of the client's process, by name or number; supplementary groups count.
            > deploy
        role: What these clients may do: see [roles](authentication.md#roles). Needed.
        processes: The processes that they are limited to, as for a token.
            > [worker-*]
    """,
    ApiTokenConfig: r"""
        name: Who has it, such as `deploy`: for logs and replies. 1 to 64 letters, digits, `.`, `_`, `-`,
            `@`; each once. Needed.
            > deploy
        role: What it allows: see [roles](authentication.md#roles). Needed.
        processes: The processes that it is limited to, by name, with `*`, `?` and `[…]` as in a shell.
            Absent: every process.
            > [worker-*]
        token: The token itself.
            > ${DEPLOY_TOKEN}
        token_file: A file with the token, or with several, one a line; read again when it changes. Line
            ends are not part of a token.
            > /run/secrets/deploy_token
        token_env: The environment variable that holds the token.
            > DEPLOY_TOKEN
        hash: A hash of the token, as `cbox-init token new` prints it.
            > sha256:…
        expires: A date (`2027-01-31`, valid to its end in UTC) or a time (`2027-01-31T12:00:00+01:00`) from
            which the token is refused.
            > 2027-01-31
    """,
    ApiCertificateRole: r"""
        subject: Parts of the subject, such as `CN=deploy` or `CN=deploy,O=Example`; the certificate may
            have more.
            > CN=deploy,O=Example
        san: A name of subjectAltName: `deploy.example.com`, or with its kind `DNS:deploy.example.com`,
            `URI:spiffe://example/deploy`.
            > DNS:deploy.example.com
        role: What these clients may do: see [roles](authentication.md#roles). Needed.
        processes: The processes that they are limited to, as for a token.
            > [worker-*]
    """,
    TlsConfig: r"""
        enabled: Turns TLS on.
        cert_file: Certificate, PEM: the server's first, then the intermediate ones. Needed.
            > /etc/tls/tls.crt
        key_file: The key of the certificate, PEM, not encrypted. Needed.
            > /etc/tls/tls.key
        ca_file: Authorities for client certificates, PEM, one or several.
            > /etc/tls/ca.crt
        crl_file: Lists of revoked client certificates, PEM: one of each authority that signs them.
            > /etc/tls/ca.crl
        client_auth: `none`: clients are not asked for a certificate. `request`: one that is given must be
            signed by an authority of `ca_file`. `require` and `verify`: nobody connects without such a
            certificate.
        min_version: Least version. `1.2` and `TLSv1.2` are understood, too.
        cipher_suites: Allowed ciphers of TLS 1.2, by Go's names (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`)
            or OpenSSL's (`ECDHE-RSA-AES128-GCM-SHA256`); absent: those with forward secrecy and AEAD. Those
            of TLS 1.3 are always allowed; a list of these alone means TLS 1.3 only.
            > [ECDHE-RSA-AES128-GCM-SHA256]
        auto_reload: Read the files again when they change, also through links as Kubernetes makes them.
        auto_reload_interval: How often to look for changes that inotify does not report, as on network file
            systems.
    """,
    AclConfig: r"""
        enabled: Turns the lists on.
        mode: `allow`: only clients in `allow_list`; `deny`: every client. In both modes clients in
            `deny_list` are refused.
        allow_list: Addresses and CIDRs. A bad entry is an error, also while the list is off.
            > [10.0.0.0/8, 127.0.0.1]
        deny_list: Addresses and CIDRs; it wins over `allow_list`. A bad entry is an error, also while the
            list is off.
            > [10.6.6.6]
        trust_proxy: Take the client's address from `X-Forwarded-For` when the connection comes from an
            address in `allow_list`.
        trusted_proxies: Addresses and CIDRs of the proxies whose `X-Forwarded-For` counts, in place of
            `allow_list`; they need no `trust_proxy`.
            > [172.17.0.1]
    """,
    AuditRotateConfig: r"""
        max_size: Size above which a file does not grow.
        max_files: Rotated files that are kept.
    """,
    ReadinessConfig: r"""
        enabled: Turns the file and the port on.
        path: File that exists while the container is ready. Empty: none.
            > /run/ready
        mode: What ready means. `all_running`: all instances run. `all_healthy`: they are also ready in the
            sense of [Dependencies](#dependencies).
        content: Content of the file instead of the lines `ready` and `timestamp=UNIX`.
            > ok
        processes: Processes that count; absent: every enabled longrun that is to run from the start. An
            unknown name is an error.
            > [web]
        http_port: Port for `/readyz` and `/livez`. 0: none.
            > 8081
        http_host: Address to listen on.
            > 0.0.0.0
        http_tls: TLS of this port: see [its
            keys](#globalapi_tls-globalmetrics_tls-globalreadinesshttp_tls).
    """,
    HooksConfig: r"""
        pre-start: Before any process starts. When one fails the daemon ends with exit code 1, and no
            process was started.
            > [{command: [php, artisan, config:cache]}]
        post-start: When all have started. When one fails, a warning says so.
            > [{command: [touch, /tmp/started]}]
        pre-stop: When a shutdown begins, after `shutdown_drain`.
            > [{command: [./announce, leaving]}]
        post-stop: When all have stopped.
            > [{command: [rm, -f, /tmp/started]}]
    """,
    HookConfig: r"""
        name: Name in logs, and `CBOX_INIT_HOOK_NAME`. Default: `pre-start-0` and so on by its place in the
            list; `pre_stop_hook`, `post_stop_hook`.
            > migrate
        command: Program and arguments to run. Required.
            > [php, artisan, migrate, --force]
        timeout: How long one try may take; then its whole process group is killed.
        retry: Further tries after a failure.
        retry_delay: Wait between two tries.
        continue_on_error: Go on with the next hook of the list, and with the start, although it failed.
        env: Variables over those of the daemon, or of the instance.
            > {APP_ENV: production}
        working_dir: Directory to run in. Default: that of the process, or the daemon's.
            > /srv/app
    """,
    ProcessConfig: r"""
        enabled: `false`: the process is checked, but neither started nor shown.
        type: How it runs. `longrun`: should run until it is stopped. `oneshot`: runs once, and ending with
            0, or one of `success_codes`, is success. `notify`: a longrun that says itself when it is ready;
            see [Type notify](#type-notify).
        initial_state: Whether the daemon starts it. `stopped`: only a command does.
        command: Program and arguments. Required for an enabled process.
            > [php-fpm, --nodaemonize]
        working_dir: Directory to run in. Default: the daemon's.
            > /srv/app
        user: User to run as, by name or number. See [Users and groups](#users-and-groups).
            > www-data
        group: Primary group, by name or number. Default: that of `user`.
            > www-data
        env: Variables for its instances. See [Environment of an instance](#environment-of-an-instance).
            > {APP_ENV: production}
        env_file: Files of variables: a path, or a list of paths or sections. See [Files of
            variables](#files-of-variables).
            > [/etc/shop/app.env]
        env_files_from_secrets: Where `NAME_FILE` is set, put what is in that file into `NAME`. See [Files
            of variables](#files-of-variables).
        environment: What its instances get of the daemon's environment. Default: `global.environment`. See
            [Environment of an instance](#environment-of-an-instance).
            > clean
        hook_user: User that its hooks and check commands run as, by name or number. Default: `user` and
            `group`. See [Users and groups](#users-and-groups).
            > root
        umask: File mode creation mask, such as `"027"`; its health check commands have it too. Default:
            that of the daemon.
            > "027"
        no_new_privileges: No program that it executes gets more rights: set-user-ID programs such as `sudo`
            and file capabilities have no effect. See [Sandbox](#sandbox).
        capabilities: Which of the daemon's Linux capabilities it has. See [Sandbox](#sandbox).
        read_only_paths: Absolute paths, at most 100, that it cannot write to, with all that is mounted
            below them. Needs CAP_SYS_ADMIN. See [Sandbox](#sandbox).
            > [/etc, /usr]
        private_tmp: Each instance has a /tmp and /var/tmp of its own, empty, in memory. Needs
            CAP_SYS_ADMIN. See [Sandbox](#sandbox).
        stdin: Standard input: /dev/null, or a pipe that stays open and empty, for programs that end when
            their input does. `inherit`: the first instance has the daemon's own, and where that is a
            terminal the whole terminal, so that its output is not captured.
        restart: When it comes back after it ended by itself. Default: `global.restart_policy`; `never` for
            a oneshot. `always` is an error for a oneshot.
        restart_delay: First wait before a restart. Default: the global one. Raises the default cap when it
            is longer.
        max_restart_delay: Longest wait. Default: the global one.
        max_restarts: Restarts in a row before it is given up. 0: no limit. Default:
            `global.max_restart_attempts`.
            > 10
        restart_threshold: Uptime after which its budget of restarts is new. `off` or negative: never.
            Default: `global.restart_stability_window`.
        on_give_up: What happens when an instance of it has failed for good: `keep` leaves the others
            running, `shutdown` ends the container with the instance's exit code.
        on_exit: What happens when an instance has ended for good, with whatever exit code: `shutdown` ends
            the container with that code, as for a job beside a sidecar. `restart` is then `never` by
            default.
        success_codes: Exit codes that are a success, for its restart policy, for what depends on a oneshot
            and for the history. One that a signal has ended has 128 and its number. See [Exit codes and
            time limits](#exit-codes-and-time-limits).
            > [0, 2]
        timeout: How long a oneshot may take; then it is stopped, and has failed. With a `schedule`:
            `schedule_timeout`. See [Exit codes and time limits](#exit-codes-and-time-limits).
            > 10m
        max_runtime: How long an instance may run; then it is replaced, as by a restart. See [Exit codes and
            time limits](#exit-codes-and-time-limits).
            > 24h
        scale: How many instances run. More than 1 is an error for a oneshot. 0 means the default
            when the daemon starts; `off`: none until it is scaled; `auto`: one for each CPU that the
            container has.
            > 2
        max_scale: Most instances. 0: `global.max_process_scale` alone; the lower of the two counts.
            > 8
        scale_locked: Refuse to scale: the API answers 409.
        autoscale: How many instances it has, by its load; see [Autoscaling](autoscaling.md).
        port_base: Each instance gets `PORT` = `port_base` + its index. 0: no `PORT`.
            > 8000
        groups: Groups that it belongs to, by which commands select it: `cbox-init restart @workers`.
            > [workers]
        depends_on: Processes that must be ready before this one starts. See [Dependencies](#dependencies).
            > [migrate]
        restart_with: Processes with which it is restarted: when one of them was replaced, after a crash or by
            a restart, and is ready again. See [Restarts with others](#restarts-with-others).
            > [db]
        dependency_timeout: How long it waits for them. `never`: no limit. Default:
            `global.dependency_timeout`.
        health_check: How to ask whether an instance is healthy; see [Health](#health).
        ready_when: A line of its output that says that an instance is ready; see [Ready by a line of
            output](#ready-by-a-line-of-output).
        watchdog: With `type: notify`: how long an instance may go without a sign of life. 0: it need not
            give any.
            > 30s
        rollout: How its instances are replaced; see [Rollouts](#rollouts).
        shutdown: How its instances are stopped; see [Stopping](#stopping).
        stdout: Short for `logging.stdout`; both must be true for it to be read.
        stderr: Short for `logging.stderr`; both must be true for it to be read.
        logging: What happens to its output; see [the log pipeline](logs.md).
        schedule: When to run it: five cron fields, `@hourly` and the like, or `@every 90s`. See
            [Schedules](#schedules).
            > "*/5 * * * *"
        schedule_timezone: Zone of the schedule: `UTC`, `Local` or an IANA name.
            > Europe/Copenhagen
        schedule_timeout: How long one run may take.
            > 10m
        schedule_max_concurrent: Runs at the same time. 1: no overlap. 0: no limit.
            > 1
        schedule_misfire: When a time was missed: one run for all that were, or none.
        run_on_start: Also run it once when the daemon starts, when its dependencies are ready.
        heartbeat: URLs that are called for the runs of its schedule.
        max_memory_mb: Restart an instance whose resident set, with all that it started, is above this many
            MB (of 1024 KiB). 0: no limit. See [Memory](#memory).
            > 256
        limits: What an instance may use. See [Limits](#limits).
        priority: Read for older files; `depends_on` orders processes.
            > 0
    """,
    AutoscaleConfig: r"""
        min: Fewest instances. 0 with `command` or `http`: none while nothing is to be done.
            > 2
        max: Most instances. Required; at most `max_scale` and `global.max_process_scale`.
            > 10
        metric: What is measured. Default: `http` with a `url`, `command` with a `command`, else `cpu`.
        target: What one instance is to have of it: percent of a CPU, a size of memory, or what the command or
            the server counts. Default: 70 for `cpu`; else required.
            > 70%
        interval: Time between two measurements.
            > 30s
        stabilization: For how long a load keeps the instances that it needed. 0: fewer are wanted at once.
            > 10m
        command: For `command`: a program that prints a number, of all instances together. It runs as the user
            of the process, in its environment.
            > [redis-cli, LLEN, jobs]
        url: For `http`: the URL of a number, or of JSON with one, of all instances together.
            > http://127.0.0.1:9000/stats
        headers: For `http`: headers of the request.
            > {Authorization: "Bearer ${METRICS_TOKEN}"}
        value: Where the answer, in JSON, has the number: keys and indexes with dots between them. Without it
            the answer is the number.
            > queues.0.length
        timeout: For `command` and `http`: how long one measurement may take.
    """,
    EnvFileConfig: r"""
        path: The file. It counts from the directory of the configuration file that names it. Required.
            > /etc/shop/app.env
        required: `false`: a file that is not there is no error.
        format: `raw`: each value as it stands, without references, quotes and comments.
    """,
    CapabilitiesConfig: r"""
        drop: Capabilities that it loses, for good: they leave the bounding set too.
            > [ALL]
        add: Capabilities that stay although `drop` names them by `ALL`. The daemon must have them.
            > [CHOWN]
        ambient: Capabilities that it has as a user other than root. They stay although `drop` names them by
            `ALL`; `ALL` here is all that are left. The daemon must have them.
            > [NET_BIND_SERVICE]
    """,
    HealthCheckConfig: r"""
        type: How it asks. Default: `http` with a `url`, else `exec` with a `command`, else `tcp`. What the
            type needs must be there.
        address: `HOST:PORT` for `tcp` and `grpc`; without a host it is this machine. A URL here is `url`.
            > "127.0.0.1:${PORT}"
        url: For `http`: the URL, `http://` or `https://`.
            > http://127.0.0.1:${PORT}/health
        command: For `exec`: program and arguments; exit code 0 is a success.
            > [redis-cli, ping]
        initial_delay: Wait after the start of the instance before the first check.
        period: Time between two checks. Default: `global.health_check_interval`.
        timeout: How long one check may take.
        failure_threshold: Failures in a row after which an instance is unhealthy.
            > 5
        success_threshold: Successes in a row after which an instance is healthy.
            > 2
        start_period: Time to become healthy for the first time, from the first check on: failures do not
            end the instance before it is over. Default: `global.process_start_timeout`.
        start_interval: Time between two checks until the instance is healthy for the first time, at most
            `period`.
        method: For `http`: the method. The request has no body.
            > HEAD
        headers: For `http`: headers of the request; they replace those sent by default, `Host` and
            `User-Agent` too.
            > {Host: shop.example.com}
        expected_status: For `http`: which statuses are a success: `200`, `200-299`, `2xx`, or `[200, 204]`.
            > 200-299
        expected_body: For `http`: a text that the first MiB of the body must contain.
            > ready
        tls: For `https://`: whom to trust. With `grpc` the section, also an empty one, turns TLS on.
        service: For `grpc`: the service that is asked for. Default: the server as a whole.
            > shop.v1.Orders
        mode: What a failing check means: restart, not ready, or both.
    """,
    HealthTlsConfig: r"""
        verify: Whether the certificate must be valid.
        ca_file: Certificates to trust instead of the system's, PEM. Read again after a server was not
            trusted.
            > /etc/tls/ca.crt
        server_name: Name to ask for and to verify. Default: the host.
            > shop.example.com
    """,
    RolloutConfig: r"""
        strategy: The order of replacing: a few at a time, all at once, or all old ones first and then the
            new ones.
        max_surge: New instances beyond the scale that stand in while others are replaced. Default: 1 with
            `port_base`, a readiness check and room below `max_scale`, else 0.
            > 1
        max_unavailable: Instances that may be down at a time. Default: 0 with a surge, else 1.
            > 2
        ready_timeout: Time within which a new instance must get ready, 0 for ever. Default: as a start, by
            `global.process_start_timeout`.
            > 1m
        pause: How long a new instance must have been ready before the next is replaced.
            > 5s
        on_failure: When a new instance does not get ready: leave the old ones that are left, or go back to
            them and to the configuration before.
    """,
    ReadyWhenConfig: r"""
        log: Pattern in Go's syntax that a line of standard output or standard error matches. Required.
            > "listening on"
        timeout: How long that may take; then the instance is not healthy. Default: `start_period` of its
            `health_check`, or `global.process_start_timeout`.
            > 2m
    """,
    ShutdownConfig: r"""
        signal: First signal of a stop: `SIGTERM`, `term`, `15`, `RTMIN+3`.
            > SIGQUIT
        timeout: Time between the first signal and the kill. Default: 30 s, or `global.shutdown_timeout` if
            that is less.
            > 20s
        kill_signal: Signal for what is left after `timeout`.
            > SIGABRT
        mode: Who gets the first signal: the process group, or the main process alone.
        graceful: `false`: the first signal is `kill_signal`.
        pre_stop_hook: Command before the first signal of a stop, within `timeout`. See
            [Hooks](#what-hooks-do).
            > {command: [./drain], timeout: 10s}
        post_stop_hook: Command when nothing of an instance that was stopped is left.
            > {command: [./report]}
    """,
    LoggingConfig: r"""
        stdout: `false`: standard output is /dev/null.
        stderr: `false`: standard error is /dev/null.
        labels: Texts that each line carries.
            > {team: shop}
        min_level: Least level that goes to standard output; the higher of this and `global.log_level`
            counts. Default: `global.log_filter_level`, else `info`.
        ring_size: Memory for the last lines, which the API and `cbox-init logs` show; see
            [Output](#output). Default: `global.log_ring_size`.
        rate_limit: Drop lines that come faster.
            > {lines: 1000}
        redaction: Mask secrets in lines.
            > {enabled: true, patterns: [jwt]}
        multiline: Join lines into one record.
            > {enabled: true, pattern: '^\d{4}-'}
        json: Understand lines that are JSON.
            > {enabled: true, extract_level: true}
        level_detection: Find the level of a line.
            > {enabled: true}
        filters: Drop lines.
            > {exclude: ["GET /health"]}
        files: Files that the application writes itself. See [Files](logs.md#files-that-applications-write).
        outputs: Where its lines go, besides standard output. See [Outputs](logs.md#outputs).
    """,
    RateLimitConfig: r"""
        lines: Records a second, of all instances together; what is above is dropped. 0: no limit.
            > 1000
        burst: Most lines at once. 0: as many as `lines`.
            > 5000
    """,
    RedactionConfig: r"""
        enabled: Turns the patterns on. Default: `global.log_redaction_enabled`. `false` also keeps out the
            patterns of `global`.
        patterns: What to mask. A text in the list is the name of a ready pattern.
            > [jwt, email]
    """,
    RedactionPattern: r"""
        name: Without a `pattern`, the name of a ready one: `bearer_token`, `aws_key`, `jwt`, `credit_card`,
            `email`, `url_password`, `github_token`, `private_key`.
            > jwt
        pattern: Regular expression of what is masked. See [Patterns](logs.md#patterns).
            > sk_live_\w+
        replacement: Text in place of what is masked, with `$1`, `${1}` or `${name}` for groups, `$$` for a
            dollar. Empty: `***`. For a ready pattern: the text as it is.
            > "[key]"
    """,
    MultilineConfig: r"""
        enabled: Turns joining on. Default: `global.log_multiline_enabled`.
        pattern: Regular expression of a record's first line. Default: `global.log_multiline_pattern`.
            > ^\d{4}-\d{2}-\d{2}
        max_lines: Most lines of a record. Default: `global.log_multiline_max_lines`.
            > 200
        timeout: A record that gets no line for so long is complete. Default:
            `global.log_multiline_timeout`.
            > 2s
    """,
    JsonConfig: r"""
        enabled: Turns the reading of JSON on. Default: `global.log_json_parsing`.
        detect_auto: Take only lines that are JSON objects. It makes no difference: every other line stays
            as it is in any case.
        extract_level: Take the level from the object.
        extract_message: Take the message from the object.
        merge_fields: Put its other members into the record.
    """,
    LevelDetectionConfig: r"""
        enabled: Turns the search for a level on. Default: `global.log_level_detection`.
        patterns: A regular expression for each level. None: the built-in detection.
            > {error: FATAL, warn: DEPRECATED}
        default_level: Level of a line that fits none.
    """,
    LogFileConfig: r"""
        path: Path of the file, or a pattern such as `/app/logs/laravel-*.log`. The `user` of the process
            must be able to read it.
            > /app/logs/laravel-*.log
        rotate: Rotate the file.
            > {max_size: 50MB, max_files: 5}
        min_level: Least level of its lines that are taken.
        json: Understand lines that are JSON.
        level_detection: Find the level of a line.
        multiline: Join lines into one record.
        filters: Drop lines.
    """,
    NotificationConfig: r"""
        name: Name in the API, in logs and for `cbox-init notifications test`. Default: `notification-0` and
            so on by its place in the list.
            > ops
        enabled: `false` turns it off.
        events: Kinds of events, with patterns; `problems` stands for those that say that something is wrong.
            Default: `problems`. See [Which events](notifications.md#which-events).
            > [problems, daemon.stopping, rollout.*]
        processes: Names of processes, with patterns. Default: all, and events of the daemon itself.
            > [web, queue-*]
        command: Program and arguments to run for each message, with the message as JSON on its standard
            input. Either this or `webhook`.
            > [/usr/local/bin/notify, --urgent]
        webhook: Request to send for each message: a URL, or these keys.
            > {url: "${SLACK_URL}", template: slack}
        min_interval: Shortest time between two messages about the same kind of event of the same process;
            events in between are counted, and sent as one message when it is over. `0` sends each event.
            > 5m
        timeout: How long one try may take in all.
        retry: Further tries after a failure that may pass: no answer, a status of 500 and above, 408, 425,
            429, or an exit code that is not 0.
        retry_delay: Wait before the second try. Doubles with each further one, up to a minute.
            > 5s
    """,
    WebhookConfig: r"""
        url: Address that messages are sent to, by `POST`. Default with `template: pagerduty`: that of
            PagerDuty.
            > ${SLACK_URL}
        url_file: File that holds the address, read for each message.
            > /run/secrets/slack_url
        headers: Headers of each request.
            > {Authorization: "Bearer ${NTFY_TOKEN}"}
        header_files: Headers whose values are in files, read for each message.
            > {X-Api-Key: /run/secrets/api_key}
        template: Form of the body: `json`, `slack`, `discord`, `ntfy`, `pagerduty`, or a text with
            [placeholders](notifications.md#your-own-template).
            > '{"message": "{title}", "why": "{reason}"}'
        routing_key: Integration key of a service of PagerDuty, for `template: pagerduty`.
            > ${PAGERDUTY_KEY}
        routing_key_file: File that holds the integration key, read for each message.
            > /run/secrets/pagerduty_key
    """,
    HeartbeatConfig: r"""
        enabled: `false` turns the calls off.
        url: URL that is called after success and failure alike.
            > ${HEARTBEAT_URL}
        start_url: URL that is called before a run.
            > ${HEARTBEAT_URL}/start
        success_url: URL that is called after a success.
            > ${HEARTBEAT_URL}
        failure_url: URL that is called after a failure.
            > ${HEARTBEAT_URL}/fail
        interval: Alert when no run succeeded for this time and `grace`.
            > 24h
        grace: Time beyond `interval` before the alert.
            > 1h
        timeout: How long a call may take.
        retry_count: Further tries of a call.
            > 5
        retry_delay: Wait between two tries.
        method: HTTP method of each call.
            > GET
        headers: Headers of each call.
            > {Authorization: "Bearer ${HEARTBEAT_TOKEN}"}
    """,
    LimitsConfig: r"""
        nofile: Open files: one value for both limits, or `soft` and `hard`.
            > 65536
        nproc: Processes of its user: one value for both limits, or `soft` and `hard`.
            > {soft: 200, hard: 400}
        core: Size of a core dump: one value for both limits, or `soft` and `hard`.
            > 0
        nice: Priority for the CPU: a higher value gets less. Default: the daemon's.
            > 10
        oom_score_adj: How soon the kernel kills it when memory runs out: a higher value sooner. Default:
            100 above the daemon's, at most 1000.
            > 500
        cpu: Most CPU time, in cores: 0.5 is half of one. Needs a cgroup.
            > 0.5
        memory: Most memory. Needs a cgroup.
            > 512MiB
    """,
    RlimitConfig: r"""
        soft: The limit that counts. Default: the daemon's, or `hard` when that is less.
            > 1024
        hard: How far the program may raise it. Default: the daemon's, or `soft` when that is more.
            > 65536
    """,
    SizeRlimitConfig: r"""
        soft: The limit that counts. Default: the daemon's, or `hard` when that is less.
            > 0
        hard: How far the program may raise it. Default: the daemon's, or `soft` when that is more.
            > unlimited
    """,
}
