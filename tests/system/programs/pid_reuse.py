"""As PID 1: a callback starts a child that gets the pid of the one that has just been reaped."""

import json
import os

from cbox_init.system.reaper import ExitStatus, Reaper
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import SpawnRequest

spawner = Spawner()
reaper = Reaper()
pids: list[int] = []
codes: list[int] = []


def start(code: int) -> None:
    argv = ["/bin/sh", "-c", f"exit {code}"]
    pids.append(spawner.spawn(SpawnRequest(argv, {}, None, None, 1, 2)))
    reaper.watch(pids[-1], ended)


def ended(status: ExitStatus) -> None:
    codes.append(status.exit_code)
    if len(pids) == 1:
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
            file.write(str(pids[0] - 1))
        start(8)


start(7)
while reaper.watched:
    # Wait until the next one has ended, and leave it to the reaper. The second may end while it reaps.
    os.waitid(os.P_PID, pids[-1], os.WEXITED | os.WNOWAIT)
    reaper.reap()
print(json.dumps({"same": pids[0] == pids[1], "codes": codes}))
