"""As a root without CAP_SYS_PTRACE: read a variable of a child that runs as nobody."""

import ctypes
import os

from cbox_init.system.environ import read_variable
from cbox_init.system.identity import Identity
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import SpawnRequest

nobody = Identity(65534, 65534, (65534,), "nobody", None)
env = {"PATH": "/usr/bin:/bin", "ID": "web-0"}
pid = Spawner().spawn(SpawnRequest(["sleep", "100"], env, None, nobody, 1, 2))
try:
    os.close(os.open(f"/proc/{pid}/environ", os.O_RDONLY))
    print("allowed")
except PermissionError:
    print("denied")
print(read_variable(pid, "ID"))
libc = ctypes.CDLL(None)
# An impossible id changes nothing and tells the present one.
print(f"uid {libc.setfsuid(-1)} gid {libc.setfsgid(-1)}, dumpable {libc.prctl(3)}")
os.kill(pid, 9)
