"""What becomes of the keys of systemd's units that have no counterpart here, and why."""

from __future__ import annotations

import re
from typing import Final

#: Keys that need nothing here: they describe, or hold by themselves.
NEEDLESS: Final = frozenset(
    (
        *("Description", "Documentation", "WantedBy", "RequiredBy", "RemainAfterExit", "GuessMainPID"),
        *("DefaultDependencies", "CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting"),
        *("NotifyAccess", "PassEnvironment", "SendSIGHUP", "StartLimitAction", "IgnoreSIGPIPE"),
    )
)
TOGETHER: Final = frozenset(
    (
        *("Type", "ExecStart", "ExecStartPre", "Environment", "EnvironmentFile", "Restart", "RestartSec"),
        *(
            "RestartMaxDelaySec",
            "RestartSteps",
            "StartLimitBurst",
            "StartLimitIntervalSec",
            "StartLimitInterval",
        ),
        *(
            "ExecStop",
            "ExecStopPost",
            "After",
            "Requires",
            "Wants",
            "BindsTo",
            "Requisite",
            "Before",
            "PartOf",
        ),
        *("CapabilityBoundingSet", "AmbientCapabilities", "ReadOnlyPaths", "ReadOnlyDirectories"),
        *("ProtectSystem", "StandardOutput", "StandardError"),
    )
)
SANDBOX: Final = re.compile(
    r"Protect\w+|Private\w+|Restrict\w+|SystemCall\w+|Memory(?:DenyWriteExecute)|LockPersonality|RemoveIPC"
    r"|ReadWrite\w+|Inaccessible\w+|Exec(?:Paths|Search\w+)|NoExecPaths|TemporaryFileSystem|Bind\w*Paths"
    r"|RootDirectory|RootImage|SecureBits|IPAddress\w+|Device\w+|KeyringMode|Personality"
)
DIRECTORIES: Final = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "ConfigurationDirectory": "/etc",
}
LOST: Final = {
    "PIDFile": ("there are no PID files", "run the program in the foreground"),
    "DynamicUser": ("users are not made", "create one in the image, and set user"),
    "SupplementaryGroups": ("user alone gives the groups", "add the user to the group in the image"),
    "ExecReload": (
        "a process has no command to reload",
        "run `cbox-init restart`, or send the signal yourself",
    ),
    "ExecStartPost": ("a process has no command after its start", "use hooks.post-start"),
    "ExecCondition": ("a start has no condition", "test it in the command"),
    "TimeoutStartSec": ("the time to get ready is global", "set global.process_start_timeout"),
    "RuntimeMaxSec": ("the time to run has no limit", "put `timeout` in front of the command"),
    "SuccessExitStatus": ("success is exit code 0 alone", "map the code in a shell"),
    "RestartPreventExitStatus": ("success is exit code 0 alone", "map the code in a shell"),
    "RestartForceExitStatus": ("success is exit code 0 alone", "map the code in a shell"),
    "SendSIGKILL": ("what is left after the grace period is always killed", "raise shutdown.timeout"),
    "OnFailure": (
        "no unit is started after a failure",
        "set on_give_up: shutdown, or an alert on the metrics",
    ),
    "OnSuccess": ("no unit is started after a success", "use depends_on with a oneshot"),
    "MemoryHigh": ("there is no soft limit of memory", "set max_memory_mb or limits.memory"),
    "MemoryLimit": ("unknown here", "set limits.memory"),
    "TasksMax": ("the number of tasks has no limit here", "set limits.nproc"),
    "CPUShares": ("there are no shares", "set limits.cpu or limits.nice"),
    "CPUWeight": ("there are no shares", "set limits.cpu or limits.nice"),
    "IOWeight": ("there are no shares", "leave it out"),
    "Slice": ("there are no slices", "leave it out"),
    "Delegate": ("cgroups are not delegated", "leave it out"),
    "SyslogIdentifier": ("lines have the name of the process", "rename the process"),
    "StandardInput": ("standard input is /dev/null", "set stdin: pipe where it must stay open"),
    "TTYPath": ("there is no terminal", "leave it out"),
    "LoadCredential": ("there are no credentials", "mount a secret and set env_files_from_secrets"),
    "SetCredential": ("there are no credentials", "mount a secret and set env_files_from_secrets"),
    "UnsetEnvironment": ("variables are not removed", "set environment: clean, and what is needed"),
    "BusName": ("there is no D-Bus", "set a health_check"),
    "Conflicts": ("processes do not exclude each other", "leave one out"),
    "Alias": ("a process has one name", "leave it out"),
    "Also": ("nothing is installed", "import the other unit too"),
    "DefaultInstance": ("there are no templates", "import UNIT@INSTANCE.service"),
    "Sockets": ("sockets are not opened for children", "let the program listen itself"),
    "FileDescriptorStoreMax": ("descriptors are not kept", "leave it out"),
    "CPUSchedulingPolicy": ("there is no such limit", "set limits.nice"),
    "IOSchedulingClass": ("there is no such limit", "put `ionice` in front of the command"),
    "CPUAffinity": ("there is no such limit", "put `taskset` in front of the command"),
    "RestartMode": ("there is one way to restart", "leave it out"),
    "OOMPolicy": ("the kernel ends what has no memory left", "set max_memory_mb or limits.memory"),
    "MemoryPressureWatch": ("programs get no notice of memory pressure", "leave it out"),
    "RequiresMountsFor": ("nothing is mounted here", "mount it into the container"),
    "ReloadPropagatedFrom": ("a reload is of one process", "run `cbox-init restart` with each name"),
    "PropagatesReloadTo": ("a reload is of one process", "run `cbox-init restart` with each name"),
    "PermissionsStartOnly": (
        "all commands run as the user of the process",
        "use a oneshot, or hooks.pre-start, without user",
    ),
    "JoinsNamespaceOf": ("namespaces are not joined", "leave it out"),
}
RLIMITS: Final = {"LimitNOFILE": "nofile", "LimitNPROC": "nproc", "LimitCORE": "core"}
