from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from cbox_init.system import own_figures
from cbox_init.system.own_figures import OwnFigures, read_own_figures
from tests.system.helpers import isolated

if TYPE_CHECKING:
    import pytest


def test_figures_of_this_process() -> None:
    def test() -> None:
        before = read_own_figures()
        assert before.peak_rss_bytes >= before.rss_bytes > 2**20
        assert before.most_descriptors == os.sysconf("SC_OPEN_MAX")
        assert before.descriptors == len(os.listdir("/proc/self/fd")) - 1
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        ends = os.pipe()
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass
        after = read_own_figures()
        stop.set()
        thread.join()
        for end in ends:
            os.close(end)
        assert after.threads == before.threads + 1
        assert after.descriptors == before.descriptors + 2
        assert after.cpu_s - before.cpu_s >= 0.01

    isolated(test)  # no thread of another test ends meanwhile


def test_an_older_kernel_has_them_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoSize:
        st_size = 0

    def test() -> None:
        known = read_own_figures().descriptors
        monkeypatch.setattr("os.stat", lambda path: NoSize())
        assert read_own_figures().descriptors == known

    isolated(test)


def test_without_proc_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> object:
        raise FileNotFoundError

    monkeypatch.setattr(own_figures, "read_bytes", refuse)
    monkeypatch.setattr("os.stat", refuse)
    figures = read_own_figures()
    assert (figures.rss_bytes, figures.threads, figures.descriptors) == (0, 0, 0)
    assert isinstance(figures, OwnFigures)
