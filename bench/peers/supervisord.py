"""supervisord, from PyPI. Its list is an XML-RPC call over HTTP."""

from bench import workspace
from bench.peers.base import Launch, ListRequest, Work

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
numprocs = {children}
autorestart = true
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE
"""

LIST_CALL = (
    "<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>"
)


class Supervisord:
    name = "supervisord"

    def prepare(self) -> str:
        self._programs = workspace.install_pypi_peers()
        return workspace.installed_version(self._programs, "supervisor")

    def launch(self, work: Work) -> Launch:
        file = work.directory / "supervisord.conf"
        file.write_text(CONFIG.format_map(work._asdict()))
        return Launch(
            argv=[str(self._programs / "supervisord"), "-c", str(file)],
            list_request=ListRequest(work.port, "/RPC2", "POST", LIST_CALL),
        )
