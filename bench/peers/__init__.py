"""The programs of the comparison, one a file. A new one is a class like these and a line in ALL."""

from bench.peers.base import Peer
from bench.peers.cbox_init import CboxInit
from bench.peers.circus import Circus
from bench.peers.monit import Monit
from bench.peers.pm2 import Pm2
from bench.peers.process_compose import ProcessCompose
from bench.peers.runit import Runit
from bench.peers.s6 import S6
from bench.peers.supervisord import Supervisord

__all__ = ["ALL", "Peer"]

# cbox-init first: the others are compared with it.
ALL: tuple[Peer, ...] = (
    CboxInit(),
    Supervisord(),
    Circus(),
    S6(),
    Runit(),
    Monit(),
    Pm2(),
    ProcessCompose(),
)
