"""Leaving a part of a library out, and what ``serve`` must not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cbox_init.imports import without
from tests.ports import free_port

#: What only other commands, other configurations or the first request of the API need.
NOT_AT_START = {
    "anyio",
    "argparse",
    "calendar",
    "click",
    "cronsim",
    "dataclasses",
    "difflib",
    "email",
    "h2",
    "httptools",
    "httpx",
    "inspect",
    "ipaddress",
    "logging",
    "pathlib",
    "prometheus_client",
    "shlex",
    "ssl",
    "starlette",
    "tempfile",
    "typing_extensions",
    "urllib",
    "zoneinfo",
}


#: What only those configurations need that have hooks, a readiness, limits, stages between a line and its
#: record, outputs, files that are followed, a process that says itself when it is ready, or somebody who
#: wants to be told, or an audit trail; and what only those need who ask for lines.
NOT_CONFIGURED = {
    "cbox_init.audit",
    "cbox_init.api.readyz",
    "cbox_init.config.check_logging",
    "cbox_init.config.check_outputs",
    "cbox_init.config.levels",
    "cbox_init.core.memory",
    "cbox_init.core.notify",
    "cbox_init.logs.filter",
    "cbox_init.logs.past",
    "cbox_init.logs.encode.colours",
    "cbox_init.logs.follow",
    "cbox_init.logs.outputs",
    "cbox_init.logs.stages",
    "cbox_init.metrics",
    "cbox_init.logs.subscription",
    "cbox_init.patterns",
    "cbox_init.supervisor.lifecycle.hooks",
    "cbox_init.supervisor.instance.limits",
    "cbox_init.supervisor.instance.memory_watch",
    "cbox_init.supervisor.instance.notify_channel",
    "cbox_init.supervisor.oneshot_history",
    "cbox_init.supervisor.lifecycle.readiness",
    "cbox_init.supervisor.lifecycle.service_manager",
    "cbox_init.supervisor.instance.stop_hooks",
    "cbox_init.system.cgroup",
    "cbox_init.system.fork_server",
    "cbox_init.system.notify",
    "cbox_init.telemetry.counters",
    "cbox_init.tracing",
}

EVERYTHING = """
global: {api_socket: SOCKET, readiness: {enabled: true, path: "", http_port: PORT, http_host: 127.0.0.1}}
hooks: {pre-stop: [{command: ['true']}]}
processes:
  web: {command: ['true'], type: notify, watchdog: 1s, shutdown: {pre_stop_hook: {command: ['true']}}}
"""


def test_a_module_is_hidden_and_comes_back() -> None:
    script = """
from cbox_init.imports import without
with without("decimal"):
    try:
        import decimal
    except ImportError:
        print("hidden")
import decimal
print(decimal.Decimal)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["hidden", "<class 'decimal.Decimal'>"]


def test_a_module_that_is_loaded_stays() -> None:
    with without("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


def test_it_is_undone_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError), without("no_such_module_at_all"):
        raise ZeroDivisionError
    assert "no_such_module_at_all" not in sys.modules


def test_a_thread_that_imports_the_whole_waits_meanwhile() -> None:
    """Else an output that imports httpx while the event loop is imported has it without ssl, for ever."""
    script = """
import threading
from cbox_init.imports import whole, without
began, found = threading.Event(), []
def work():
    began.set()
    with whole():
        import decimal
        found.append(decimal.Decimal)
thread = threading.Thread(target=work)
with without("decimal"):
    thread.start()
    began.wait()
    thread.join(0.1)
    print(found)
thread.join()
print(len(found))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n1\n"


def test_the_api_loads_no_command_line_and_no_process_manager() -> None:
    script = """
