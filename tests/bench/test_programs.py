"""What the benchmark reads from the programs that count for it, and what it writes for its peers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.counter import Count
from bench.errors import BenchError, DoesNotApply
from bench.peers import base
from bench.peers.base import Job, Output, Work
from bench.peers.cbox_init import CboxInit
from bench.peers.monit import Monit
from bench.peers.process_compose import ProcessCompose
from bench.peers.runit import Runit
from bench.peers.s6 import S6
from bench.readers import Tally
from bench.rows import commands
from bench.rows.installed import disk_bytes
from bench.rows.spawn_cost import instructions, syscalls

from bench import workspace
from cbox_init.config.load import load

TWO = Job(2)
STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.10    0.274860         112      2451       367 futex
 39.90    0.000000           0         4           close
------ ----------- ----------- --------- --------- ----------------
100.00    0.528138          17     {calls} total
"""


@pytest.mark.parametrize("calls", ["30165      2455", "30165          "], ids=["with errors", "without"])
def test_the_sum_of_strace_is_read(calls: str) -> None:
    assert syscalls(STRACE.format(calls=calls)) == 30165


def test_a_tracer_without_a_sum_is_an_error() -> None:
    with pytest.raises(BenchError, match="strace says: nothing"):
        syscalls("")
    with pytest.raises(BenchError, match="callgrind"):
        instructions("events: Ir\n")


def test_the_sum_of_callgrind_is_read() -> None:
    assert instructions("events: Ir\nfn=(1)\n1 5\nsummary: 1196\ntotals: 1196421826\n") in (1196, 1196421826)


def test_the_disk_that_files_take_counts_whole_blocks_and_hidden_folders(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "one").write_bytes(b"x" * 100_000)
    assert 100_000 <= disk_bytes(tmp_path) < 120_000


def test_a_command_that_fails_has_no_time() -> None:
    with pytest.raises(BenchError, match="false ended with 1"):
        list(commands._run(["false"], 1))
    ((took_s, cpu_s),) = commands._run(["sleep", "0.01"], 1)
    assert cpu_s < took_s > 0.01


@pytest.mark.parametrize("size", range(1, 30))
def test_events_in_blocks_that_end_anywhere_count_once(size: int) -> None:
    stream = b'event: log\ndata: {"message":"event: log"}\n\n: keepalive\n\nevent: missed\n\n' * 3
    tally = Tally()
    assert sum(tally.take(stream[at : at + size]) for at in range(0, len(stream), size)) == 3


def test_lines_that_are_lost_and_lines_that_come_twice_do_not_make_up_for_each_other() -> None:
    count = Count(10, 8, 2, 0, 0, 0, 0, 950, 0)
    assert count.spoiled(10) == 4


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., Work]:
    def make(job: Job = TWO) -> Work:
        return Work(job, tmp_path, Path("/bin/true"), {"BENCH_RECORD": "/x y"}, 9180)

    return make


@pytest.mark.parametrize(
    "job",
    [
        TWO,
        Job(2, output=Output.TEXT),
        Job(2, output=Output.REDACTED),
        Job(2, check_port=8080),
        Job(2, sample_s=5),
        Job(2, schedule="* * * * *"),
    ],
    ids=["plain", "text", "redacted", "checked", "sampled", "scheduled"],
)
def test_our_own_configuration_is_a_good_one(
    work: Callable[..., Work], job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "install_project", lambda: Path("/nowhere"))
    monkeypatch.setattr(workspace, "installed_version", lambda *_: "0")
    peer = CboxInit()
    peer.prepare()
    peer.launch(work(job))
    loaded = load(str(tmp_path / "cbox-init.yaml"), {})
    unknown = [problem for problem in loaded.problems if "unknown" in problem.message.lower()]
    assert not unknown
    assert len(loaded.config.processes) == (2 if job.schedule else 1)


def test_a_peer_that_cannot_have_so_many_children_says_why(work: Callable[..., Work]) -> None:
    with pytest.raises(DoesNotApply, match="one child after another"):
        Monit().launch(work(Job(11)))
    with pytest.raises(DoesNotApply, match="1,000 services at most"):
        Runit().launch(work(Job(1001)))


def test_monit_gives_each_child_its_environment(work: Callable[..., Work], tmp_path: Path) -> None:
    Monit().launch(work())
    assert (tmp_path / "monitrc").read_text().count("check process child-") == 2
    assert (tmp_path / "monitrc").stat().st_mode & 0o777 == 0o600
    assert "\nBENCH_RECORD='/x y' /bin/true" in (tmp_path / "start").read_text()


@pytest.mark.parametrize("peer", [Runit(), S6()], ids=lambda peer: peer.name)
def test_a_service_has_a_logger_only_where_lines_count(
    peer: base.Peer, work: Callable[..., Work], tmp_path: Path
) -> None:
    peer.launch(work())
    assert not list(tmp_path.glob("services/*/log"))
    for service in tmp_path.glob("services/*"):
        shutil.rmtree(service)
    launch = peer.launch(work(Job(2, output=Output.JSON)))
    assert len(list(tmp_path.glob("services/*/log/run"))) == 2
    assert len(launch.logs) == (2 if peer.name == "runit" else 0)


def test_the_lines_of_process_compose_go_to_a_file(work: Callable[..., Work], tmp_path: Path) -> None:
    launch = ProcessCompose().launch(work(Job(2, output=Output.JSON)))
    config = json.loads((tmp_path / "process-compose.yaml").read_text())
    assert launch.logs == (Path(config["log_location"]),)
    assert config["processes"]["child"]["replicas"] == 2
