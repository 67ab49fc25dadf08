"""What a scrape tells of real children."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

from cbox_init import __version__
from cbox_init.api.waiting import Slices
from cbox_init.core.states import State
from cbox_init.metrics import page as pages
from cbox_init.metrics.families import FAMILIES
from cbox_init.metrics.snapshot import take
from cbox_init.telemetry.vitals import Vitals

if TYPE_CHECKING:
    import pytest

    from tests.metrics.scraped import Samples, Scrape

REASONS = ["crash", "health_check", "manual", "memory_limit", "normal_exit"]


def restarts(samples: Samples, name: str) -> dict[str, float]:
    """The restarts of a process that there were, by their reason."""
    counts = {reason: samples.of("process_restarts_total", name=name, reason=reason) for reason in REASONS}
    assert None not in counts.values(), "every reason is there from the beginning"
    return {reason: count for reason, count in counts.items() if count}


async def test_a_process_that_runs(scrape: Scrape) -> None:
    scraped = await scrape(
        "\n  web: {command: [sleep, '1000'], scale: 2}\n  off: {command: a, initial_state: stopped}"
    )
    before = time.time()
    await scraped.house.until(lambda: len(scraped.house.pids("web")) == 2)
    samples = await scraped.samples()
    for instance in ("web-0", "web-1"):
        assert samples.of("process_up", name="web", instance=instance) == 1
        started = samples.of("process_start_time_seconds", name="web", instance=instance)
        assert started is not None and before - 5 < started < time.time()
        assert samples.of("process_last_exit_code", name="web", instance=instance) is None
    assert samples.of("process_desired_scale", name="web") == 2
    assert samples.of("process_current_scale", name="web") == 2
    assert samples.of("process_desired_scale", name="off") == 1
    assert samples.of("process_current_scale", name="off") == 0
    assert restarts(samples, "web") == {}
    assert samples.of("manager_process_count") == 2
    assert samples.of("build_info", version=__version__, python_version=platform.python_version()) == 1
    uptime = samples.of("supervisor_uptime_seconds", name="web")
    assert uptime is not None and 0 < uptime < 60
    assert samples.of("shutdown_elapsed_seconds") is None


async def test_restarts_by_their_reason(scrape: Scrape) -> None:
    scraped = await scrape("""
  web: {command: [sleep, '1000'], restart_delay: 0}
  crash: {command: [sh, -c, "exit 7"], restart_delay: 0, max_restarts: 2}
  done: {command: ["true"], restart: always, restart_delay: 0, max_restarts: 2}
""")
    house = scraped.house
    await house.until_state("web", State.RUNNING)
    house.supervisor.restart("web")
    await house.until_restarted("web", 1)
    house.kill("web")
    await house.until_restarted("web", 2)
    await house.until_state("crash", State.FAILED)
    await house.until_restarted("done", 2)
    samples = await scraped.samples()
    assert restarts(samples, "web") == {"manual": 1, "crash": 1}
    assert restarts(samples, "crash") == {"crash": 2}
    assert set(restarts(samples, "done")) == {"normal_exit"}
    assert samples.of("process_up", name="crash", instance="crash-0") == 0
    assert samples.of("process_last_exit_code", name="crash", instance="crash-0") == 7
    assert samples.of("process_last_exit_code", name="done", instance="done-0") == 0


async def test_the_exit_code_stays_while_the_next_one_runs(scrape: Scrape) -> None:
    scraped = await scrape(" {web: {command: [sleep, '1000'], restart_delay: 0}}")
    await scraped.house.until_state("web", State.RUNNING)
    scraped.house.kill("web")
    await scraped.house.until_restarted("web", 1)
    samples = await scraped.samples()
    assert samples.of("process_up", name="web", instance="web-0") == 1
    assert samples.of("process_last_exit_code", name="web", instance="web-0") == 137


async def test_what_is_scaled_away_takes_no_restart_with_it(scrape: Scrape) -> None:
    scraped = await scrape(" {web: {command: [sleep, '1000'], scale: 2, restart_delay: 0}}")
    house = scraped.house
    await house.until(lambda: len(house.pids("web")) == 2)
    house.kill("web", 1)
    await house.until(lambda: house.instance("web", 1).restart_count == 1)
    house.supervisor.scale("web", 1)
    await house.until(lambda: len(house.status("web").instances) == 1)
    samples = await scraped.samples()
    assert restarts(samples, "web") == {"crash": 1}
    assert samples.of("process_up", name="web", instance="web-1") is None
    house.supervisor.scale("web", 2)
    await house.until(lambda: len(house.pids("web")) == 2)
    assert restarts(await scraped.samples(), "web") == {"crash": 1}


async def test_health_checks(scrape: Scrape) -> None:
    scraped = await scrape("""
  good:
    command: [sleep, '1000']
    health_check: {command: ["true"], initial_delay: 0, period: 50ms}
  bad:
    command: [sleep, '1000']
    max_restarts: 1000
    restart_delay: 0
    health_check:
      address: "127.0.0.1:1"
      mode: readiness
      initial_delay: 0
      period: 50ms
      timeout: 300ms
      start_period: 1ms
      failure_threshold: 2
  early:
    command: [sleep, '1000']
    health_check: {command: ["true"], initial_delay: 1000}
  none: {command: [sleep, '1000']}
