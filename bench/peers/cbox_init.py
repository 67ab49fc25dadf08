"""This project, installed from the work tree."""

from bench import workspace
from bench.peers.base import Launch, ListRequest, Work

CONFIG = """\
global:
  log_format: json
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
processes:
  child:
    command: [{program}]
    scale: {children}
"""


class CboxInit:
    name = "cbox-init"

    def prepare(self) -> str:
        self._programs = workspace.install_project()
        return workspace.installed_version(self._programs, "cbox-init")

    def launch(self, work: Work) -> Launch:
        file = work.directory / "cbox-init.yaml"
        file.write_text(CONFIG.format_map(work._asdict()))
        return Launch(
            argv=[str(self._programs / "cbox-init"), "serve", "-c", str(file)],
            list_request=ListRequest(work.port, "/api/v1/processes"),
        )
