"""The kernel's word that the clock was set."""

from __future__ import annotations

import os
import select

from cbox_init.system.clock import ClockWatch


def test_it_is_quiet_while_nobody_sets_the_clock() -> None:
    watch = ClockWatch()
    try:
        assert not os.get_inheritable(watch.fileno())
        assert select.select([watch], [], [], 0.05)[0] == []
        assert not watch.read()
        with open(f"/proc/self/fdinfo/{watch.fileno()}") as file:
            # CLOCK_REALTIME, absolute and cancelled when the clock is set
            assert {"clockid: 0", "settime flags: 03"} <= {line.strip() for line in file}
    finally:
        watch.close()
