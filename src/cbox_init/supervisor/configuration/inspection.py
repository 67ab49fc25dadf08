"""Shows the configuration, and what a reload, a save or an edit would do. Changes nothing.

What takes long is done in threads, one request after another.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from msgspec.structs import replace

from cbox_init.config.load import examine_text
from cbox_init.config.masking import secret_values
from cbox_init.config.problems import Severity
from cbox_init.config.save import planned
from cbox_init.config.shown import differences, shown_configuration
from cbox_init.errors import ConfigError, Conflict, NotApplied
from cbox_init.sensitive import MASK, KnownSecrets
from cbox_init.supervisor.configuration.configuration import FILE_TIMEOUT_S, Reloaded, saving
from cbox_init.threads import NoThreadError, OneThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cbox_init.config.model import Config
    from cbox_init.config.problems import Problem
    from cbox_init.config.raw import Raw
    from cbox_init.config.shown import Differences
    from cbox_init.supervisor.configuration.configuration import Configuration, ConfigurationState

_T = TypeVar("_T")

#: How long a comparison or a check may take, in seconds.
_WORK_TIMEOUT_S: Final = 30.0

_RUNNING: Final = "in force"

#: What YAML takes in quotes only when it is escaped.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class Shown(NamedTuple):
    """The configuration in force. ``diff`` is from the file to it; ``unsaved``: edits are not in the file.

    ``errors`` say why there is no difference: the file cannot be read, or is not valid now.
    """

    path: str | None
    config: dict[str, object]
    unsaved: bool
    diff: str
    errors: tuple[str, ...] = ()


class ReloadPreview(NamedTuple):
    """What a reload would change: the plan, its difference, and the keys of each process that differ."""

    reloaded: Reloaded
    differences: Differences


class SavePreview(NamedTuple):
    """What a save would change in the file at ``path``."""

    path: str
    diff: str


class Inspection:
    """Shows one configuration to the API."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        # One at a time: that takes memory in proportion to the file. A check waits for no file system.
        self._one_at_a_time = asyncio.Lock()
        self._one_check = asyncio.Lock()
        self._file = OneThread("config-show")
        self._work = OneThread("config-diff")
        self._check = OneThread("config-check")

    async def show(self, encode: Callable[[Shown], bytes]) -> bytes:
        """The configuration in force, and its difference from the file, as ``encode`` writes them."""
        async with self._one_at_a_time:
            now = self._configuration.state()
            in_file: Config | None = None
            errors: tuple[str, ...] = ()
            path = now.source.path if now.source is not None else None
            if path is not None:
                try:
                    in_file = (await self._configuration.read(self._file)).config
                except ConfigError as error:
                    errors = tuple(str(one) for one in error.problems if one.severity is Severity.ERROR)
                except NotApplied as error:
                    errors = (str(error),)

            def work() -> bytes:
                known = _known(now, in_file)
                config = shown_configuration(now.in_force, known)
                diff = ""
                if in_file is not None:
                    titles = (str(path), _RUNNING)
                    diff = differences(in_file, now.in_force, known, titles).text
                masked = tuple(known.masked(one) for one in errors)
                return encode(Shown(path, config, _unsaved(now), diff, masked))

            return await self._worked(work)

    async def preview_reload(self) -> ReloadPreview:
        """What a reload would change now. Raises as that does."""
        async with self._one_at_a_time:
            loaded = await self._configuration.read(self._file)
            plan = await self._configuration.plan(loaded.config)
            now = self._configuration.state()
            titles = (_RUNNING, loaded.path or "the environment")
            found = await self._worked(
                lambda: differences(now.in_force, loaded.config, _known(now, loaded.config), titles)
            )
            return ReloadPreview(Reloaded(plan, loaded.problems), found)

    async def preview_save(self) -> SavePreview:
        """What a save would write now. Raises as that does."""
        async with self._one_at_a_time:
            now = self._configuration.state()
            source, path = now.source, now.source.path if now.source is not None else None
            if source is None or path is None:
                raise Conflict(
                    "cannot save: the configuration comes from the environment alone; there is no file"
                )

            def work() -> str:
                before, after = planned(path, now.edits, source.environ)
                known = _known(now, before, after)
                titles = (path, f"{path} (saved)")
                return differences(before or type(after)(), after, known, titles).text

            with saving(path):
                return SavePreview(path, await self._file.run(work, timeout_s=FILE_TIMEOUT_S))

    async def check_process(self, name: str, raw: Mapping[str, Raw]) -> tuple[Problem, ...]:
        """What is wrong with ``raw`` as the configuration of a process, new or not."""
        now = self._configuration.state()
        return await self._checked(now, lambda: now.edits.problems(name, raw, now.children))

    async def check_text(self, text: str) -> tuple[Problem, ...]:
        """What is wrong with ``text`` as the content of the file."""
        now = self._configuration.state()
        return await self._checked(now, lambda: _problems_of(text, now))

    async def check_document(self, content: Mapping[str, Raw]) -> tuple[Problem, ...]:
        """As `check_text`, with the content of a file as JSON; the problems have no lines."""
        now = self._configuration.state()

        def check() -> Iterable[Problem]:
            text = _ESCAPED.sub(_escape, json.dumps(content, ensure_ascii=False))
            return (replace(one, line=None) for one in _problems_of(text, now))

        return await self._checked(now, check)

    async def _checked(
        self, now: ConfigurationState, check: Callable[[], Iterable[Problem]]
    ) -> tuple[Problem, ...]:
        async with self._one_check:
            try:
                return await self._check.run(lambda: _masked(check(), now), timeout_s=_WORK_TIMEOUT_S)
            except TimeoutError:
                message = f"the configuration could not be checked within {_WORK_TIMEOUT_S:.0f} s"
                raise NotApplied(message) from None
            except NoThreadError as error:
                raise NotApplied(f"cannot check: {error.strerror}; try again later") from None

    async def _worked(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._work.run(work, timeout_s=_WORK_TIMEOUT_S)
        except TimeoutError:
            message = f"the configurations could not be compared within {_WORK_TIMEOUT_S:.0f} s"
            raise NotApplied(message) from None
        except NoThreadError as error:
            raise NotApplied(f"cannot compare: {error.strerror}; try again later") from None


def _problems_of(text: str, now: ConfigurationState) -> tuple[Problem, ...]:
    environ = now.source.environ if now.source is not None else now.children
    path = (now.source.path if now.source is not None else None) or "cbox-init.yaml"
    return examine_text(text, path, environ).problems


def _known(now: ConfigurationState, *configs: Config | None) -> KnownSecrets:
    """The secrets of what is in force, of these configurations, and of the environment."""
    environ = now.source.environ if now.source is not None else now.children

    def find() -> frozenset[str]:
        found = (one for one in (now.in_force, *configs) if one is not None)
        return frozenset(text for one in found for text in secret_values(one, environ, now.withheld))

    return KnownSecrets(find)


def _masked(problems: Iterable[Problem], now: ConfigurationState) -> tuple[Problem, ...]:
    """Problems without the daemon's own secrets, however short, which a document may refer to."""
    environ = now.source.environ if now.source is not None else now.children
    own = sorted({environ[name] for name in now.withheld if environ.get(name)}, key=len, reverse=True)
    known = _known(now)

    def clean(text: str) -> str:
        for value in own:
            text = text.replace(value, MASK)
        return known.masked(text)

    return tuple(
        replace(one, message=clean(one.message), recommendation=clean(one.recommendation)) for one in problems
    )


def _unsaved(now: ConfigurationState) -> bool:
    before, after = now.edits.base.processes, now.edits.config.processes
    return any(before.get(name) != after.get(name) for name in now.edits.raws)


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
