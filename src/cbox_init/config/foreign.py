"""Keys of other process managers, with the key that means the same here. For hints; read where a key is
unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.model import (
    ApiSocketRole,
    Config,
    HealthCheckConfig,
    NotificationConfig,
    ProcessConfig,
    ShutdownConfig,
)

if TYPE_CHECKING:
    from msgspec import Struct

_SET_BY_THE_CONTAINER: Final = "remove it: it is a setting of the container"

#: From Compose, supervisord, pm2 and systemd, in lower case and without - and _.
_KEYS: Final[dict[type[Struct], dict[str, str]]] = {
    Config: {
        "services": "processes",
        "programs": "processes",
        "program": "processes",
        "apps": "processes",
        "service": "processes",
        "settings": "global",
        "supervisord": "global",
        "includes": "include",
        "alerts": "notifications",
        "webhooks": "notifications",
    },
    NotificationConfig: {
        "url": "webhook.url",
        "template": "webhook.template",
        "headers": "webhook.headers",
        "kinds": "events",
        "process": "processes",
        "interval": "min_interval",
        "retries": "retry",
    },
    ApiSocketRole: {"uid": "user", "gid": "group", "name": "user"},
    ProcessConfig: {
        "environment": "env",
        "envs": "env",
        "envfile": "env_file",
        "envfiles": "env_file",
        "environmentfile": "env_file",
        "replicas": "scale",
        "numprocs": "scale",
        "instances": "scale",
        "execmode": "scale",
        "deploy": "scale, limits or rollout",
        "cwd": "working_dir",
        "workdir": "working_dir",
        "directory": "working_dir",
        "workingdirectory": "working_dir",
        "cmd": "command",
        "exec": "command",
        "execstart": "command",
        "script": "command",
        "args": "command",
        "entrypoint": "command",
        "program": "command",
        "execstartpre": "hooks.pre-start",
        "execstartpost": "hooks.post-start",
        "execstop": "shutdown.pre_stop_hook",
        "execstoppost": "shutdown.post_stop_hook",
        "execreload": "shutdown.signal",
        "autostart": "initial_state",
        "autorestart": "restart",
        "restartpolicy": "restart",
        "startretries": "max_restarts",
        "startlimitburst": "max_restarts",
        "maxrestartattempts": "max_restarts",
        "restartsec": "restart_delay",
        "exprestartdelay": "restart_delay",
        "minuptime": "restart_threshold",
        "startsecs": "restart_threshold",
        "stopsignal": "shutdown.signal",
        "killsignal": "shutdown.signal",
        "stopgraceperiod": "shutdown.timeout",
        "stopwaitsecs": "shutdown.timeout",
        "killtimeout": "shutdown.timeout",
        "timeoutstopsec": "shutdown.timeout",
        "timeoutstartsec": "timeout or global.process_start_timeout",
        "runtimemaxsec": "max_runtime",
        "successexitstatus": "success_codes",
        "exitcodes": "success_codes",
        "stopexitcodes": "success_codes",
        "killmode": "shutdown.mode",
        "stopasgroup": "shutdown.mode",
        "killasgroup": "shutdown.mode",
        "healthcheck": "health_check",
        "livenessprobe": "health_check",
        "readinessprobe": "health_check",
        "watchdogsec": "watchdog",
        "after": "depends_on",
        "bindsto": "restart_with",
        "partof": "restart_with",
        "requires": "depends_on",
        "wants": "depends_on",
        "links": "depends_on",
        "maxmemoryrestart": "max_memory_mb",
        "memlimit": "limits.memory",
        "memorymax": "limits.memory",
        "cpus": "limits.cpu",
        "cpuquota": "limits.cpu",
        "ulimits": "limits",
        "limitnofile": "limits.nofile",
        "limitnproc": "limits.nproc",
        "oomscoreadj": "limits.oom_score_adj",
        "oomscoreadjust": "limits.oom_score_adj",
        "nice": "limits.nice",
        "cron": "schedule",
        "cronrestart": "schedule",
        "oncalendar": "schedule",
        "timezone": "schedule_timezone",
        "labels": "logging.labels",
        "log": "logging",
        "logs": "logging",
        "stdoutlogfile": "logging.outputs",
        "stderrlogfile": "logging.outputs",
        "outfile": "logging.outputs",
        "errorfile": "logging.outputs",
        "standardinput": "stdin",
        "stdinopen": "stdin",
        "uid": "user",
        "gid": "group",
        "port": "port_base",
        "signal": "shutdown.signal",
        "capadd": "capabilities.add",
        "capdrop": "capabilities.drop",
        "capabilityboundingset": "capabilities",
        "ambientcapabilities": "capabilities.ambient",
        "securityopt": "no_new_privileges",
        "nonewprivileges": "no_new_privileges",
        "readonly": "read_only_paths",
        "readonlypaths": "read_only_paths",
        "protectsystem": "read_only_paths",
        "privatetmp": "private_tmp",
    },
    HealthCheckConfig: {
        "test": "command",
        "cmd": "command",
        "path": "url",
        "uri": "url",
        "host": "address",
        "initialdelayseconds": "initial_delay",
        "delay": "initial_delay",
        "periodseconds": "period",
        "timeoutseconds": "timeout",
        "failurethreshold": "failure_threshold",
        "successthreshold": "success_threshold",
        "status": "expected_status",
        "body": "expected_body",
    },
    ShutdownConfig: {
        "graceperiod": "timeout",
        "stopsignal": "signal",
        "prestop": "pre_stop_hook",
        "poststop": "post_stop_hook",
    },
}
_OF_CONTAINERS: Final = frozenset(
    (
        *(
            "image",
            "build",
            "ports",
            "expose",
            "volumes",
            "networks",
            "network",
            "networkmode",
            "containername",
        ),
        *(
            "hostname",
            "privileged",
            "tmpfs",
            "dns",
            "extrahosts",
            "secrets",
            "configs",
            "init",
        ),
        *("tty", "sysctls", "platform", "pullpolicy", "shmsize"),
    )
)
#: What other programs call the values of a key, and what to write here.
_WORDS: Final = {
    "unless-stopped": "always",
    "no": "never",
    "false": "never",
    "true": "always",
    "unexpected": "on-failure",
    "on-abnormal": "on-failure",
    "on-failure": "on-failure, and a number of restarts as max_restarts",
    "simple": "longrun",
    "exec": "longrun",
    "forking": "longrun, with the program in the foreground",
}


def hint_for_key(section: type[Struct], key: str) -> str | None:
    """What to write in place of a key that ``section`` does not have, where another program has it."""
    plain = key.lower().replace("-", "").replace("_", "")
    if (right := _KEYS.get(section, {}).get(plain)) is not None:
        return f"write {right}"
    if section is ProcessConfig and plain in _OF_CONTAINERS:
        return _SET_BY_THE_CONTAINER
    return None


def hint_for_word(word: str) -> str | None:
    """What to write in place of a word that another program uses for a key of few words."""
    right = _WORDS.get(word.strip().lower().partition(":")[0])
    return None if right is None else f"write {right}"
