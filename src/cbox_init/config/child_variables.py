"""Which of the daemon's variables children get: none that are secrets of the daemon, or another process's.

What a process names itself it gets. The files of variables are read here too.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.environment import owner_of, secret_settings
from cbox_init.config.legacy import RENAMED
from cbox_init.config.model import ChildVariables, Config, GlobalConfig, ProcessConfig
from cbox_init.config.model.enums import EnvFileFormat
from cbox_init.config.model.kinds import INHERITS_ALL
from cbox_init.config.schema import ValueSpec, ValueType, fields_of, may_hold_secret, secrets_in
from cbox_init.config.secret import Secret
from cbox_init.config.substitute import references
from cbox_init.safe_paths import others_can_write
from cbox_init.sensitive import names_a_place, sounds_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cbox_init.config.env_file import FileReader
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path, Raw

SETTINGS_OF_PROCESSES: Final = "CBOX_INIT_PROCESS_"
_OURS: Final = "CBOX_INIT_"
_FILE: Final = "_FILE"
_DEEPEST: Final = 64
_SHORTEST_TOKEN: Final = 8

#: What a clean environment has of the daemon's; ``LC_`` begins further ones.
_ALWAYS: Final = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR")
)
_LOCALE: Final = "LC_"
_SECRETS: Final = ("/run/secrets/", "/var/run/secrets/")
#: Programs read these files themselves, and know no variable for what is in them.
_READ_BY_PROGRAMS: Final = frozenset(
    (
        *("SSL_CERT_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"),
        *("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE", "VAULT_TOKEN_FILE"),
    )
)


def inherited(environ: Mapping[str, str], variables: ChildVariables) -> Mapping[str, str]:
    """What a process inherits of ``environ``, which is without the daemon's own secrets."""
    names, withheld, settings = variables.inherits, variables.withheld, variables.settings
    exact = _ALWAYS.union(names)
    starts = (_LOCALE, *(name[:-1] for name in names if name.endswith("*")))
    return {
        name: value
        for name, value in environ.items()
        if name not in withheld
        and (
            name in exact
            or (name.startswith(starts) and (not name.startswith(SETTINGS_OF_PROCESSES) or name in settings))
        )
    }


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without the settings of processes, for what belongs to no process."""
    return {name: value for name, value in environ.items() if not name.startswith(SETTINGS_OF_PROCESSES)}


def for_children(environ: Mapping[str, str], withheld: Iterable[str]) -> dict[str, str]:
    """``environ`` without what ``withheld`` names."""
    names = frozenset(withheld)
    return {name: value for name, value in environ.items() if name not in names}


def files_of_variables(config: Config) -> tuple[str, ...]:
    """The files that were read for the variables of processes, or looked for."""
    return tuple(dict.fromkeys(file for one in config.processes.values() for file in one.variables.files))


def daemon_secrets(config: Config, roots: Iterable[Raw], environ: Mapping[str, str]) -> frozenset[str]:
    """The variables from which the daemon has its secrets: tokens, heartbeat URLs, credentials of outputs.

    ``roots`` are the files as they were written, with their references.
    """
    found = set(secret_settings(environ, config.processes))
    found.update(one.token_env for one in config.global_.api_tokens if one.token_env is not None)
    for root in roots:
        if isinstance(root, dict):
            found.update(_referred(ValueSpec(ValueType.SECTION, GlobalConfig), root.get("global")))
            found.update(_referred(fields_of(Config)["notifications"].spec, root.get("notifications")))
            processes = root.get("processes")
            for process in processes.values() if isinstance(processes, dict) else ():
                if isinstance(process, dict):
                    for key in ("heartbeat", "logging"):
                        found.update(_referred(fields_of(ProcessConfig)[key].spec, process.get(key)))
    tokens = {text for text in secrets_in(config.global_) if len(text) >= _SHORTEST_TOKEN}
    if tokens:
        found.update(name for name, value in environ.items() if value in tokens)
    return frozenset(name for name in found if name in environ)


def with_variables(
    config: Config,
    environ: Mapping[str, str],
    withheld: frozenset[str],
    roots: Iterable[Raw],
    report: ProblemReport,
    path: str | None,
    only: str | None = None,
) -> Config:
    """``config`` with the `ChildVariables` of each process, or of the one that ``only`` names.

    ``path`` is the main file.
    """
    visible = for_children(environ, withheld)
    settings = _settings_by_owner(environ, config.processes)
    reader: FileReader | None = None
    processes = dict(config.processes)
    named = _names_in_processes(roots, withheld) if withheld else {}
    for name, process in config.processes.items():
        if only not in (None, name):
            continue
        inherits = _inheritance(process, config.global_)
        kept = {one for one in withheld if one in inherits}
        kept |= named.get(name, set()) | _mentioned(process, withheld)
        variables = ChildVariables(
            inherits=inherits,
            settings=settings.get(name, frozenset()),
            kept={one: Secret(environ[one]) for one in sorted(kept)},
        )
        if process.enabled and (process.env_file or process.env_files_from_secrets):
            from cbox_init.config.env_file import FileReader

            reader = reader or FileReader()
            folder = os.path.dirname(report.files.get(("processes", name), path or ""))
            variables = _with_files(name, process, variables, visible, reader, folder, report)
        if variables != process.variables:
            processes[name] = replace(process, variables=variables)
    return replace(config, processes=processes)


def _inheritance(process: ProcessConfig, global_: GlobalConfig) -> tuple[str, ...]:
    for given in (process.environment, global_.environment):
        if given is not None:
            return given
    return INHERITS_ALL


def _settings_by_owner(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    variables = [name for name in environ if name.startswith(SETTINGS_OF_PROCESSES)]
    for variable in variables:
        owner = owner_of(variable, names)
        if owner is not None:
            found.setdefault(owner, set()).add(variable)
    return {owner: frozenset(theirs) for owner, theirs in found.items()}


# -- the daemon's secrets --------------------------------------------------------------------------------


def _referred(spec: ValueSpec, raw: Raw, depth: int = 0) -> Iterator[str]:
    """The variables in ``raw`` that secrets come from."""
    if depth > _DEEPEST:
        return
    secret = spec.value_type in (ValueType.SECRET, ValueType.SECRET_MAP)
    if isinstance(raw, str):
        for name, _ in references(raw) if "${" in raw else ():
            if secret or may_hold_secret(spec) or (sounds_secret(name) and not names_a_place(name)):
                yield name
    elif isinstance(raw, list):
        for item in raw:
            yield from _referred(spec, item, depth + 1)
    elif isinstance(raw, dict):
        section = spec.type
        is_section = section is not None and issubclass(section, Struct)
        if not is_section or spec.value_type is ValueType.SECTION_MAP:
            one = replace(spec, value_type=ValueType.SECTION) if is_section else spec
            for item in raw.values():
                yield from _referred(one, item, depth + 1)
            return
        assert section is not None
        assert issubclass(section, Struct)
        fields, renamed = fields_of(section), RENAMED.get(section, {})
        for key, item in raw.items():
            field = fields.get(renamed.get(key, key))
            if field is None:
                continue
            yield from _referred(field.spec, item, depth + 1)
            if key.endswith("_env") and isinstance(item, str):
                yield item


# -- what a process names itself ---------------------------------------------------------------------------


def _names_in_processes(roots: Iterable[Raw], names: frozenset[str]) -> dict[str, set[str]]:
    """Of ``names``, those that each process refers to in what is its own."""
    found: dict[str, set[str]] = {}
    for root in roots:
        processes = root.get("processes") if isinstance(root, dict) else None
        for process, raw in processes.items() if isinstance(processes, dict) else ():
            if isinstance(raw, dict):
                own = [item for key, item in raw.items() if key not in ("heartbeat", "logging")]
                found.setdefault(process, set()).update(_named(_texts(own), names))
    return found


def _mentioned(process: ProcessConfig, names: frozenset[str]) -> set[str]:
    if not names:
        return set()
    shutdown = process.shutdown
    hooks = [hook for hook in (shutdown.pre_stop_hook, shutdown.post_stop_hook) if hook is not None]
    check = process.health_check.command if process.health_check is not None else ()
    texts = [*process.command, *process.env.values(), *check]
    for hook in hooks:
        texts += (*hook.command, *hook.env.values())
    return _named(texts, names)


def _named(texts: Iterable[str], names: frozenset[str]) -> set[str]:
    found = set()
    for text in texts:
        if "$" in text:
            found.update(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text))
    return {name for name in found & names if not name.startswith(_OURS)}


def _texts(raw: Raw, depth: int = 0) -> Iterator[str]:
    if isinstance(raw, str):
        yield raw
    elif isinstance(raw, list | dict) and depth < _DEEPEST:
        for item in raw.values() if isinstance(raw, dict) else raw:
            yield from _texts(item, depth + 1)


# -- files -------------------------------------------------------------------------------------------------


def _with_files(
    name: str,
    process: ProcessConfig,
    variables: ChildVariables,
    environ: Mapping[str, str],
    reader: FileReader,
    folder: str,
    report: ProblemReport,
) -> ChildVariables:
    from cbox_init.config.env_file import LARGEST_ENV_FILE, FileFault, parse_env_file, parse_raw_env_file

    where: Path = ("processes", name)
    outside = {**inherited(environ, variables), **{key: one.reveal() for key, one in variables.kept.items()}}
    of_files: dict[str, str] = {}
    of_others: dict[str, str] = {}
    read: list[str] = []
    for index, entry in enumerate(process.env_file):
        if not entry.path:
            continue  # which `check` reports
        file = os.path.join(folder, entry.path)
        read.append(file)

        def look_up(key: str) -> str | None:
            return outside.get(key, process.env.get(key, of_files.get(key)))

        try:
            parse = parse_raw_env_file if entry.format is EnvFileFormat.RAW else parse_env_file
            found = parse(reader.text(file, LARGEST_ENV_FILE), look_up)
            of_files.update(found)
            for key in found:
                of_others.pop(key, None)
            if process.env_files_from_secrets and others_can_write(file):
                of_others.update(dict.fromkeys(found, file))
        except FileFault as fault:
            if not fault.missing or entry.required:
                message = f"{file}: {fault}" if file not in str(fault) else str(fault)
                report.error((*where, "env_file", index), message, fault.hint)
    secrets, gone = {}, set[str]()
    if process.env_files_from_secrets:
        everything = {**outside, **of_files, **process.env}
        own = {*of_files, *process.env}
        for variable, value in everything.items():
            if not _names_a_secret_file(variable, value, own=variable in own):
                continue
            path = (
                (*where, "env", variable) if variable in process.env else (*where, "env_files_from_secrets")
            )
            if variable in of_others and variable not in process.env:
                # Whoever writes that file would read any file of root by way of the environment.
                report.warning(
                    path,
                    f"{variable} stays as it is: another user can change {of_others[variable]}",
                    f"set {variable} in env, or let only root write to that file and its directory",
                )
                continue
            target = variable.removesuffix(_FILE)
            file = os.path.join(folder, value)
            read.append(file)
            if everything.get(target):
                report.error(path, f"{target} and {variable} are both set", "remove one of them")
                continue
            text = _secret(reader, file, variable, path, report)
            if text is not None:
                secrets[target] = text
                gone.update((variable, target))  # the target may be there and empty
    return replace(
        variables,
        given={
            key: Secret(text)
            for key, text in {**of_files, **secrets}.items()
            if key in secrets or key not in gone
        },
        withheld=frozenset(gone),
        files=tuple(dict.fromkeys(read)),
    )


def _names_a_secret_file(variable: str, value: str, *, own: bool) -> bool:
    """Whether ``NAME_FILE`` stands for ``NAME``. Of what is inherited only what surely is a secret's file."""
    if not variable.endswith(_FILE) or variable == _FILE or not value or variable in _READ_BY_PROGRAMS:
        return False
    if variable.startswith(_OURS):
        return False
    return own or value.startswith(_SECRETS) or sounds_secret(variable.removesuffix(_FILE))


def _secret(reader: FileReader, file: str, variable: str, path: Path, report: ProblemReport) -> str | None:
    from cbox_init.config.env_file import LARGEST_SECRET, FileFault

    try:
        return reader.text(file, LARGEST_SECRET).rstrip("\r\n")
    except FileFault as fault:
        hint = f"create it, or unset {variable}" if fault.missing else fault.hint
        report.error(path, f"{variable}: {fault}", hint)
        return None
