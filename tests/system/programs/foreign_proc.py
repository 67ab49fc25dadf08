"""What is found as PID 1 under a /proc that is not of this pid namespace."""

import os

from cbox_init.system.procfs import is_ours
from cbox_init.system.tree import find_strays, left_group

print(os.getpid(), is_ours(), find_strays("ID", ()), left_group(1))
