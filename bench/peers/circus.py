"""circus, from PyPI. It answers over ZeroMQ, so that its list is asked for with its own command."""

from collections.abc import Mapping

from bench import workspace
from bench.peers.base import Launch, Need, Output, Work

CONFIG = """\
[circus]
endpoint = ipc://{directory}/endpoint
pubsub_endpoint = ipc://{directory}/pubsub
check_delay = {check_delay}
loglevel = WARNING

[watcher:child]
cmd = {program}
numprocesses = {job.children}
copy_env = true
"""
# Without it the children inherit its output.
OUTPUT = """\
stdout_stream.class = StdoutStream
"""

# Seconds between two looks for dead children, 5 unless told. Quicker ones slow down its start.
CHECK_DELAY = 0.1
LEAST_CHECK_DELAY = 0.01


class Circus:
    name = "circus"
    lacks: Mapping[Need, str] = {
        Need.REDACTION: "it does not change lines",
        Need.LIST: "it answers over ZeroMQ",
        Need.CHECKS: "its plugins check from other processes",
        Need.STREAM: "it answers over ZeroMQ",
        Need.SCHEDULES: "it has no schedules",
        Need.HISTORY: "its statistics are published, not kept",
        Need.EVENTS: "it publishes them over ZeroMQ",
    }

    def prepare(self) -> str:
        self._programs = workspace.install_pypi_peers()
        return workspace.installed_version(self._programs, "circus")

    def launch(self, work: Work) -> Launch:
        file = work.directory / "circus.ini"
        check_delay = LEAST_CHECK_DELAY if work.job.quick_respawn else CHECK_DELAY
        config = CONFIG if work.job.output is Output.IGNORED else CONFIG + OUTPUT
        file.write_text(config.format(check_delay=check_delay, **work._asdict()))
        client = [str(self._programs / "circusctl"), "--endpoint", f"ipc://{work.directory}/endpoint"]
        return Launch(
            argv=[str(self._programs / "circusd"), str(file)],
            list_command=[*client, "stats"],
        )
