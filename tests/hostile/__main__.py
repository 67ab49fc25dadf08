"""The long form of the hostile tests: ``make hostile``.

Runs the corpus with the limits of the promise, floods by many connections, and schemathesis as each role,
against daemons of this machine, which should be idle. ``--seconds`` is for the random requests of one role.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.hostile.corpus import BYTES, REQUESTS
from tests.hostile.floods import FLOODS, TLS_FLOODS
from tests.hostile.target import Target, token_of
from tests.ports import free_port
from tests.supervisor.health.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_TURN_MS: Final = 50.0
P99_MS: Final = 100.0
#: What a daemon may hold more than before, a minute after the attack.
MOST_KEPT: Final = 32 * 2**20

#: What it may hold more while a flood goes on: the budget of requests and responses, and the connections.
MOST_HELD: Final = 96 * 2**20
#: How long a flood is, and how long memory may take to be given back, in seconds.
FLOOD_S: Final = 10.0
GIVEN_BACK_S: Final = 60.0

_SETTINGS: Final = Path(__file__).with_name("schemathesis.toml")


class GoodClient(threading.Thread):
    """Asks ten times a second, each time on a new connection, and notes how long the answers took."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.times_ms: list[float] = []
        self.failures: list[str] = []
        self._ask = ask
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            began = time.monotonic()
            try:
                self._ask()
            except (OSError, AssertionError) as error:
                self.failures.append(str(error))
            self.times_ms.append((time.monotonic() - began) * 1000)

    def end(self) -> float:
        """The 99th percentile of what it waited, in milliseconds."""
        self._ended.set()
        self.join()
        return sorted(self.times_ms)[int(len(self.times_ms) * 0.99)]


class Report:
    """Prints figures beside their limits, and remembers whether one was exceeded."""

    def __init__(self) -> None:
        self.failed = False

    def figure(self, what: str, value: float, most: float, unit: str) -> None:
        self.line(what, f"{value:.1f} {unit} (at most {most:g})", value <= most)

    def line(self, what: str, found: str, good: bool) -> None:
        self.failed = self.failed or not good
        print(f"{'ok  ' if good else 'FAIL'}  {what}: {found}", flush=True)


def attack_by_corpus(target: Target, report: Report, rounds: int) -> None:
    """Each request of the corpus, in random order, several times."""
    requests = list(REQUESTS.items()) * rounds
    random.shuffle(requests)
    for name, (method, path, body) in requests:
        began = time.monotonic()
        status, _ = target.request(method, path, body)
        if not 400 <= status < 500:
            report.line(name, f"{status} after {time.monotonic() - began:.1f} s", good=False)
    for name, data in BYTES.items():
        if not target.send(data).startswith(b"HTTP/1.1 400 "):
            report.line(name, "not refused", good=False)


def attack_by_floods(report: Report, only: str) -> None:
    """Each flood against a daemon of its own: of the API, of metrics over TLS, of the port for probes."""
    floods = [(name, "port") for name in FLOODS] + [(name, "metrics") for name in TLS_FLOODS]
    for name, port in [*floods, ("silent", "probes")]:
        if only in (name, "all"):
            with tempfile.TemporaryDirectory() as folder:
                attack_by_flood(Path(folder), report, name, port)


