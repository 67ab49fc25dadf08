"""The Grafana dashboard of deploy/grafana, from the tables below: `make reference` writes it.

A panel is a row here: its title, its unit, and its queries with the legend of each.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

#: The window of rates; Grafana chooses it by the scrape interval.
_RATE: Final = "$__rate_interval"

#: Restarts that nobody has asked for.
_BY_ITSELF: Final = 'reason!="manual"'

_COLUMNS: Final = 24


class Query(NamedTuple):
    """A query of PromQL, with the legend of its series; ``instant`` for the present values alone."""

    text: str
    legend: str = ""
    instant: bool = False


class Panel(NamedTuple):
    """One panel. ``width`` is of 24 columns."""

    title: str
    kind: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 8
    text: str = ""
    height: int = 7


def _now(title: str, text: str, unit: str = "none", about: str = "", kind: str = "stat") -> Panel:
    return Panel(title, kind, unit, (Query(text, instant=True),), width=4, text=about, height=4)


def _graph(title: str, unit: str, *queries: tuple[str, str], about: str = "", width: int = 8) -> Panel:
    return Panel(title, "timeseries", unit, tuple(Query(*one) for one in queries), width, about)


def _of(metric: str, *more: str, by: str = "name") -> str:
    """A selector of what the variables of the dashboard choose; ``by``: the label of its process."""
    labels = ['job=~"$job"', f'{by}=~"$process"' if by else "", *more]
    return f"cbox_init_{metric}{{{', '.join(label for label in labels if label)}}}"


def _daemon(metric: str, *more: str) -> str:
    return _of(metric, *more, by="")


def _seconds(metric: str, quantile: float, labels: str, by: str) -> str:
    buckets = _of(f"{metric}_bucket", by=by)
    return f"histogram_quantile({quantile}, sum by (le, {labels}) (rate({buckets}[{_RATE}])))"


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Overview": (
        _now("Processes", f"sum({_daemon('manager_process_count')})"),
        _now("Instances up", f"sum({_of('process_up')})"),
        _now(
            "Instances down",
            f"sum({_of('process_up')} == bool 0)",
            about="Instances that are stopping, wait for a restart, or have ended.",
        ),
        _now(
            "Restarts, last hour",
            f"sum(increase({_of('process_restarts_total', _BY_ITSELF)}[1h]))",
            about="By the restart policy, not by a command.",
        ),
        _now("Unhealthy", f"count({_of('process_health_status', by='process')} == 0) or vector(0)"),
        _now("Uptime", f"max(time() - {_daemon('manager_start_time_seconds')})", "s"),
    ),
    "Processes": (
        _graph(
            "Instances",
            "none",
            (_of("process_current_scale"), "{{name}}"),
            (_of("process_desired_scale"), "{{name}} desired"),
        ),
        _graph(
            "Restarts",
            "none",
            (f"increase({_of('process_restarts_total')}[{_RATE}])", "{{name}} {{reason}}"),
        ),
        _graph("Up", "bool_on_off", (_of("process_up"), "{{instance}}")),
        _graph("Uptime of instances", "s", (f"time() - {_of('process_start_time_seconds')}", "{{instance}}")),
        _graph("Last exit code", "none", (_of("process_last_exit_code"), "{{instance}}")),
        _graph(
            "Supervised for",
            "s",
            (_of("supervisor_uptime_seconds"), "{{name}}"),
        ),
    ),
    "Resources of instances": (
        _graph(
            "CPU",
            "percent",
            (_of("process_tree_cpu_percent", by="process"), "{{instance}}"),
            about="Of one CPU, of all processes of the instance.",
        ),
        _graph(
            "Resident memory",
            "bytes",
            (_of("process_tree_memory_bytes", by="process"), "{{instance}}"),
            about="Of all processes of the instance.",
        ),
        _graph(
            "Memory, of the limit",
            "percent",
            (_of("process_memory_percent", by="process"), "{{instance}}"),
        ),
        _graph("Threads", "none", (_of("process_threads", by="process"), "{{instance}}")),
        _graph("Descriptors", "none", (_of("process_file_descriptors", by="process"), "{{instance}}")),
        _graph(
            "Storage, bytes a second",
            "Bps",
            (f"rate({_of('process_io_bytes_total', by='process')}[{_RATE}])", "{{instance}} {{direction}}"),
        ),
        _graph("Processes", "none", (_of("process_tree_processes", by="process"), "{{instance}}")),
        _graph(
            "Time to sample an instance, mean",
            "s",
            (
                f"{_daemon('resource_collection_duration_seconds_sum')} / "
                f"{_daemon('resource_collection_duration_seconds_count')}",
                "all",
            ),
            (
                f"sum(rate({_of('resource_collection_errors_total', by='process')}[{_RATE}]))",
                "failed a second",
            ),
        ),
    ),
    "Health": (
        _graph("Health", "bool_on_off", (_of("process_health_status", by="process"), "{{process}}")),
        _graph(
            "Time of checks, 95 %",
            "s",
            (_seconds("health_check_duration_seconds", 0.95, "name, type", "name"), "{{name}} {{type}}"),
        ),
        _graph(
            "Failed checks a second",
            "none",
            (f"rate({_of('health_check_failures_total', by='process')}[{_RATE}])", "{{process}} {{type}}"),
            (_of("health_check_consecutive_fails"), "{{name}} in a row"),
        ),
    ),
    "Schedules": (
        _graph(
            "Since the last run",
            "s",
            (f"time() - {_of('scheduled_task_last_run_timestamp', by='task')}", "{{task}}"),
        ),
        _graph(
            "Time of runs, mean",
            "s",
            (
                f"{_of('scheduled_task_duration_seconds_sum', by='task')} / "
                f"{_of('scheduled_task_duration_seconds_count', by='task')}",
                "{{task}}",
            ),
        ),
        _graph(
            "Runs",
            "none",
            (f"increase({_of('scheduled_task_total', by='task')}[1h])", "{{task}} {{status}}"),
        ),
        _graph(
            "Until the next run",
            "s",
            (f"{_of('scheduled_task_next_run_timestamp', by='task')} - time()", "{{task}}"),
        ),
        _graph("Overdue", "bool_on_off", (_of("scheduled_task_overdue", by="task"), "{{task}}")),
        _graph("Last exit code", "none", (_of("scheduled_task_last_exit_code", by="task"), "{{task}}")),
        _graph(
            "Heartbeats",
            "none",
            (_of("heartbeat_pings_total", by="task"), "{{task}} {{result}}"),
            (f"time() - {_of('heartbeat_last_ping_timestamp', by='task')}", "{{task}}, seconds since"),
        ),
    ),
    "Autoscaling": (
        _graph(
            "Load and target",
            "none",
            (_of("autoscale_value", by="process"), "{{process}} {{metric}}"),
            (_of("autoscale_target", by="process"), "{{process}} target"),
            width=12,
        ),
        _graph(
            "Failed measurements a second",
            "none",
            (f"rate({_of('autoscale_errors_total', by='process')}[{_RATE}])", "{{process}} {{metric}}"),
            width=12,
        ),
    ),
    "Notifications": (
        _graph(
            "Messages",
            "none",
            (_of("notifications_sent_total", by=""), "{{notification}} sent"),
            (_of("notifications_failed_total", by=""), "{{notification}} failed"),
            (_of("notifications_dropped_total", by=""), "{{notification}} dropped"),
            width=12,
        ),
        _graph("Waiting", "none", (_of("notifications_waiting", by=""), "{{notification}}"), width=12),
    ),
    "Hooks": (
        _graph(
            "Hooks",
            "none",
            (f"sum by (type, status) ({_of('hook_executions_total')})", "{{type}} {{status}}"),
            width=12,
        ),
        _graph(
            "Time of hooks, mean",
            "s",
            (
                f"sum by (type) ({_of('hook_duration_seconds_sum')}) / "
                f"sum by (type) ({_of('hook_duration_seconds_count')})",
                "{{type}}",
            ),
            width=12,
        ),
    ),
    "Logs": (
        _graph(
            "Records written a second",
            "none",
            (f"rate({_daemon('log_records_written_total')}[{_RATE}])", "{{output}}"),
        ),
        _graph(
            "Records dropped a second",
            "none",
            (f"rate({_daemon('log_records_dropped_total')}[{_RATE}])", "{{output}}"),
            (
                f"rate({_of('log_records_rate_limited_total', by='process')}[{_RATE}])",
                "{{process}} rate limit",
            ),
        ),
        _graph("Waiting to be written", "bytes", (_daemon("log_queued_bytes"), "{{output}}")),
    ),
    "The daemon": (
        _graph(
            "CPU",
            "percentunit",
            ('rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])', "{{job}}"),
        ),
        _graph("Resident memory", "bytes", ('process_resident_memory_bytes{job=~"$job"}', "{{job}}")),
        _graph(
            "Descriptors",
            "none",
            ('process_open_fds{job=~"$job"}', "open"),
            ('process_max_fds{job=~"$job"}', "limit"),
        ),
        _graph(
            "Until certificates expire",
            "s",
            (f"{_daemon('tls_certificate_not_after_seconds')} - time()", "{{listener}}"),
        ),
        _graph(
            "Audit records",
            "none",
            (f"rate({_daemon('audit_records_written_total')}[{_RATE}])", "written a second"),
            (_daemon("audit_records_queued"), "waiting"),
            (_daemon("audit_records_lost_total"), "lost"),
        ),
        Panel(
            "Version",
            "table",
            "none",
            (Query(_daemon("build_info"), instant=True),),
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in row:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + panel.height
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x += panel.width
        y += row[-1].height
    return {
        "title": "cbox-init",
        "uid": "cbox-init",
        "description": "Processes of cbox-init, from its metrics port.",
        "tags": ["cbox-init"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                },
                _variable("job", "Job", "label_values(cbox_init_build_info, job)"),
                _variable(
                    "process",
                    "Process",
                    'label_values(cbox_init_supervisor_uptime_seconds{job=~"$job"}, name)',
                ),
            ]
        },
        "panels": panels,
    }


def text() -> str:
    """The file of the dashboard."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
    }


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    found: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": source,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": source,
                "expr": query.text,
                "legendFormat": query.legend or "__auto",
                "instant": query.instant,
                "range": not query.instant,
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for index, query in enumerate(panel.queries)
        ],
    }
    if panel.text:
        found["description"] = panel.text
    if panel.kind == "stat":
        found["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none"}
    return found
