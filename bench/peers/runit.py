"""runit, from Debian: runsvdir with one runsv a child. It has no list."""

import os
import signal
from collections.abc import Mapping

from bench import workspace
from bench.errors import DoesNotApply
from bench.peers.base import Launch, Need, Output, Work

# Its logger, one a child. It writes to a directory, here without rotation, since that removes lines.
LOGGER = """\
#!/bin/sh
exec svlogd {lines}
"""
MOST_CHILDREN = 1000


class Runit:
    name = "runit"
    lacks: Mapping[Need, str] = {
        Need.REDACTION: "its logger replaces single characters only",
        Need.LIST: "it has no HTTP",
        Need.CHECKS: "it has no health checks",
        Need.STREAM: "it has no HTTP",
        Need.SCHEDULES: "it has no schedules",
        Need.HISTORY: "it measures nothing",
        Need.EVENTS: "it has none",
    }

    def prepare(self) -> str:
        workspace.find_program("runsvdir", "runit")
        return workspace.debian_version("runit")  # its programs do not tell

    def launch(self, work: Work) -> Launch:
        if work.job.children > MOST_CHILDREN:
            raise DoesNotApply(f"a runsvdir has {MOST_CHILDREN:,} services at most")
        logs = []
        for number in range(work.job.children):
            service = work.directory / "services" / f"child-{number}"
            service.mkdir(parents=True)
            # Quicker than the usual script, which would be a shell first.
            (service / "run").symlink_to(work.program)
            if work.job.output is not Output.IGNORED:
                lines = work.directory / f"lines-{number}"
                lines.mkdir()
                (lines / "config").write_text("s0\n")
                workspace.write_program(service / "log" / "run", LOGGER.format(lines=lines))
                logs.append(lines / "current")
        # It waits for a second when its directory is as new as that; in a container it is older.
        os.utime(work.directory / "services", (0, 0))
        return Launch(
            argv=["runsvdir", str(work.directory / "services")],
            logs=tuple(logs),
            stop_signal=signal.SIGHUP,  # SIGTERM would leave the children running
        )