""")
    samples = await scraped.until(
        lambda now: (
            now.of("health_check_status", name="good", type="exec") == 1
            and now.of("health_check_status", name="bad", type="tcp") == 0
        )
    )
    assert samples.of("process_health_status", process="good") == 1
    assert samples.of("process_health_status", process="bad") == 0
    for name in ("early", "none"):
        assert samples.of("process_health_status", process=name) is None, "nobody can say yet"
    total = samples.of("health_check_total", name="good", type="exec", status="success")
    assert total is not None and total >= 1
    assert samples.of("health_check_total", name="good", type="exec", status="failure") == 0
    assert samples.of("health_check_duration_seconds_count", name="good", type="exec") == total
    infinite = samples.of("health_check_duration_seconds_bucket", name="good", type="exec", le="+Inf")
    assert infinite == total
    failures = samples.of("health_check_failures_total", process="bad", type="tcp")
    assert failures is not None and failures >= 2
    assert samples.of("health_check_total", name="bad", type="tcp", status="failure") == failures
    assert (samples.of("health_check_consecutive_fails", name="bad") or 0) >= 2
    assert samples.of("health_check_consecutive_fails", name="good") == 0


async def test_an_unhealthy_instance_is_restarted_for_its_health(scrape: Scrape) -> None:
    scraped = await scrape("""
  bad:
    command: [sleep, '1000']
    restart_delay: 0
    health_check:
      address: "127.0.0.1:1"
      mode: liveness
      initial_delay: 0
      period: 50ms
      timeout: 300ms
      start_period: 1ms
      failure_threshold: 1
""")
    await scraped.until(lambda now: restarts(now, "bad").get("health_check", 0) >= 1)


async def test_hooks(scrape: Scrape) -> None:
    more = """hooks:
  pre-start: [{name: 'say "hi"\\', command: ["true"]}, {command: ["false"], continue_on_error: true}]
"""
    web = """
  web:
    command: [sleep, '1000']
    shutdown: {pre_stop_hook: {command: ["true"]}, post_stop_hook: {name: tidy, command: ["false"]}}
"""
    scraped = await scrape(web, more=more)
    house = scraped.house
    await house.until_state("web", State.RUNNING)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    samples = await scraped.samples()
    hooks = {
        (one["name"], one["type"], one["status"]): samples.of("hook_executions_total", **one)
        for one in samples.labels("hook_executions_total")
    }
    assert {key: count for key, count in hooks.items() if count} == {
        ('say "hi"\\', "pre_start", "success"): 1,
        ("pre-start-1", "pre_start", "failure"): 1,
        ("web/pre_stop_hook", "pre_stop", "success"): 1,
        ("web/tidy", "post_stop", "failure"): 1,
    }
    assert samples.of("hook_duration_seconds_count", name="web/tidy", type="post_stop") == 1
    assert (samples.of("hook_duration_seconds_sum", name="web/tidy", type="post_stop") or 0) > 0


async def test_a_hook_is_one_execution_with_all_its_tries(scrape: Scrape) -> None:
    more = "hooks: {pre-start: [{name: shy, command: ['false'], retry: 2, continue_on_error: true}]}"
    scraped = await scrape(" {web: {command: [sleep, '1000']}}", more=more)
    await scraped.house.until_state("web", State.RUNNING)
    samples = await scraped.samples()
    assert samples.of("hook_executions_total", name="shy", type="pre_start", status="failure") == 1


async def test_schedules(scrape: Scrape) -> None:
    scraped = await scrape("""
  job: {command: [sh, -c, "exit 3"], schedule: "@yearly"}
  late:
    command: ["true"]
    schedule: "@yearly"
    heartbeat: {url: "http://127.0.0.1:1/", interval: 10ms, grace: 10ms, retry_count: 0}
