"""The measurements, one a file. A new one is a Row like these and a line in ALL."""

from bench.rows import children, list_rate, memory, respawn
from bench.rows.base import Row

ALL: tuple[Row, ...] = (
    children.row(1),
    children.row(100),
    children.row(1000),
    respawn.ROW,
    memory.ROW,
    list_rate.ROW,
)
