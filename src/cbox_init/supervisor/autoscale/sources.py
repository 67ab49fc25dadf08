"""Where the load of a process comes from: its instances, a command, or a server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cbox_init.config.endpoints import parse_url
from cbox_init.config.model import AutoscaleMetric, HealthTlsConfig
from cbox_init.config.scalars import parse_float
from cbox_init.config.substitute import expand_instance
from cbox_init.core.autoscale import Load
from cbox_init.core.memory import SAMPLE_SERVES_S
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.instance.launch import Launch, helper_identity
from cbox_init.system.procfs import now_since_boot_s
from cbox_init.system.spawn_request import SpawnRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from cbox_init.config.model import AutoscaleConfig, ProcessConfig
    from cbox_init.supervisor.runtime import Runtime

#: How long measuring instances may hold the event loop at a time, in seconds.
_SLICE_S: Final = 0.002

#: An answer with the number, in bytes: more would take long to read.
_MOST_ANSWER_BYTES: Final = 64 * 1024

_LONGEST_SHOWN: Final = 40


class Measured(NamedTuple):
    """An instance whose load is measured: its id and its main process."""

    id: str
    pid: int


class LoadSource(Protocol):
    """One way to measure the load of a process. ``where`` names it in errors."""

    where: str

    async def __call__(self, instances: Iterable[Measured]) -> Load:
        """Measure, as long as it takes. Raises CheckFailed, SpawnError or OSError when it fails."""


def load_source(name: str, process: ProcessConfig, config: AutoscaleConfig, runtime: Runtime) -> LoadSource:
    """The source that ``config`` names. Raises CheckFailed and OSError when it cannot be had."""
    match config.metric:
        case AutoscaleMetric.COMMAND:
            return _CommandLoad(name, process, config, runtime)
        case AutoscaleMetric.HTTP:
            return _HttpLoad(config)
        case AutoscaleMetric.MEMORY:
            return _MemoryLoad(runtime)
        case _:
            return _CpuLoad(runtime)


def number_in(text: str, path: str | None) -> float:
    """The number that ``text`` is, or that it has at ``path``, as JSON. Raises CheckFailed."""
    found: object = text.strip()
    if path is not None:
        found = _at(text, path)
    shown = str(found)[:_LONGEST_SHOWN]
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise CheckFailed(f"expected a number, got {shown!r}")
    try:
        number = parse_float(str(found))
    except ValueError:
        raise CheckFailed(f"expected a number, got {shown!r}") from None
    if number < 0:
        raise CheckFailed(f"expected a number of 0 or more, got {shown!r}")
    return number


def _at(text: str, path: str) -> object:
    import msgspec

    try:
        found: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise CheckFailed(f"the answer is not JSON: {error}") from error
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step[:9]) < len(found):
            found = found[int(step[:9])]
        else:
            raise CheckFailed(f"the answer has no {path}: there is no {step!r}")
    return found


class _MemoryLoad:
    where = "memory"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, instances: Iterable[Measured]) -> Load:
        usage = self._runtime.usage(SAMPLE_SERVES_S)
        total = count = 0
        async for one in _in_slices(instances):
            used = usage(one.id, one.pid).rss_bytes
            if used:
                total += used
                count += 1
        return Load(total, count)


class _CpuLoad:
    """Percent of a CPU since the last measurement; an instance counts from its second one on."""

    where = "cpu"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._before: dict[int, tuple[float, float]] = {}

    async def __call__(self, instances: Iterable[Measured]) -> Load:
        usage = self._runtime.usage()
        before, now = self._before, dict[int, tuple[float, float]]()
        total, count = 0.0, 0
        async for one in _in_slices(instances):
            at, used = now_since_boot_s(), usage(one.id, one.pid).cpu_s
            now[one.pid] = at, used
            if one.pid in before and at > before[one.pid][0]:
                since, earlier = before[one.pid]
                total += 100 * max(0.0, used - earlier) / (at - since)
                count += 1
        self._before = now
        return Load(total, count)


class _CommandLoad:
    def __init__(self, name: str, process: ProcessConfig, config: AutoscaleConfig, runtime: Runtime) -> None:
        launch = Launch(name, process, runtime.environ)
        identity = helper_identity(process)
        variables = launch.environment(0, identity)
        null = runtime.spawner.null_fd
        self.where = config.command[0]
        self._runtime = runtime
        self._path = config.value
        self._run: Callable[[], bool] | None = None
        self._request = SpawnRequest(
            argv=tuple(expand_instance(word, variables) for word in config.command),
            env=variables,
            cwd=process.working_dir,
            identity=identity,
            stdout_fd=null,
            stderr_fd=null,
            umask=process.umask,
            sandbox=launch.sandbox(),
        )

    async def __call__(self, instances: Iterable[Measured]) -> Load:
        from cbox_init.supervisor.health.command import CommandRun

        if self._run is not None and not self._run():
            raise CheckFailed("the command of an earlier measurement was killed and has not ended yet")
        run = CommandRun(
            self._request, self._runtime, kept_bytes=_MOST_ANSWER_BYTES, with_stderr=self._path is None
        )
        self._run = lambda: run.over
        try:
            status = await run.ended
        finally:
            run.kill()
        if status.exit_code:
            line = run.last_line()
            raise CheckFailed(f"{status.describe()}: {line}" if line else status.describe())
        text = run.last_line() if self._path is None else run.output()
        return Load(number_in(text, self._path))


class _HttpLoad:
    def __init__(self, config: AutoscaleConfig) -> None:
        from cbox_init.supervisor.health.http import Expected, HttpProbe
        from cbox_init.supervisor.health.resolve import Resolver
        from cbox_init.supervisor.health.tls import TlsClient

        url = parse_url(config.url or "")
        self.where = url.shown
        self._path = config.value
        self._probe = HttpProbe(
            url,
            expected=Expected(((200, 299),)),
            resolver=Resolver(),
            headers=config.headers,
            tls=lambda: TlsClient(HealthTlsConfig()),
        )

    async def __call__(self, instances: Iterable[Measured]) -> Load:
        body = await self._probe.body(_MOST_ANSWER_BYTES)
        return Load(number_in(body.decode("utf-8", "replace"), self._path))


async def _in_slices(instances: Iterable[Measured]) -> AsyncIterator[Measured]:
    """The instances; now and then the event loop does other work in between."""
    from asyncio import sleep

    stop_at = time.monotonic() + _SLICE_S
    for one in instances:
        yield one
        if time.monotonic() >= stop_at:
            await sleep(0)
            stop_at = time.monotonic() + _SLICE_S
