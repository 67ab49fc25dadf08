"""monit, from Debian. It checks once a second that each child is there, and has no child of its own."""

import shlex
from collections.abc import Iterator, Mapping

from bench import workspace
from bench.errors import DoesNotApply
from bench.peers.base import Launch, Need, Request, Work

CONFIG = """\
set daemon 1
set pidfile {directory}/monit.pid
set idfile {directory}/monit.id
set statefile {directory}/monit.state
set httpd port {port} and use address 127.0.0.1 allow 127.0.0.1
"""
CHECK = """\
check process child-{number} with pidfile {directory}/{number}.pid
  start program = "{directory}/start {number}" with timeout 2 seconds
"""
# monit empties the environment, and wants a program that goes to the background.
START = """\
#!/bin/sh
{environment} {program} </dev/null >/dev/null 2>&1 &
echo $! >{directory}/$1.pid
"""
MOST_CHILDREN = 10


class Monit:
    name = "monit"
    lacks: Mapping[Need, str] = {
        Need.STOP: "it leaves them running when it ends",
        Need.OUTPUT: "it is not the parent of what it watches",
        Need.REDACTION: "it is not the parent of what it watches",
        Need.CHECKS: "its checks are the way it watches at all",
        Need.STREAM: "it is not the parent of what it watches",
        Need.SCHEDULES: "its cron expressions say when it checks",
        Need.HISTORY: "it keeps the last figures alone",
        Need.EVENTS: "it has none, but alerts by mail",
    }

    def prepare(self) -> str:
        workspace.find_program("monit", "monit")
        return workspace.debian_version("monit")

    def launch(self, work: Work) -> Launch:
        if work.job.children > MOST_CHILDREN:
            raise DoesNotApply("it starts one child after another, some 0.2 s each")
        file = work.directory / "monitrc"
        file.write_text("".join(_config(work)))
        file.chmod(0o600)  # it refuses others
        environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in work.environment.items())
        workspace.write_program(
            work.directory / "start",
            START.format(directory=work.directory, program=work.program, environment=environment),
        )
        return Launch(
            argv=["monit", "-I", "-c", str(file)],
            list_request=Request(work.port, "/_status?format=xml"),
        )


def _config(work: Work) -> Iterator[str]:
    yield CONFIG.format_map(work._asdict())
    for number in range(work.job.children):
        yield CHECK.format(number=number, **work._asdict())
