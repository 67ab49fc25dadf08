"""The services of a Compose file."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from cbox_init.capabilities import NAMES
from cbox_init.config.document import parse_document
from cbox_init.config.raw import RawList, RawMap
from cbox_init.config.scalars import parse_size
from cbox_init.errors import ImportFailed
from cbox_init.importers.compose_extends import with_bases
from cbox_init.importers.model import Imported, ImportedProcess, Origin, Tree, literal, section_of
from cbox_init.importers.values import (
    boolean,
    command_value,
    duration,
    megabytes,
    number,
    seconds,
    shell_command,
    split_words,
)

if TYPE_CHECKING:
    from cbox_init.config.raw import Raw
    from cbox_init.importers.model import Value
    from cbox_init.importers.source import SourceFiles

_VARIABLE: Final = re.compile(r"\$\$|\$\{[A-Za-z_]\w*(?::?[-?+][^{}]*)?\}|\$([A-Za-z_]\w*)", re.ASCII)
#: What belongs to the container, and what to do about it there.
_OF_CONTAINER: Final = {
    "ports": "publish them for the container, and use EXPOSE in its Dockerfile",
    "volumes": "mount them into the container",
    "volumes_from": "mount them into the container",
    "networks": "all processes of a container share its network",
    "network_mode": "all processes of a container share its network",
    "hostname": "set it for the container",
    "domainname": "set it for the container",
    "dns": "set it for the container",
    "dns_search": "set it for the container",
    "dns_opt": "set it for the container",
    "extra_hosts": "set it for the container",
    "links": "the other service is at 127.0.0.1",
    "external_links": "set the address in env",
    "secrets": "mount them into the container, and set env_files_from_secrets",
    "configs": "mount them into the container",
    "privileged": "set it for the container",
    "tmpfs": "set it for the container, or private_tmp",
    "read_only": "set it for the container, or read_only_paths",
    "logging": "the output goes to standard output: set the driver for the container",
    "labels": "set them for the container, or logging.labels",
    "devices": "set them for the container",
    "sysctls": "set them for the container",
    "shm_size": "set it for the container",
    "ipc": "set it for the container",
    "pid": "set it for the container",
    "userns_mode": "set it for the container",
    "cgroup": "set it for the container",
    "cgroup_parent": "set it for the container",
    "isolation": "set it for the container",
    "runtime": "set it for the container",
    "gpus": "set them for the container",
    "group_add": "add the user to the group in the image",
    "tty": "there is no terminal",
    "annotations": "set them for the container",
    "develop": "use `serve --watch` for the configuration",
    "credential_spec": "set it for the container",
    "storage_opt": "set it for the container",
    "mem_reservation": "set it for the container",
    "memswap_limit": "set it for the container",
    "cpu_shares": "set limits.nice",
    "cpuset": "put `taskset` in front of the command",
    "pids_limit": "set it for the container, or limits.nproc",
    "use_api_socket": "set it for the container",
    "post_start": "use hooks.post-start",
    "attach": "leave it out",
    "security_opt": "set it for the container",
}
_NEEDLESS: Final = frozenset(
    ("init", "expose", "container_name", "platform", "pull_policy", "restart", "scale", "oom_kill_disable")
)
_TOGETHER: Final = frozenset(("command", "entrypoint", "image", "build"))


def read(path: str, text: str, files: SourceFiles) -> Imported:
    """The services of a Compose file. Raises ImportFailed when it is no such file."""
    root, problems = parse_document(text)
    if not isinstance(root, RawMap):
        where = problems[0] if problems else "it holds no mapping"
        raise ImportFailed(f"{path}: {where}")
    imported = Imported(path)
    services = root.get("services")
    if services is None and "version" not in root and all(isinstance(one, dict) for one in root.values()):
        services = root  # the oldest form: services at the top
    if not isinstance(services, RawMap):
        raise ImportFailed(f"{path}: no services; name a Compose file")
    for key in root if services is not root else ():
        _top(imported, root, key)

    written = services

    def no_base(name: str, why: str, hint: str) -> None:
        service = written.get(name)
        line = service.lines.get("extends") if isinstance(service, RawMap) else None
        imported.notes.lost(line, f"{name}.extends", why, hint, process=name)

    services = with_bases(written, path, files, no_base)
    for name, service in services.items():
        if isinstance(service, RawMap):
            _ServiceReader(imported, name, service, services.lines.get(name), files).read()
        else:
            imported.notes.lost(services.lines.get(name), name, "is not a mapping of keys", "correct it")
    _completed(imported, services)
    if len(imported.processes) > 1:
        why = "services reach each other by their names: in one container all are at 127.0.0.1"
        hint = "add `--add-host NAME:127.0.0.1` for each name, or change the addresses"
        imported.notes.changed(root.lines.get("services"), "services", why, hint)
    if "${" in text and files.is_file(os.path.join(os.path.dirname(path), ".env")):
        why = "Compose takes variables of the file from .env: here they must be set for the container"
        imported.notes.changed(None, ".env", why, "use `docker run --env-file .env`")
    return imported


def _top(imported: Imported, root: RawMap, key: str) -> None:
    line = root.lines.get(key)
    if key in ("volumes", "networks", "secrets", "configs"):
        imported.notes.lost(line, key, "belongs to the container", _OF_CONTAINER[key])
    elif key == "include":
        imported.notes.lost(line, key, "is not followed", "import these files too, in one call")
    elif key not in ("services", "version", "name") and not key.startswith("x-"):
        imported.notes.lost(line, key, "unknown key", "remove it")


def _completed(imported: Imported, services: RawMap) -> None:
    """What another service waits for until it has completed is a oneshot."""
    for service in services.values():
        needs = service.get("depends_on") if isinstance(service, dict) else None
        for name, entry in needs.items() if isinstance(needs, dict) else ():
            condition = entry.get("condition") if isinstance(entry, dict) else None
            process = imported.named(name)
            if condition != "service_completed_successfully" or process is None:
                continue
            process.keys = {"type": "oneshot", **process.keys}
            for key in ("restart", "restart_delay", "max_restarts", "restart_threshold", "scale"):
                process.keys.pop(key, None)


class _ServiceReader:
    """One service."""

    def __init__(
        self, imported: Imported, name: str, service: RawMap, line: int | None, files: SourceFiles
    ) -> None:
        self._imported = imported
        self._name = name
        self._service = service
        self._line = line
        self._files = files
        self._keys: Tree = {}

    def read(self) -> None:
        self._command()
        for key, value in self._service.items():
            if value is not None and key not in _TOGETHER and not key.startswith("x-"):
                self._key(key, value)
        self._image()
        self._restart()
        self._scale()
        process = ImportedProcess(self._name, Origin(self._imported.notes.file, self._line), self._keys)
        self._imported.add(process)

    def _at(self, key: str) -> int | None:
        return self._service.lines.get(key, self._line)

    def _lost(self, key: str, why: str, hint: str, line: int | None = None) -> None:
        where = self._at(key.partition(".")[0]) if line is None else line
        self._imported.notes.lost(where, f"{self._name}.{key}", why, hint, process=self._name)

    def _changed(self, key: str, why: str, hint: str = "") -> None:
        where = self._at(key.partition(".")[0])
        self._imported.notes.changed(where, f"{self._name}.{key}", why, hint, process=self._name)

    def _command(self) -> None:
        entrypoint, command = self._words("entrypoint"), self._words("command")
        words = [*(entrypoint or ()), *(command or ())]
        if words and words[0].startswith("-") and not entrypoint:
            self._lost("command", "its program is the ENTRYPOINT of the image", "write it in front")
            self._keys.update({"enabled": False, "command": command_value(words)})
        elif words:
            self._keys["command"] = command_value(words)
            if not entrypoint:
                self._changed(
                    "command",
                    "an ENTRYPOINT of the image is not known here",
                    "write it in front if there is one",
                )
        else:
            self._keys["enabled"] = False

    def _words(self, key: str) -> list[str] | None:
        value = self._service.get(key)
        if isinstance(value, list):
            return [_text(str(word)) for word in value if not isinstance(word, dict | list)]
        if not isinstance(value, str):
            return None
        words = split_words(value)
        if words is None:
            self._lost(key, "the quotes do not match", "write the command by hand")
        return None if words is None else [_text(word) for word in words]

    def _image(self) -> None:
        key = "build" if "build" in self._service else "image"
        image = self._service.get("image")
        what = f"the image {image}" if isinstance(image, str) else "one that is built for a service"
        if "command" in self._keys:
            if key not in self._service:
                return
            hint = "install its program in the image of the container"
            self._lost(key, f"one container has one image, not {what}", hint)
        else:
            shown = image if isinstance(image, str) else "IMAGE"
            hint = (
                f"`docker inspect {shown}` has Entrypoint and Cmd: write command, and remove enabled: false"
            )
            self._lost(
                key,
                f"the command is in {what if isinstance(image, str) else 'its image'}, and not in this file",
                hint,
            )

    def _key(self, key: str, value: Raw) -> None:
        match key:
            case "environment":
                self._environment(value)
            case "env_file":
                self._env_files(value)
            case "depends_on":
                self._depends(value)
            case "healthcheck":
                self._healthcheck(value)
            case "user" if isinstance(value, str):
                user, group = _user_and_group(value)
                self._keys["user"] = _text(user)
                if group:
                    self._keys["group"] = _text(group)
            case "working_dir" if isinstance(value, str):
                self._keys["working_dir"] = _text(value)
            case "stop_signal" if isinstance(value, str):
                section_of(self._keys, "shutdown")["signal"] = _text(value)
            case "stop_grace_period" if isinstance(value, str):
                if (found := seconds(value)) is None:
                    self._lost(key, f"{value[:40]!r} is not a time", "set shutdown.timeout")
                else:
                    section_of(self._keys, "shutdown")["timeout"] = duration(max(found, 0.001))
            case "stdin_open":
                if boolean(str(value)):
                    self._keys["stdin"] = "pipe"
            case "mem_limit" if isinstance(value, str):
                self._memory(key, value)
            case "cpus" if isinstance(value, str):
                self._cpus(key, value)
            case "oom_score_adj" if isinstance(value, str) and number(value) is not None:
                section_of(self._keys, "limits")["oom_score_adj"] = number(value) or 0
            case "ulimits" if isinstance(value, RawMap):
                self._ulimits(value)
            case "cap_add" | "cap_drop" if isinstance(value, list):
                self._capabilities(key, value)
            case "security_opt" if isinstance(value, list):
                for option in value:
                    if str(option).replace("=", ":") in ("no-new-privileges:true", "no-new-privileges"):
                        self._keys["no_new_privileges"] = True
                    else:
                        self._lost(key, f"{str(option)[:40]} belongs to the container", _OF_CONTAINER[key])
            case "profiles":
                self._keys["initial_state"] = "stopped"
                self._changed(key, "starts by a command only: there are no profiles")
            case "deploy" if isinstance(value, RawMap):
                self._deploy(value)
            case "pre_stop":
                self._lost(key, "is not read", "write shutdown.pre_stop_hook")
            case _ if key in _OF_CONTAINER:
                if value not in ("false", [], {}, RawMap()):
                    self._lost(key, "belongs to the container", _OF_CONTAINER[key])
            case _ if key not in _NEEDLESS:
                self._lost(key, "unknown key, or not of this form", "remove it, or correct it")

    def _environment(self, value: Raw) -> None:
        env: Tree = {}
        if isinstance(value, dict):
            env = {
                name: _text(str(text))
                for name, text in value.items()
                if text is not None and _is_scalar(text)
            }
        elif isinstance(value, list):
            for item in value:
                name, sign, text = str(item).partition("=")
                if sign:
                    env[name] = _text(text)
        else:
            self._lost("environment", "is neither a mapping nor a list", "write it as env")
        env = {name: text for name, text in env.items() if name and "=" not in name}
        if env:
            self._keys["env"] = env

    def _env_files(self, value: Raw) -> None:
        found: list[Value] = []
        for item in value if isinstance(value, list) else [value]:
            entry = item if isinstance(item, dict) else {"path": item}
            path = entry.get("path")
            if not isinstance(path, str):
                self._lost("env_file", "has no path", "correct it")
                continue
            full = os.path.join(os.path.dirname(self._imported.notes.file), path)
            shown: Tree = {"path": literal(self._files.beside_result(full))}
            required = boolean(str(entry.get("required", "true")))
            if not self._files.is_file(full) and required is not False:
                why = f"{path} is not here, so it is written with required: false"
                self._changed("env_file", why, "remove that where it must exist")
                required = False
            if required is False:
                shown["required"] = False
            if entry.get("format") == "raw":
                shown["format"] = "raw"
            found.append(shown["path"] if len(shown) == 1 else shown)
        if found:
            self._keys["env_file"] = found[0] if len(found) == 1 and isinstance(found[0], str) else found

    def _depends(self, value: Raw) -> None:
        if isinstance(value, list):
            self._keys["depends_on"] = [str(name) for name in value if isinstance(name, str)]
            return
        if not isinstance(value, RawMap):
            self._lost("depends_on", "is neither a mapping nor a list", "correct it")
            return
        names: list[Value] = []
        for name, entry in value.items():
            names.append(name)
            entry = entry if isinstance(entry, RawMap) else RawMap()
            if boolean(str(entry.get("restart", "false"))):
                why = f"a restart of {name} does not restart this one"
                self._lost(
                    "depends_on.restart",
                    why,
                    "restart both by `cbox-init restart`",
                    entry.lines.get("restart"),
                )
        self._keys["depends_on"] = names

    def _healthcheck(self, value: Raw) -> None:
        if not isinstance(value, RawMap):
            self._lost("healthcheck", "is not a mapping", "write a health_check")
            return
        if boolean(str(value.get("disable", "false"))):
            return
        check: Tree = {}
        test = value.get("test")
        if isinstance(test, list) and test:
            kind, *rest = [_text(str(word)) for word in test]
            if kind == "NONE":
                return
            if kind == "CMD":
                check["command"] = command_value(rest)
            elif kind == "CMD-SHELL" and rest:
                check["command"] = _shell(rest[0])
        elif isinstance(test, str):
            check["command"] = _shell(_text(test))
        if not check.get("command"):
            self._lost("healthcheck", "its command is in the image", "write health_check.command")
            return
        for key, ours in (
            ("interval", "period"),
            ("timeout", "timeout"),
            ("start_period", "start_period"),
            ("start_interval", "start_interval"),
        ):
            given = value.get(key)
            if given is None:
                continue
            if (found := seconds(str(given))) is None:
                self._lost(
                    f"healthcheck.{key}", f"{str(given)[:40]!r} is not a time", f"set health_check.{ours}"
                )
            elif found > 0:
                check[ours] = duration(found)
        if (retries := number(str(value.get("retries", "")))) is not None and retries > 0:
            check["failure_threshold"] = retries
        for key in value:
            if key not in (
                "test",
                "interval",
                "timeout",
                "retries",
                "start_period",
                "start_interval",
                "disable",
            ):
                self._lost(f"healthcheck.{key}", "unknown key", "remove it", value.lines.get(key))
        check["mode"] = "readiness"
        self._keys["health_check"] = check
        self._changed(
            "healthcheck",
            "mode: readiness, as Docker restarts nothing that is unhealthy",
            "mode: both restarts it",
        )

    def _restart(self) -> None:
        value = self._service.get("restart")
        deployed = self._deployed()
        policy = str(value or "no") if deployed is None else _policy(deployed)
        word, _, tries = policy.partition(":")
        if word in ("always", "unless-stopped"):
            self._keys["restart"] = "always"
        elif word == "on-failure":
            self._keys["restart"] = "on-failure"
        elif word in ("no", "false", ""):
            self._keys["restart"] = "never"
        else:
            self._lost("restart", f"{word[:40]!r} has no counterpart here", "restart: never is written")
            self._keys["restart"] = "never"
        if self._keys["restart"] == "never":
            return
        self._keys["restart_delay"] = "100ms"
        self._keys["max_restarts"] = number(tries) or "unlimited"
        self._keys["restart_threshold"] = "10s"
        for key, ours in (("delay", "restart_delay"), ("window", "restart_threshold")):
            given = deployed.get(key) if deployed is not None else None
            if given is None:
                continue
            if (found := seconds(str(given))) is None:
                self._lost(
                    f"deploy.restart_policy.{key}", f"{str(given)[:40]!r} is not a time", f"set {ours}"
                )
            elif found > 0:
                self._keys[ours] = duration(found)

    def _deployed(self) -> dict[str, Raw] | None:
        """The policy of ``deploy``, which counts before ``restart``."""
        deploy = self._service.get("deploy")
        policy = deploy.get("restart_policy") if isinstance(deploy, dict) else None
        return policy if isinstance(policy, dict) else None

    def _scale(self) -> None:
        deploy = self._service.get("deploy")
        given = self._service.get("scale", deploy.get("replicas") if isinstance(deploy, dict) else None)
        if given is None:
            return
        if (count := number(str(given))) is None or count < 0:
            self._keys["scale"] = _text(str(given))
            if "${" not in str(given):
                self._lost("scale", f"{str(given)[:40]!r} is not a number", "set scale")
                del self._keys["scale"]
        elif count != 1:
            self._keys["scale"] = count or "off"
            if count:
                self._changed(
                    "deploy" if "deploy" in self._service else "scale",
                    "instances share one address",
                    "listen on ${PORT} with port_base where it serves",
                )

    def _deploy(self, deploy: RawMap) -> None:
        for key, value in deploy.items():
            if key == "resources" and isinstance(value, RawMap):
                limits = value.get("limits")
                for name, limit in limits.items() if isinstance(limits, dict) else ():
                    if name == "memory":
                        self._memory("deploy.resources.limits.memory", str(limit))
                    elif name == "cpus":
                        self._cpus("deploy.resources.limits.cpus", str(limit))
                    else:
                        self._lost(
                            f"deploy.resources.limits.{name}",
                            "there is no such limit",
                            "set it for the container",
                        )
                if "reservations" in value:
                    self._lost("deploy.resources.reservations", "belongs to the container", "set it there")
            elif key not in ("replicas", "restart_policy", "mode"):
                self._lost(
                    f"deploy.{key}",
                    "belongs to the container",
                    "set it there, or rollout",
                    deploy.lines.get(key),
                )

    def _memory(self, key: str, value: str) -> None:
        try:
            size = parse_size(value)
        except ValueError:
            self._lost(key, f"{value[:40]!r} is not a size", "set limits.memory")
            return
        if size > 0:
            section_of(self._keys, "limits")["memory"] = f"{megabytes(size)}MiB"

    def _cpus(self, key: str, value: str) -> None:
        try:
            cores = float(value)
        except ValueError:
            cores = 0.0
        if 0.01 <= cores <= 4096:
            section_of(self._keys, "limits")["cpu"] = cores
        else:
            self._lost(key, f"{value[:40]!r} is not a number of cores", "set limits.cpu")

    def _ulimits(self, value: RawMap) -> None:
        for name, limit in value.items():
            both = limit if isinstance(limit, dict) else {"soft": limit, "hard": limit}
            soft, hard = (_limit(str(both.get(key))) for key in ("soft", "hard"))
            if name not in ("nofile", "nproc", "core") or soft is None or hard is None:
                self._lost(
                    f"ulimits.{name}",
                    "there is no such limit",
                    "set it for the container",
                    value.lines.get(name),
                )
                continue
            given: Value = soft if soft == hard else {"soft": soft, "hard": hard}
            section_of(self._keys, "limits")[name] = given

    def _capabilities(self, key: str, value: list[Raw]) -> None:
        names = [str(name).upper().removeprefix("CAP_") for name in value]
        wrong = [name for name in names if name not in NAMES and name != "ALL"]
        for name in wrong:
            self._lost(key, f"{name[:40]!r} is not a capability", "correct the name")
        kept: list[Value] = [name for name in names if name not in wrong]
        if key == "cap_add":
            self._lost(key, "a process has no more than the container", "add them to the container")
            return
        if kept:
            section_of(self._keys, "capabilities")["drop"] = kept


def _policy(deployed: dict[str, Raw]) -> str:
    words = {"any": "always", "on-failure": "on-failure", "none": "no"}
    word = words.get(str(deployed.get("condition", "any")), "always")
    return f"{word}:{deployed.get('max_attempts') or ''}"


def _is_scalar(raw: Raw) -> bool:
    return not isinstance(raw, dict | list | RawList)


def _user_and_group(text: str) -> tuple[str, str]:
    """USER and GROUP of ``USER:GROUP``, where both can be references with a colon of their own."""
    found = re.fullmatch(r"((?:\$\{[^}]*\}|[^:])*)(?::(.*))?", text, re.DOTALL)
    return (found[1], found[2] or "") if found is not None else (text, "")


def _limit(text: str) -> int | str | None:
    if text in ("-1", "unlimited"):
        return "unlimited"
    found = number(text)
    return found if found is not None and found >= 0 else None


def _shell(text: str) -> Value:
    """A check of CMD-SHELL: ``text`` has its references already."""
    if "${" in text:
        return ["sh", "-c", text]
    found = shell_command(text)
    return ["sh", "-c", text] if found is None else command_value(found.words)


def _text(text: str) -> str:
    """A text in which Compose puts variables: ``$NAME`` and ``$$`` as this configuration has them."""
    parts: list[str] = []
    plain = ""
    at = 0
    for found in _VARIABLE.finditer(text):
        plain += text[at : found.start()]
        at = found.end()
        if found[0] == "$$":
            plain += "$"
            continue
        parts += [literal(plain), f"${{{found[1]}}}" if found[1] else found[0]]
        plain = ""
    return "".join([*parts, literal(plain + text[at:])])
