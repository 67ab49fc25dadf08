"""`python -m bench`: measures, prints the table, writes the results."""

import argparse
import datetime
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import docs, growth, leftovers, machine, peers, report, results, rows, workspace
from bench.errors import BenchError
from bench.grow import grow
from bench.rows.base import FULL, QUICK
from bench.run import Run


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    leftovers.adopt_orphans()
    try:
        return _bench(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, with less of everything")
    parser.add_argument("--growth", action="store_true", help="how figures grow, instead of the table")
    parser.add_argument(
        "--row", action="append", choices=[row.name for row in rows.ALL], help="only this row"
    )
    parser.add_argument(
        "--series", action="append", choices=[one.name for one in growth.ALL], help="only this growth"
    )
    parser.add_argument(
        "--peer", action="append", choices=[peer.name for peer in peers.ALL], help="only this peer"
    )
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", "3")), metavar="N")
    parser.add_argument(
        "--write-docs", action="store_true", help="measure nothing; put the last results into docs/"
    )
    return parser.parse_args()


def _bench(options: argparse.Namespace) -> int:
    if options.write_docs:
        docs.write()
        return 0
    programs = workspace.build_programs()
    present, taken = _prepare(options)
    run = Run(programs, taken.rounds, QUICK if options.quick else FULL)
    began = time.monotonic()
    markdown = (
        _growth(options, run, present, taken) if options.growth else _rows(options, run, present, taken)
    )
    print(f"measured for {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    (workspace.WORK / "table.md").write_text(markdown + "\n")
    print(markdown)
    return 1 if run.failures else 0


def _prepare(options: argparse.Namespace) -> tuple[list[peers.Peer], results.Taken]:
    """Install or find the peers; return those that are there, and what is known of the run so far."""
    present: list[peers.Peer] = []
    taken = results.Taken(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        rounds=1 if options.quick else options.rounds,
        machine=machine.facts(),
        versions={},
        notes=[],
    )
    for peer in peers.ALL:
        if options.peer and peer.name not in options.peer:
            continue
        try:
            taken.versions[peer.name] = peer.prepare()
            present.append(peer)
        except BenchError as error:
            taken.notes.append(f"{peer.name}: {error}")
            print(f"without {peer.name}: {error}", file=sys.stderr)
    if not present:
        raise BenchError("no peer to measure")
    return present, taken


def _rows(options: argparse.Namespace, run: Run, present: Sequence[peers.Peer], taken: results.Taken) -> str:
    chosen = [row for row in rows.ALL if not options.row or row.name in options.row]
    lines = run.rows(chosen, present)
    found = results.Results(**_finished(taken, run), lines=lines)
    results.write(found, _file(options, workspace.RESULTS))
    return report.markdown(found, results.committed(workspace.RESULTS))


def _growth(
    options: argparse.Namespace, run: Run, present: Sequence[peers.Peer], taken: results.Taken
) -> str:
    chosen = [one for one in growth.ALL if not options.series or one.name in options.series]
    series = grow(run, chosen, present)
    found = results.Growth(**_finished(taken, run), series=series)
    results.write(found, _file(options, workspace.GROWTH))
    return report.growth(found)


def _finished(taken: results.Taken, run: Run) -> dict[str, Any]:
    """Return the fields of `taken`, with what the run could not do."""
    return msgspec.structs.asdict(taken) | {"notes": [*taken.notes, *run.failures], "absences": run.absences}


def _file(options: argparse.Namespace, whole: Path) -> Path:
    """Return where results go: a part is not what the next run should be compared with."""
    part = options.quick or options.row or options.series or options.peer
    return workspace.WORK / whole.name if part else whole


sys.exit(main())
