"""How one run of a schedule is started: as an instance, with a name and variables of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.supervisor.instance.launch import MARKER, Launch, instance_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.supervisor.runtime import Runtime


def run_id(process: str, number: int) -> str:
    """The name of a run in logs, API and environment: "backup-run-1"."""
    return f"{process}-run-{number}"


class RunLaunch(Launch):
    """Runs are numbered from 1. Each has the index 0 (and so the PORT) of the process's one instance."""

    recurring = True

    def __init__(self, name: str, config: ProcessConfig, runtime: Runtime) -> None:
        super().__init__(name, config, runtime.environ)
        self._process = name
        self._fixed: Mapping[str, str] = {
            **instance_variables(name, 0, config.port_base),
            "CBOX_INIT_SCHEDULED": "true",
            "CBOX_INIT_SCHEDULE": config.schedule or "",
        }
        self._runtime = runtime

    def instance_id(self, index: int) -> str:
        return run_id(self._process, index)

    def variables(self, index: int) -> dict[str, str]:
        from datetime import UTC, datetime

        name = run_id(self._process, index)
        start = datetime.fromtimestamp(int(self._runtime.unix()), UTC)
        return {
            **self._fixed,
            MARKER: name,
            "CBOX_INSTANCE": name,
            "CBOX_INIT_START_TIME": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
