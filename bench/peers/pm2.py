"""pm2, when it is on PATH (npm install --global pm2): pm2-runtime, its form for containers."""

import json
import shutil
from pathlib import Path

from bench.errors import BenchError
from bench.peers.base import Launch, Work


class Pm2:
    name = "pm2"

    def prepare(self) -> str:
        program = shutil.which("pm2-runtime")
        if program is None:
            raise BenchError("pm2-runtime is not on PATH")
        # Not `pm2 --version`, which leaves a daemon behind.
        package = Path(program).resolve().parent.parent / "package.json"
        return str(json.loads(package.read_text())["version"])

    def launch(self, work: Work) -> Launch:
        file = work.directory / "ecosystem.json"
        child = {
            "name": "child",
            "script": str(work.program),
            "interpreter": "none",
            "exec_mode": "fork",
            "instances": work.children,
            "out_file": "/dev/null",
            "error_file": "/dev/null",
            "max_restarts": 1_000_000,
            "min_uptime": 0,
        }
        file.write_text(json.dumps({"apps": [child]}))
        home = str(work.directory / "pm2")
        return Launch(
            argv=["pm2-runtime", "start", str(file)],
            environment={"PM2_HOME": home},
            # Its own command, with the same home; without PM2_HOME it would start a daemon.
            list_command=["env", f"PM2_HOME={home}", "pm2", "jlist"],
        )
