"""This project, installed from the work tree."""

from collections.abc import Iterator, Mapping

from bench import workspace
from bench.peers.base import Launch, Need, Output, Request, Work

CONFIG = """\
global:
  log_format: {log_format}
  shutdown_timeout: 60
  api_enabled: true
  api_host: 127.0.0.1
  api_port: {port}
  api_socket: {directory}/api.sock
  api_rate_limit: 0
  max_process_scale: 5000
  max_restart_attempts: 0
  restart_backoff_initial: 1ms
  restart_backoff_max: 1ms
  restart_stability_window: 1ms
"""
CONNECTIONS = """\
  api_max_connections: {job.connections}
  api_max_connections_per_address: {job.connections}
"""
SAMPLED = """\
  resource_metrics_enabled: true
  resource_metrics_interval: {job.sample_s}
"""
PROCESS = """\
  child:
    command: [{program}]
    scale: {job.children}
"""
# A mask as long as the password, so that a line keeps its length: count.c looks for it.
REDACTION = """\
    logging:
      redaction:
        enabled: true
        patterns:
          - {pattern: 'password=\\w+', replacement: 'password=*******'}
"""
CHECK = """\
    health_check: {{type: tcp, address: "127.0.0.1:{job.check_port}", initial_delay: 0, period: 1}}
"""
SCHEDULED = """\
  job-{number}: {{command: [{program}], schedule: "{job.schedule}"}}
"""


class CboxInit:
    name = "cbox-init"
    lacks: Mapping[Need, str] = {}

    def prepare(self) -> str:
        self._programs = workspace.install_project()
        return workspace.installed_version(self._programs, "cbox-init")

    def launch(self, work: Work) -> Launch:
        file = work.directory / "cbox-init.yaml"
        file.write_text("".join(_config(work)))
        return Launch(
            argv=[str(self._programs / "cbox-init"), "serve", "-c", str(file)],
            list_request=Request(work.port, "/api/v1/processes"),
            stream_request=Request(work.port, "/api/v1/logs/stream"),
            event_request=Request(work.port, "/api/v1/events"),
        )


def _config(work: Work) -> Iterator[str]:
    facts = work._asdict()
    job = work.job
    yield CONFIG.format(log_format="text" if job.output is Output.TEXT else "json", **facts)
    if job.connections:
        yield CONNECTIONS.format_map(facts)
    if job.sample_s:
        yield SAMPLED.format_map(facts)
    yield "processes:\n"
    if job.schedule:
        yield from (SCHEDULED.format(number=number, **facts) for number in range(job.children))
        return
    yield PROCESS.format_map(facts)
    if job.output is Output.REDACTED:
        yield REDACTION
    if job.check_port:
        yield CHECK.format_map(facts)
