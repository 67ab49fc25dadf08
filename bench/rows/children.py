"""Cold start and stop: how long until the children run, and until they and the daemon are gone."""

from bench.figures import Figure
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Row, Start


def row(count: int) -> Row:
    """Return the row for `count` children."""
    up = Figure(
        f"up_{count}",
        f"{count:,} children up, cold" if count > 1 else "start to the first child's exec",
        "ms",
    )
    stop = Figure(
        f"stop_{count}", f"stop with {count:,} children" if count > 1 else "stop with one child", "ms"
    )

    def measure(start: Start, effort: Effort) -> dict[str, float]:
        with start(Job(count)) as daemon:
            records = daemon.wait_up()
            up_ns = max(record.started_ns for record in records) - daemon.started_ns
            found = {up.key: up_ns / 1e6}
            daemon.settle()
            if daemon.has(Need.STOP):
                found[stop.key] = daemon.stop() / 1e6
            return found

    title = f"Start and stop of {count:,} children" if count > 1 else "Start and stop of one child"
    return Row(f"children-{count}", title, (up, stop), measure, uses=(Need.STOP,))
