"""process-compose, when it is on PATH: without its screen, lines as JSON in a file."""

import json
import subprocess
from collections.abc import Mapping

from bench import workspace
from bench.peers.base import Launch, Need, Output, Request, Work


class ProcessCompose:
    name = "process-compose"
    lacks: Mapping[Need, str] = {
        Need.REDACTION: "it does not change lines",
        Need.CHECKS: "not set up here",
        Need.STREAM: "its lines go over a WebSocket",
        Need.SCHEDULES: "not set up here",
        Need.HISTORY: "it keeps no figures",
        Need.EVENTS: "its states go over a WebSocket",
    }

    def prepare(self) -> str:
        program = workspace.find_program("process-compose", None)
        done = subprocess.run([program, "version", "--short"], capture_output=True, text=True)
        return done.stdout.strip() or "of an unknown version"

    def launch(self, work: Work) -> Launch:
        file, log = work.directory / "process-compose.yaml", work.directory / "lines"
        child = {
            "command": str(work.program),
            "replicas": work.job.children,
            "availability": {"restart": "always", "backoff_seconds": 1},  # the least there is
        }
        config: dict[str, object] = {"version": "0.5", "processes": {"child": child}}
        logged = work.job.output is not Output.IGNORED
        if logged:
            form = {"disable_json": work.job.output is Output.TEXT, "no_metadata": False}
            config |= {"log_location": str(log), "log_configuration": form}
        file.write_text(json.dumps(config))  # JSON is YAML
        return Launch(
            argv=["process-compose", "up", "-f", str(file), "-t=false", "-p", str(work.port)],
            list_request=Request(work.port, "/processes"),
            logs=(log,) if logged else (),
        )
