"""supervisord, from PyPI. Its list is an XML-RPC call over HTTP."""

from collections.abc import Mapping

from bench import workspace
from bench.peers.base import Launch, Need, Output, Request, Work

CONFIG = """\
[supervisord]
nodaemon = true
logfile = {directory}/supervisord.log
pidfile = {directory}/supervisord.pid
childlogdir = {directory}
minfds = 10000
silent = true

[inet_http_server]
port = 127.0.0.1:{port}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[program:child]
command = {program}
process_name = child-%(process_num)d
numprocs = {job.children}
autorestart = true
startsecs = 0
stdout_logfile = {output}
stdout_logfile_maxbytes = 0
stderr_logfile = NONE
"""

LIST_CALL = (
    "<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>"
)


class Supervisord:
    name = "supervisord"
    lacks: Mapping[Need, str] = {
        Need.REDACTION: "it does not change lines",
        Need.CHECKS: "it has no health checks",
        Need.STREAM: "its log over HTTP is a file, a request at a time",
        Need.TRACE: "it tries to close 10,000 descriptors in each child",
        Need.SCHEDULES: "it has no schedules",
        Need.HISTORY: "it measures nothing",
        Need.EVENTS: "they go to children of its own, over pipes",
    }

    def prepare(self) -> str:
        self._programs = workspace.install_pypi_peers()
        return workspace.installed_version(self._programs, "supervisor")

    def launch(self, work: Work) -> Launch:
        file = work.directory / "supervisord.conf"
        # /dev/fd/1: raw to its own standard output, as in containers.
        output = "NONE" if work.job.output is Output.IGNORED else "/dev/fd/1"
        file.write_text(CONFIG.format(output=output, **work._asdict()))
        return Launch(
            argv=[str(self._programs / "supervisord"), "-c", str(file)],
            list_request=Request(work.port, "/RPC2", "POST", LIST_CALL),
        )