""")
    house = scraped.house
    samples = await scraped.samples()
    assert samples.of("scheduled_task_last_run_timestamp", task="job") is None
    assert samples.of("scheduled_task_last_exit_code", task="job") is None
    assert samples.of("scheduled_task_total", task="job", status="failure") == 0
    due = samples.of("scheduled_task_next_run_timestamp", task="job")
    assert due is not None and due > time.time()
    assert await house.over(house.supervisor.trigger("job")) == 3
    samples = await scraped.samples()
    assert samples.of("scheduled_task_total", task="job", status="failure") == 1
    assert samples.of("scheduled_task_total", task="job", status="success") == 0
    assert samples.of("scheduled_task_last_exit_code", task="job") == 3
    assert samples.of("scheduled_task_duration_seconds_count", task="job") == 1
    last = samples.of("scheduled_task_last_run_timestamp", task="job")
    assert last is not None and abs(last - time.time()) < 60
    assert samples.of("scheduled_task_overdue", task="job") == 0
    await scraped.until(lambda now: now.of("scheduled_task_overdue", task="late") == 1)
    assert samples.of("supervisor_uptime_seconds", name="job") is not None
    for name in ("process_up", "process_desired_scale", "process_restarts_total"):
        assert samples.labels(name) == [], "a run is no instance"


async def test_what_was_held_back_survives_a_reload(scrape: Scrape) -> None:
    scraped = await scrape("""
  web:
    command: [sh, -c, "seq 50; echo go; sleep 1000"]
    logging: {rate_limit: {lines: 1, burst: 10}}
  calm: {command: [sleep, '1000'], logging: {rate_limit: {lines: 10}}}
  free: {command: [sleep, '1000']}
""")
    house = scraped.house
    name = "log_records_rate_limited_total"
    samples = await scraped.until(lambda now: (now.of(name, process="web") or 0) >= 39)
    held_back = samples.of(name, process="web")
    assert samples.of(name, process="calm") == 0
    assert samples.of(name, process="free") is None
    house.file.write_text(house.file.read_text().replace("{lines: 1, burst: 10}", "{lines: 500}"))
    await house.parts.configuration.reload()
    after = (await scraped.samples()).of(name, process="web")
    assert held_back is not None and after is not None and after >= held_back
    assert house.logs.rate_limited() == {"web": after, "calm": 0}


async def test_the_outputs_of_the_log(scrape: Scrape, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("outputs")
    scraped = await scrape(f"""
  web:
    command: [sh, -c, "seq 7; sleep 1000"]
    logging: {{outputs: {{good: {{path: {folder}/log}}, bad: {{path: {folder}}}}}}}
""")
    samples = await scraped.until(
        lambda now: (
            now.of("log_records_written_total", output=f"{folder}/log") == 7
            and now.of("log_records_dropped_total", output=str(folder)) == 7
            and now.of("log_records_written_total", output="stdout")
        )
    )
    assert samples.of("log_records_dropped_total", output=f"{folder}/log") == 0
    assert samples.of("log_records_written_total", output=str(folder)) == 0


async def test_a_process_that_is_removed_takes_its_series_with_it(scrape: Scrape) -> None:
    checked = "{command: [sleep, '1000'], health_check: {command: ['true'], initial_delay: 0, period: 50ms}}"
    scraped = await scrape(f"\n  web: {checked}\n  old: {checked}\n")
    await scraped.until(lambda now: now.of("health_check_status", name="old", type="exec") == 1)
    scraped.house.file.write_text(scraped.house.file.read_text().replace(f"  old: {checked}\n", ""))
    await scraped.house.parts.configuration.reload()
    samples = await scraped.until(lambda now: now.of("manager_process_count") == 1)
    counters = scraped.house.runtime.counters
    assert counters is not None
    assert counters.checks("old") == {}
    assert samples.of("health_check_total", name="old", type="exec", status="success") is None


async def test_the_shutdown(scrape: Scrape) -> None:
    scraped = await scrape(""" {web: {command: [sh, -c, "trap '' TERM; while :; do sleep 0.05; done"]}}""")
    await scraped.house.until_state("web", State.RUNNING)
    scraped.house.supervisor.shutdown("test")
    took = (await scraped.samples()).of("shutdown_elapsed_seconds")
    assert took is not None and 0 <= took < 20


async def test_every_series_is_told_once_and_in_small_pieces(scrape: Scrape) -> None:
    processes = "".join(f"\n  p{n}: {{command: a, initial_state: stopped}}" for n in range(100))
    scraped = await scrape(processes)
    snapshot = await take(scraped.house.parts, Vitals(), Slices())
    for family in FAMILIES:
        for metric in family.metrics(snapshot, pages._PIECE):
            assert len(metric.samples) < pages._PIECE + 20
    samples = await scraped.samples()  # no series twice: see Samples
    assert len(samples.labels("process_restarts_total")) == 500
    for name, told in samples.families.items():
        assert name.startswith(("cbox_init_", "process_"))
        assert told.documentation
