"""The measurements, one a file. A new one is a Row like these and a line in ALL."""

from bench.rows import (
    bundle,
    children,
    commands,
    events,
    flood_api,
    idle,
    installed,
    list_rate,
    log_flood,
    memory,
    resources,
    respawn,
    restart_wait,
    spawn_cost,
)
from bench.rows.base import Row

ALL: tuple[Row, ...] = (
    children.row(1),
    children.row(100),
    children.row(1000),
    respawn.ROW,
    restart_wait.ROW,
    memory.REST_ROW,
    memory.ROW,
    idle.ROW,
    resources.ROW,
    list_rate.ROW,
    events.ROW,
    log_flood.JSON,
    log_flood.TEXT,
    log_flood.REDACT,
    log_flood.MANY,
    flood_api.ROW,
    commands.ROW,
    installed.ROW,
    bundle.ROW,
    spawn_cost.SYSCALLS_ROW,
    spawn_cost.INSTRUCTIONS_ROW,
)