import sys
import asyncio
from cbox_init.api.server import _stack
_stack()
print(sorted({"click", "multiprocessing"} & set(sys.modules)))
print("starlette" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n"


def test_ports_that_are_probed_load_no_application() -> None:
    """A container is probed every few seconds: 14 MB in each of them otherwise."""
    script = """
import sys
import cbox_init.daemon
from cbox_init.imports import without
with without("ssl"):
    import asyncio
before = set(sys.modules)
import cbox_init.api.http.plain, cbox_init.api.http.server
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
heavy = {"anyio", "email", "http", "httptools", "ssl", "starlette", "urllib", "uvicorn"}
print(sorted(heavy & loaded))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['httptools']\n"


def loaded_at_the_loop(folder: Path, text: str) -> set[str]:
    """What ``serve`` has loaded when it is about to import the event loop: the first children run by then."""
    script = """
import sys
sys.argv = ["cbox-init", "-c", sys.argv[1]]

class AtTheLoop:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncio":
            import os
            loaded = [name for name, module in sys.modules.items() if module]
            print("MODULES", *loaded, file=sys.stderr, flush=True)
            os._exit(0)

sys.meta_path.insert(0, AtTheLoop())
from cbox_init.__main__ import main
main()
"""
    config = folder / "cbox-init.yaml"
    config.write_text(text.replace("SOCKET", str(folder / "s")))
    done = subprocess.run([sys.executable, "-c", script, config], capture_output=True, text=True, timeout=30)
    line = next((line for line in done.stderr.splitlines() if line.startswith("MODULES ")), "")
    assert line, done.stderr
    return set(line.split()[1:])


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_serve_starts_its_first_children_without_what_it_does_not_need(tmp_path: Path) -> None:
    text = "global: {api_socket: SOCKET}\nprocesses: {web: {command: ['true']}}\n"
    loaded = loaded_at_the_loop(tmp_path, text)
    assert sorted(packages(loaded) & NOT_AT_START) == []
    assert sorted(loaded & NOT_CONFIGURED) == []


def test_what_is_loaded_for_the_first_children_is_listed(tmp_path: Path) -> None:
    """Each costs every container time and memory: one more is to be meant, and added to the list."""
    text = "global: {api_socket: SOCKET}\nprocesses: {web: {command: ['true']}}\n"
    loaded = loaded_at_the_loop(tmp_path, text)
    ours = {name for name in loaded if name.partition(".")[0] == "cbox_init"}
    listed = set((Path(__file__).parent / "modules_at_start.txt").read_text().split())
    assert sorted(ours) == sorted(name for name in listed if name.startswith("cbox_init"))
    # Of the others the packages: what is in them differs from one version of Python to the next.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    others = packages(loaded - ours) - packages(set(bare.stdout.split()))
    assert sorted(name for name in others - listed if not name.startswith("_")) == []


def test_neither_do_hooks_and_readiness_need_it(tmp_path: Path) -> None:
    port = free_port()
    loaded = loaded_at_the_loop(tmp_path, EVERYTHING.replace("PORT", str(port)))
    assert sorted(packages(loaded) & NOT_AT_START) == []
    assert "cbox_init.supervisor.lifecycle.readiness" in loaded
    assert "cbox_init.supervisor.instance.notify_channel" in loaded


def test_metrics_need_their_library_when_they_are_scraped(tmp_path: Path) -> None:
    port = free_port()
    keys = f"metrics_enabled: true, metrics_host: 127.0.0.1, metrics_port: {port}"
    text = f"global: {{api_socket: SOCKET, {keys}}}\nprocesses: {{web: {{command: ['true']}}}}\n"
    loaded = loaded_at_the_loop(tmp_path, text)
    assert sorted(packages(loaded) & NOT_AT_START) == []
    assert sorted(loaded & NOT_CONFIGURED) == ["cbox_init.metrics", "cbox_init.telemetry.counters"]
    assert "cbox_init.metrics.page" not in loaded


def test_the_audit_needs_no_event_loop_and_no_http(tmp_path: Path) -> None:
    text = f"""
global: {{api_socket: SOCKET, audit_enabled: true, audit_output: {tmp_path}/audit.log}}
processes: {{web: {{command: ['true']}}}}
"""
    loaded = loaded_at_the_loop(tmp_path, text)
    assert sorted(packages(loaded) & NOT_AT_START) == []
    assert sorted(loaded & NOT_CONFIGURED) == ["cbox_init.audit"]
    assert not {"cbox_init.api.auditing", "hashlib", "_hashlib"} & loaded


def test_an_access_list_of_the_metrics_with_an_audit_loads_no_application() -> None:
    script = """
import sys
import cbox_init.daemon, cbox_init.audit.trail
from cbox_init.imports import without
with without("ssl"):
    import asyncio
import cbox_init.api.http.access, cbox_init.api.http.server, cbox_init.metrics.server
print(sorted({"starlette", "cbox_init.api.auditing"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_outputs_to_files_and_syslog_need_little(tmp_path: Path) -> None:
    text = """
global: {api_socket: SOCKET, log_outputs: {a: {path: FILE}, b: {address: 'udp://127.0.0.1:9'}}}
processes: {web: {command: ['true']}}
"""
    loaded = loaded_at_the_loop(tmp_path, text.replace("FILE", str(tmp_path / "log")))
    assert sorted(packages(loaded) & NOT_AT_START) == []
    assert "cbox_init.logs.outputs.file" in loaded
    assert "cbox_init.logs.outputs.otlp" not in loaded


def test_checks_of_http_without_tls_need_no_ssl_and_no_checks_need_nothing() -> None:
    script = """
import sys
from cbox_init.imports import without
with without("ssl"):
    import asyncio
import cbox_init.daemon
assert "cbox_init.supervisor.health.monitor" not in sys.modules
assert "httptools" not in sys.modules
import cbox_init.supervisor.health.monitor
assert "httptools" not in sys.modules
import cbox_init.supervisor.health.http, cbox_init.supervisor.health.tcp, cbox_init.supervisor.health.command
print(sorted({"ssl", "httpx", "urllib", "http", "email", "anyio", "h2"} & set(sys.modules)))
import cbox_init.supervisor.health.grpc
assert not {"ssl", "h2"} & set(sys.modules)
import cbox_init.supervisor.health.grpc_call
assert "ssl" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_health_check_does_not_bring_the_event_loop_forward(tmp_path: Path) -> None:
    """asyncio is imported by the daemon, after the first children and without ssl."""
    script = """
import sys
sys.argv = ["cbox-init", "-c", sys.argv[1]]

class AtTheLoop:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncio":
            import os, traceback
            callers = [frame.name for frame in traceback.extract_stack()]
            print("LOOP", "_new_event_loop" in callers, file=sys.stderr, flush=True)
            os._exit(0)

sys.meta_path.insert(0, AtTheLoop())
from cbox_init.__main__ import main
main()
"""
    config = tmp_path / "cbox-init.yaml"
    config.write_text(
        f"global: {{api_socket: {tmp_path}/s}}\n"
        "processes: {web: {command: ['true'], health_check: {url: 'http://a:1/', initial_delay: 0}}}\n"
    )
    done = subprocess.run([sys.executable, "-c", script, config], capture_output=True, text=True, timeout=30)
    assert "LOOP True" in done.stderr.splitlines(), done.stderr


def test_what_changes_the_configuration_is_not_imported_at_start() -> None:
    script = """
import sys
import cbox_init.daemon
late = ("core.reload_diff", "supervisor.configuration", "supervisor.removal", "supervisor.watch",
        "config.edit", "config.save", "config.patch")
print([name for name in late if f"cbox_init.{name}" in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
