"""Sandboxes that cannot be made: which key, why, and what to do.

Imported when one fails, and by check-config.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final

from cbox_init.capabilities import NAMES, capability_names
from cbox_init.system import apply_sandbox
from cbox_init.system.trial import failures_in_fork

if TYPE_CHECKING:
    from cbox_init.system.spawn_request import Sandbox
    from cbox_init.system.trial import Failure

_FORBIDDEN: Final = (errno.EPERM, errno.EACCES)
_SYS_ADMIN: Final = 1 << NAMES.index("SYS_ADMIN")


def refused_parts(sandbox: Sandbox) -> list[tuple[str, str]]:
    """The keys of the sandbox that a child of this process could not have, each with the reason.

    Of the keys for mounts, and of those for capabilities, the first. Tries them in a fork, which it waits
    for: not for the daemon.
    """
    failures = failures_in_fork(lambda: _tried(sandbox))
    return [(key, reason_of(sandbox, key, number, text)) for key, number, text in failures]


def reason_of(sandbox: Sandbox, key: str, number: int, text: str) -> str:
    """Why this process may not give a child ``key`` of its sandbox: the error number, and its text."""
    if key == "capabilities.drop":
        return (
            "the daemon lacks CAP_SETPCAP, so that a set-user-ID program could give them back: "
            "set no_new_privileges: true too, or give the container SETPCAP"
        )
    if key.startswith("capabilities.") and text.isdigit():
        names = capability_names(int(text))
        options = " ".join(f"--cap-add {name}" for name in names.split(", "))
        return f"the daemon lacks {names}: remove it, or give it to the container (docker run {options})"
    if key == "capabilities.ambient":
        return f"the kernel does not allow ambient capabilities here: {text}"
    if key.startswith(("read_only_paths", "private_tmp")):
        return _of_mounts(sandbox, key, number, text)
    return text


def _of_mounts(sandbox: Sandbox, key: str, number: int, text: str) -> str:
    if number in _FORBIDDEN:
        instead = "use read-only and tmpfs mounts of the container runtime instead"
        if not apply_sandbox.read_capabilities()[0] & _SYS_ADMIN:
            return (
                "mounts of its own need CAP_SYS_ADMIN, which this daemon lacks: give the container that "
                f"capability (docker run --cap-add SYS_ADMIN), or {instead}"
            )
        return (
            f"the security profile of the container does not allow mounts ({text}): change it "
            f"(docker run --security-opt apparmor=unconfined), or {instead}"
        )
    if number == errno.ENOENT:
        found = re.fullmatch(r"read_only_paths\[(\d+)\]", key)
        path = sandbox.read_only_paths[int(found[1])] if found else apply_sandbox.TEMPORARY[0]
        return f"{path!r} does not exist: correct it, or make it in the image"
    if number == errno.ENOSPC:
        return "there are too many mounts: raise fs.mount-max"
    return text


def _tried(sandbox: Sandbox) -> list[Failure]:
    failures: list[Failure] = []
    for part in (_try_mounts, _try_capabilities):
        try:
            part(sandbox)
        except apply_sandbox.SandboxRefused as error:
            failures.append((error.key, error.errno or 0, str(error.strerror)))
    return failures


def _try_mounts(sandbox: Sandbox) -> None:
    if sandbox.has_mounts:
        paths = tuple(map(os.fsencode, sandbox.read_only_paths))
        apply_sandbox.apply_mounts((paths, sandbox.private_tmp, None))


def _try_capabilities(sandbox: Sandbox) -> None:
    if sandbox.capabilities is not None:
        capabilities = apply_sandbox.Capabilities(
            sandbox.capabilities, switches=False, no_new_privileges=sandbox.no_new_privileges
        )
        capabilities.prepare()
        capabilities.complete()
    if sandbox.no_new_privileges:
        apply_sandbox.forbid_new_privileges()
