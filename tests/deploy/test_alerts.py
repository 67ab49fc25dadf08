"""The alerts of deploy/prometheus: promtool plays series to them, and each has a runbook."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from tests.docs.markdown import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RULES = ROOT / "deploy/prometheus/cbox-init.rules.yaml"
RUNBOOKS = ROOT / "docs/runbooks.md"


class Case(NamedTuple):
    """An alert: a series for which it fires by ``at``, and one for which it does not."""

    alert: str
    fires: dict[str, str]
    quiet: dict[str, str]
    at: str
    labels: dict[str, str]
    summary: str


DAY_S = 86_400
NAME = {"name": "web"}
CASES = [
    Case(
        "CboxInitDown",
        {'up{job="cbox-init", instance="a:9090"}': "0x60"},
        {'up{job="cbox-init", instance="a:9090"}': "0 0 1x60"},
        "3m",
        {"job": "cbox-init", "instance": "a:9090"},
        "a:9090: the metrics of cbox-init cannot be read",
    ),
    Case(
        "CboxInitInstanceDown",
        {
            'cbox_init_process_up{name="web", instance="web-0"}': "0x60",
            'cbox_init_process_up{name="job", instance="job-0"}': "0x60",
            'cbox_init_process_last_exit_code{name="job", instance="job-0"}': "0x60",
            'cbox_init_process_up{name="stopped", instance="stopped-0"}': "0x60",
            'cbox_init_process_last_exit_code{name="stopped", instance="stopped-0"}': "143x60",
            'cbox_init_process_last_exit_code{name="web", instance="web-0"}': "1x60",
        },
        {'cbox_init_process_up{name="web", instance="web-0"}': "0x3 1x60"},
        "6m",
        {"name": "web", "instance": "web-0"},
        "web-0 of process web has not run for 5 minutes",
    ),
    Case(
        "CboxInitTooFewInstances",
        {
            'cbox_init_process_current_scale{name="web"}': "2x60",
            'cbox_init_process_desired_scale{name="web"}': "3x60",
        },
        {
            'cbox_init_process_current_scale{name="web"}': "0x60",
            'cbox_init_process_desired_scale{name="web"}': "3x60",
        },
        "11m",
        NAME,
        "Process web has had 2 instances for 10 minutes, fewer than it should",
    ),
    Case(
        "CboxInitRestarting",
        {
            'cbox_init_process_restarts_total{name="web", reason="crash"}': "0+1x60",
            'cbox_init_process_restarts_total{name="web", reason="manual"}': "0+5x60",
        },
        {'cbox_init_process_restarts_total{name="web", reason="manual"}': "0+5x60"},
        "20m",
        NAME,
        "Process web was restarted 15 times in 15 minutes",
    ),
    Case(
        "CboxInitOutOfMemory",
        {'cbox_init_process_restarts_total{name="web", reason="memory_limit"}': "0x5 1x60"},
        {'cbox_init_process_restarts_total{name="web", reason="memory_limit"}': "1x60"},
        "10m",
        {"name": "web", "reason": "memory_limit"},
        "An instance of process web was restarted for its memory",
    ),
    Case(
        "CboxInitMemoryNearLimit",
        {'cbox_init_process_memory_percent{process="web", instance="web-0"}': "93x60"},
        {'cbox_init_process_memory_percent{process="web", instance="web-0"}': "89x60"},
        "11m",
        {"process": "web", "instance": "web-0"},
        "web-0 of process web uses 93 % of the memory of the container",
    ),
    Case(
        "CboxInitUnhealthy",
        {'cbox_init_process_health_status{process="web"}': "0x60"},
        {'cbox_init_process_health_status{process="web"}': "0 1 0 1x60"},
        "6m",
        {"process": "web"},
        "Process web has been unhealthy for 5 minutes",
    ),
    Case(
        "CboxInitHealthChecksFail",
        {
            'cbox_init_health_check_total{name="web", type="http", status="failure"}': "0+1x60",
            'cbox_init_health_check_total{name="web", type="http", status="success"}': "0+1x60",
        },
        {
            'cbox_init_health_check_total{name="web", type="http", status="failure"}': "0+1x60",
            'cbox_init_health_check_total{name="web", type="http", status="success"}': "0+9x60",
        },
        "40m",
        {"name": "web", "type": "http"},
        "50% of the health checks of process web fail",
    ),
    Case(
        "CboxInitScheduledTaskFailed",
        {'cbox_init_scheduled_task_last_exit_code{task="backup"}': "2x60"},
        {'cbox_init_scheduled_task_last_exit_code{task="backup"}': "0x60"},
        "1m",
        {"task": "backup"},
        "The last run of backup ended with exit code 2",
    ),
    Case(
        "CboxInitScheduledTaskOverdue",
        {'cbox_init_scheduled_task_overdue{task="backup"}': "1x60"},
        {'cbox_init_scheduled_task_overdue{task="backup"}': "0x60"},
        "1m",
        {"task": "backup"},
        "backup has not succeeded within its interval and grace",
    ),
    Case(
        "CboxInitScheduledTaskLate",
        {'cbox_init_scheduled_task_next_run_timestamp{task="backup"}': "600x60"},
        {'cbox_init_scheduled_task_next_run_timestamp{task="backup"}': "1000x60"},
        "20m",
        {"task": "backup"},
        "backup should have begun 10m 0s ago",
    ),
    Case(
        "CboxInitHeartbeatsLost",
        {'cbox_init_heartbeat_pings_total{task="backup", result="failure"}': "_x80 1x60"},
        {'cbox_init_heartbeat_pings_total{task="backup", result="failure"}': "1x600"},
        "90m",
        {"task": "backup", "result": "failure"},
        "Heartbeats of backup could not be delivered",
    ),
    Case(
        "CboxInitNotificationsFail",
        {
            'cbox_init_notifications_failed_total{notification="ops"}': "0x5 1x60",
            'cbox_init_notifications_dropped_total{notification="ops"}': "0x60",
        },
        {
            'cbox_init_notifications_failed_total{notification="ops"}': "7x60",
            'cbox_init_notifications_dropped_total{notification="ops"}': "0x60",
        },
        "20m",
        {"notification": "ops"},
        "Messages of the notification ops could not be delivered",
    ),
    Case(
        "CboxInitHookFailed",
        {'cbox_init_hook_executions_total{name="warm", type="post_start", status="failure"}': "_x80 1x60"},
        {'cbox_init_hook_executions_total{name="warm", type="post_start", status="failure"}': "3x600"},
        "90m",
        {"name": "warm", "type": "post_start", "status": "failure"},
        "The hook warm (post_start) has failed",
    ),
    Case(
        "CboxInitAutoscaleBlind",
        {'cbox_init_autoscale_errors_total{process="web", metric="http"}': "0+1x60"},
        {'cbox_init_autoscale_errors_total{process="web", metric="http"}': "0 4x60"},
        "40m",
        {"process": "web", "metric": "http"},
        "The load of process web cannot be measured (http)",
    ),
    Case(
        "CboxInitLogRecordsDropped",
        {'cbox_init_log_records_dropped_total{output="stdout"}': "0+10x60"},
        {'cbox_init_log_records_dropped_total{output="stdout"}': "7x60"},
        "10m",
        {"output": "stdout"},
        "The output stdout has lost log records",
    ),
    Case(
        "CboxInitLogsWait",
        {'cbox_init_log_queued_bytes{output="stdout"}': "2097152x60"},
        {'cbox_init_log_queued_bytes{output="stdout"}': "2097152 0x60"},
        "10m",
        {"output": "stdout"},
        "2MiB of log records wait for the output stdout",
    ),
    Case(
        "CboxInitAuditRecordsLost",
        {"cbox_init_audit_records_lost_total": "0+1x60"},
        {"cbox_init_audit_records_lost_total": "5x60"},
        "10m",
        {},
        "Audit records were lost",
    ),
    Case(
        "CboxInitCertificateExpires",
        {'cbox_init_tls_certificate_not_after_seconds{listener="api"}': f"{10 * DAY_S + 60}x60"},
        {'cbox_init_tls_certificate_not_after_seconds{listener="api"}': f"{20 * DAY_S}x60"},
        "1m",
        {"listener": "api"},
        "The certificate of the listener api expires in 10d 0h 0m 0s",
    ),
    Case(
        "CboxInitCertificateExpired",
        {'cbox_init_tls_certificate_not_after_seconds{listener="api"}': "0x60"},
        {'cbox_init_tls_certificate_not_after_seconds{listener="api"}': f"{2 * DAY_S}x60"},
        "1m",
        {"listener": "api"},
        "The certificate of the listener api expires within a day, or has expired",
    ),
    Case(
        "CboxInitFewDescriptorsLeft",
        {'process_open_fds{job="cbox-init"}': "900x60", 'process_max_fds{job="cbox-init"}': "1000x60"},
        {'process_open_fds{job="cbox-init"}': "500x60", 'process_max_fds{job="cbox-init"}': "1000x60"},
        "11m",
        {"job": "cbox-init"},
        "The daemon uses 90% of the descriptors that it may open",
    ),
]


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_each_alert_has_a_case() -> None:
    assert [rule["alert"] for rule in rules()] == [case.alert for case in CASES]


def test_each_alert_has_a_paragraph_in_the_runbooks() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        anchor = rule["alert"].lower()
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{anchor}"


def test_promtool_finds_them_valid(tmp_path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    severity = {rule["alert"]: rule["labels"]["severity"] for rule in rules()}

    def played(case: Case, series: dict[str, str], alerts: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": alerts}],
        }

    tests = []
    for case in CASES:
        alert = {
            "exp_labels": {**case.labels, "severity": severity[case.alert]},
            "exp_annotations": {
                "summary": case.summary,
                "runbook_url": f"docs/runbooks.md#{case.alert.lower()}",
            },
        }
        tests += [played(case, case.fires, [alert]), played(case, case.quiet, [])]
    file = tmp_path / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