def attack_by_flood(folder: Path, report: Report, name: str, port: str) -> None:
    certificate = make_certificate(folder, "localhost")
    ports = {"metrics": free_port(), "probes": free_port()}
    tls = {"enabled": True, "cert_file": str(certificate.cert), "key_file": str(certificate.key)}
    metrics = {"metrics_enabled": True, "metrics_host": "127.0.0.1", "metrics_port": ports["metrics"]}
    probes = {"enabled": True, "path": "", "http_host": "127.0.0.1", "http_port": ports["probes"]}
    target = Target(folder, **metrics, metrics_tls=tls, readiness=probes)
    try:
        target.request("GET", "/api/v1/logs?limit=10000")
        before = target.resident_bytes()
        target.forget_largest()
        path = "/readyz" if port == "probes" else "/api/v1/health"
        good = GoodClient(lambda: target.json("/api/v1/processes"))
        probe = GoodClient(
            lambda: target.probe(ports.get(port, 0) if port == "probes" else target.port, path)
        )
        good.start()
        probe.start()
        arguments = [name, str(ports.get(port, target.port)), str(FLOOD_S)]
        subprocess.run([sys.executable, "-m", "tests.hostile.floods", *arguments], check=True)
        what = f"{name} ({port})" if port != "port" else name
        report.figure(f"p99 of a good client, {what}", good.end(), P99_MS, "ms")
        report.figure(f"p99 of a probe, {what}", probe.end(), P99_MS, "ms")
        failed = good.failures + probe.failures
        report.line(f"good clients, {what}", f"{len(failed)} failures {failed[:1]}", not failed)
        report.figure(f"longest turn, {what}", target.longest_turn_ms(), LONGEST_TURN_MS, "ms")
        most = target.largest_bytes() - before
        report.figure(f"memory held, {what}", most / 2**20, MOST_HELD / 2**20, "MiB")
        until = time.monotonic() + GIVEN_BACK_S
        while (kept := target.resident_bytes() - before) > MOST_KEPT and time.monotonic() < until:
            time.sleep(1)
        report.figure(f"memory kept, {what}", kept / 2**20, MOST_KEPT / 2**20, "MiB")
        target.check_children()
    finally:
        target.daemon.end()


def attack_by_schema(target: Target, report: Report, role: str | None, seconds: int) -> None:
    """Schemathesis over the OpenAPI document, as ``role``, None for nobody."""
    url = f"http://127.0.0.1:{target.port}"
    document = target.daemon.folder / "openapi.json"
    document.write_bytes(target.request("GET", "/api/v1/openapi.json")[1])
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_SETTINGS)),
        *("run", str(document), "--url", url, "--max-time", str(seconds)),
        *("--seed", str(random.randrange(2**32)), "--request-timeout", "10", "--no-color"),
        *("--exclude-path", "/api/v1/logs/stream"),  # which ends when its reader does
        *("--exclude-path", "/api/v1/shutdown"),
    ]
    if role is not None:
        command += ["-H", f"Authorization: Bearer {token_of(role)}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    print(done.stdout[-6000:], done.stderr[-2000:])
    server_errors = done.stdout.count("[500]")
    report.line(f"schemathesis as {role or 'nobody'}", f"exit code {done.returncode}", done.returncode == 0)
    report.line(f"5xx as {role or 'nobody'}", str(server_errors), server_errors == 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make hostile")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpus-only", action="store_true")
    parser.add_argument("--flood", metavar="NAME", help="only one of the floods, or all of them")
    options = parser.parse_args()
    report = Report()
    if options.flood:
        attack_by_floods(report, options.flood)
        return report.failed
    roles: list[str | None] = [] if options.corpus_only else [None, "viewer", "operator", "admin"]
    for attack in ("corpus", *roles):
        with tempfile.TemporaryDirectory() as folder:
            target = Target(Path(folder))
            client = GoodClient(lambda target=target: target.json("/api/v1/processes"))  # type: ignore[misc]
            before = target.resident_bytes()
            client.start()
            try:
                if attack == "corpus":
                    attack_by_corpus(target, report, options.rounds)
                    target.check_children()
                else:
                    attack_by_schema(target, report, attack, options.seconds)
                what = attack or "nobody"
                report.figure(f"longest turn, {what}", target.longest_turn_ms(), LONGEST_TURN_MS, "ms")
                report.figure(f"p99 of a good client, {what}", client.end(), P99_MS, "ms")
                report.line(f"good client, {what}", f"{len(client.failures)} failures", not client.failures)
                kept = target.resident_bytes() - before
                report.figure(f"memory kept, {what}", kept / 2**20, MOST_KEPT / 2**20, "MiB")
            finally:
                target.daemon.end()
    if not options.corpus_only:
        attack_by_floods(report, "all")
    return report.failed


if __name__ == "__main__":
    sys.exit(main())
