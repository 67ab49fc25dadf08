"""As PID 1: a child that leaves many orphans behind, which all end at the same time."""

import json
import os
import select
import sys

from cbox_init.system.reaper import ExitStatus, Reaper, become_subreaper
from cbox_init.system.signals import SignalPipe, reset_inherited

count = int(sys.argv[1])
reset_inherited()
assert become_subreaper()
signals = SignalPipe()
strangers: list[int] = []
exits: list[ExitStatus] = []
reaper = Reaper(strangers.append)
read_end, write_end = os.pipe()
parent = os.fork()
if parent == 0:
    os.close(write_end)
    for _ in range(count):
        if os.fork() == 0:
            os.read(read_end, 1)  # until PID 1 closes the other end
            os._exit(0)
    os._exit(0)
os.close(read_end)
reaper.watch(parent, exits.append)
while len(strangers) < count:
    assert select.select([signals], [], [], 30)[0], f"only {len(strangers)} orphans were reaped"
    signals.read()
    reaper.reap()
    if exits and write_end >= 0:
        os.close(write_end)
        write_end = -1
left = [name for name in os.listdir("/proc") if name.isdigit()]
print(
    json.dumps(
        {"pid": os.getpid(), "strangers": len(strangers), "watched": exits[0].describe(), "left": left}
    )
)
