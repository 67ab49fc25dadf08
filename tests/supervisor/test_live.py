"""A spawned instance, told directly."""

from __future__ import annotations

import os
import signal
from unittest.mock import Mock

from cbox_init.supervisor.instance.live import LiveTree, TreeRecord
from cbox_init.system.spawn import Spawner
from tests.system.helpers import as_root, isolated, make_request


@as_root
def test_a_main_process_that_is_out_of_our_reach_is_no_error() -> None:
    def test() -> None:
        pid = Spawner().spawn(make_request("sleep", "1000"))
        live = LiveTree(Mock(), TreeRecord("web-0", 0, pid), capture=Mock())
        os.setresuid(65534, 65534, 0)
        live.signal_main(signal.SIGTERM)
        live.signal_group(signal.SIGTERM)
        os.setresuid(0, 0, 0)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        live.signal_main(signal.SIGKILL)
        assert os.waitpid(pid, 0)[0] == pid

    isolated(test)
