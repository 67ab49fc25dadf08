"""pm2, by npm into bench/work, or from PATH: pm2-runtime, its form for containers."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench import workspace
from bench.errors import DoesNotApply
from bench.peers.base import Launch, Need, Output, Work

MOST_CHILDREN = 200


class Pm2:
    name = "pm2"
    lacks: Mapping[Need, str] = {
        Need.REDACTION: "it does not change lines",
        Need.LIST: "it answers over a socket of its own",
        Need.TRACE: "its count differs by hundreds from one time to the next",
        Need.CHECKS: "it has no health checks",
        Need.STREAM: "it answers over a socket of its own",
        Need.SCHEDULES: "its cron restarts a running child",
        Need.HISTORY: "it keeps the last figures alone",
        Need.EVENTS: "they come over a socket of its own",
    }

    def prepare(self) -> str:
        self._programs = workspace.install_npm_peer("pm2", "pm2-runtime")
        # Not `pm2 --version`, which leaves a daemon behind.
        package = Path(self._programs / "pm2-runtime").resolve().parent.parent / "package.json"
        return str(json.loads(package.read_text())["version"])

    def launch(self, work: Work) -> Launch:
        if work.job.children > MOST_CHILDREN:
            raise DoesNotApply("it takes a minute to stop 1,000 children")
        file = work.directory / "ecosystem.json"
        child = {
            "name": "child",
            "script": str(work.program),
            "interpreter": "none",
            "exec_mode": "fork",
            "instances": work.job.children,
            "out_file": "/dev/null",
            "error_file": "/dev/null",
            "max_restarts": 1_000_000,
            "min_uptime": 0,
        }
        file.write_text(json.dumps({"apps": [child]}))
        home = str(work.directory / "pm2")
        form = "--json" if work.job.output is Output.JSON else "--raw"
        return Launch(
            argv=[str(self._programs / "pm2-runtime"), "start", str(file), form],
            environment={"PM2_HOME": home},
            # Its own command, with the same home; without PM2_HOME it would start a daemon.
            list_command=["env", f"PM2_HOME={home}", str(self._programs / "pm2"), "jlist"],
        )
