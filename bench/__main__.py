"""`python -m bench`: measures, prints the table, writes the results."""

import argparse
import datetime
import os
import signal
import sys

from bench import leftovers, machine, peers, report, results, rows, workspace
from bench.errors import BenchError
from bench.rows.base import FULL, QUICK
from bench.run import run


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
    parser.add_argument(
        "--row", action="append", choices=[row.name for row in rows.ALL], help="only this row"
    )
    parser.add_argument(
        "--peer", action="append", choices=[peer.name for peer in peers.ALL], help="only this peer"
    )
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", "3")), metavar="N")
    return parser.parse_args()


def _bench(options: argparse.Namespace) -> int:
    program = workspace.build_child()
    versions: dict[str, str] = {}
    present: list[peers.Peer] = []
    absent: list[str] = []
    for peer in peers.ALL:
        if options.peer and peer.name not in options.peer:
            continue
        try:
            versions[peer.name] = peer.prepare()
            present.append(peer)
        except BenchError as error:
            absent.append(f"{peer.name}: {error}")
            print(f"without {peer.name}: {error}", file=sys.stderr)
    if not present:
        raise BenchError("no peer to measure")

    chosen = [row for row in rows.ALL if not options.row or row.name in options.row]
    rounds = 1 if options.quick else options.rounds
    lines, failures = run(chosen, present, program, rounds, QUICK if options.quick else FULL)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    found = results.Results(today, rounds, machine.facts(), versions, lines, [*absent, *failures])

    # A part of the table is not what the next run should be compared with.
    whole = not (options.quick or options.row or options.peer)
    results.write(found, workspace.RESULTS if whole else workspace.WORK / "results.json")
    print(report.markdown(found, results.committed(workspace.RESULTS)))
    return 1 if failures else 0


sys.exit(main())
