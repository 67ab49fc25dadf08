"""The names of Linux capabilities, for the configuration and for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: By number, as in <linux/capability.h>.
NAMES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK"),
    *("IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN"),
    *("SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE"),
    *("AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND"),
    *("AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
ALL: Final = "ALL"


def capability_name(text: str) -> str:
    """The name as in `NAMES`, or `ALL`; ``text`` may have CAP_ in front, and any case.

    Raises ValueError for any other text.
    """
    name = text.strip().upper().removeprefix("CAP_")
    if name != ALL and name not in NAMES:
        raise ValueError(f"unknown capability: {text!r}")
    return name


def capability_set(names: Iterable[str], every: int) -> int:
    """A set with a bit for each name, or ``every`` where `ALL` is among them."""
    found = 0
    for name in map(capability_name, names):
        found |= every if name == ALL else 1 << NAMES.index(name)
    return found


def capability_names(capabilities: int) -> str:
    """The names of a set of bits, with commas between them."""
    numbers = (number for number in range(capabilities.bit_length()) if capabilities >> number & 1)
    return ", ".join(NAMES[number] if number < len(NAMES) else str(number) for number in numbers)
