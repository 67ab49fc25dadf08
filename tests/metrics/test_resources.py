"""The metrics of what instances use, of heartbeats and of the daemon."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cbox_init.telemetry.counters import Counters

if TYPE_CHECKING:
    from tests.metrics.scraped import Scrape

FAST = {"resource_metrics_enabled": "true", "resource_metrics_interval": "100ms"}
OF_INSTANCES = (
    *("process_cpu_percent", "process_memory_percent", "process_threads", "process_file_descriptors"),
    *("process_tree_cpu_percent", "process_tree_memory_bytes", "process_tree_processes"),
)


async def test_what_instances_use(scrape: Scrape) -> None:
    scraped = await scrape(
        """
  web: {command: [sleep, '1000'], restart_delay: 0}
  job: {command: [sleep, '1000'], schedule: '0 0 1 1 *'}
""",
        **FAST,
    )
    scraped.house.supervisor.trigger("job")
    of_web = {"process": "web", "instance": "web-0"}
    samples = await scraped.until(lambda one: one.of("process_memory_bytes", **of_web, type="rss"))
    for name in OF_INSTANCES:
        assert samples.of(name, **of_web) is not None, name
        assert len(samples.labels(name)) == 1, "runs of a schedule would be ever new series"
    rss, vms = (samples.of("process_memory_bytes", **of_web, type=kind) for kind in ("rss", "vms"))
    assert rss is not None and vms is not None and 0 < rss < vms
    assert samples.of("process_io_bytes_total", **of_web, direction="write") is not None
    assert samples.of("resource_collection_errors_total", **of_web) == 0
    assert samples.of("resource_collection_duration_seconds_count")
    scraped.house.supervisor.stop("web")
    await scraped.until(lambda one: one.of("process_threads", **of_web) is None)


async def test_without_the_key_there_are_no_such_series(scrape: Scrape) -> None:
    scraped = await scrape("\n  web: {command: [sleep, '1000']}")
    await scraped.house.until(lambda: scraped.house.pids("web"))
    samples = await scraped.samples()
    for name in (*OF_INSTANCES, "process_memory_bytes", "resource_collection_errors_total"):
        assert samples.labels(name) == []


async def test_the_daemon_itself(scrape: Scrape) -> None:
    scraped = await scrape(" {web: {command: [sleep, '1000']}}")
    samples = await scraped.samples()
    cpu = samples.of("process_cpu_seconds_total")
    assert cpu is not None and 0 < cpu <= time.process_time()
    rss, vms = (samples.of(f"process_{kind}_memory_bytes") for kind in ("resident", "virtual"))
    assert rss is not None and vms is not None and 2**20 < rss < vms
    fds = samples.of("process_open_fds")
    assert fds is not None and 3 < fds < os.sysconf("SC_OPEN_MAX")
    assert samples.of("process_max_fds") == os.sysconf("SC_OPEN_MAX")
    started = samples.of("process_start_time_seconds")
    assert started is not None and abs(started - time.time()) < 60
    assert "process_open_fds" in samples.families, "without the prefix"


async def test_the_duration_of_the_shutdown(scrape: Scrape) -> None:
    scraped = await scrape(" {web: {command: [sleep, '1000']}}")
    await scraped.house.until(lambda: scraped.house.pids("web"))
    samples = await scraped.samples()
    assert samples.of("shutdown_duration_seconds_count") == 0
    assert samples.of("shutdown_elapsed_seconds") is None
    scraped.house.supervisor.shutdown("test")
    await scraped.house.ended()
    samples = await scraped.samples()
    assert samples.of("shutdown_duration_seconds_count") == 1
    elapsed, total = (
        samples.of("shutdown_elapsed_seconds"),
        samples.of("shutdown_duration_seconds_sum"),
    )
    assert elapsed is not None and total is not None and 0 < total < elapsed


async def test_heartbeats(scrape: Scrape) -> None:
    scraped = await scrape("""
  job:
    command: ["true"]
    schedule: "0 0 1 1 *"
    heartbeat: {failure_url: "http://127.0.0.1:9/", success_url: "http://127.0.0.1:9/", retry_count: 0}
""")
    assert (await scraped.samples()).of("heartbeat_pings_total", task="job", result="failure") is None
    scraped.house.supervisor.trigger("job")
    samples = await scraped.until(
        lambda one: one.of("heartbeat_pings_total", task="job", result="failure") == 1
    )
    assert samples.of("heartbeat_pings_total", task="job", result="success") == 0
    assert samples.of("heartbeat_last_ping_timestamp", task="job") is None
    counters = scraped.house.runtime.counters
    assert counters is not None
    counters.pinged("job", 1234.5)
    samples = await scraped.samples()
    assert samples.of("heartbeat_pings_total", task="job", result="success") == 1
    assert samples.of("heartbeat_last_ping_timestamp", task="job") == 1234.5


def test_heartbeats_of_a_removed_process_are_forgotten() -> None:
    counters = Counters()
    counters.pinged("job", None)
    counters.forget("job")
    assert counters.pings("job") is None
