"""s6, from Debian: s6-svscan with one s6-supervise a child. It has no list."""

from collections.abc import Mapping

from bench import workspace
from bench.peers.base import Launch, Need, Output, Work

# Its logger, one a child; here it writes to standard output.
LOGGER = """\
#!/bin/sh
exec s6-log 1
"""


class S6:
    name = "s6"
    lacks: Mapping[Need, str] = {
        Need.REDACTION: "its logger selects lines, and does not change them",
        Need.LIST: "it has no HTTP",
        Need.CHECKS: "it has no health checks",
        Need.STREAM: "it has no HTTP",
        Need.SCHEDULES: "it has no schedules",
        Need.HISTORY: "it measures nothing",
        Need.EVENTS: "they come through FIFOs",
    }

    def prepare(self) -> str:
        workspace.find_program("s6-svscan", "s6")
        return workspace.debian_version("s6")  # its programs do not tell

    def launch(self, work: Work) -> Launch:
        services = work.directory / "services"
        for number in range(work.job.children):
            service = services / f"child-{number}"
            service.mkdir(parents=True)
            # Quicker than the usual script, which would be a shell first.
            (service / "run").symlink_to(work.program)
            if work.job.output is not Output.IGNORED:
                workspace.write_program(service / "log" / "run", LOGGER)
        # -c: a service and its logger count as one.
        return Launch(argv=["s6-svscan", "-c", str(2 * work.job.children + 1), str(services)])
