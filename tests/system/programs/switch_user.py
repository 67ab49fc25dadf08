"""Start a child as nobody; print why that failed."""

from cbox_init.errors import SpawnError
from cbox_init.system.identity import Identity
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import SpawnRequest

nobody = Identity(65534, 65534, (65534,), "nobody", None)
try:
    Spawner().spawn(SpawnRequest(["true"], {"PATH": "/usr/bin:/bin"}, None, nobody, 1, 2))
except SpawnError as error:
    print(error)
