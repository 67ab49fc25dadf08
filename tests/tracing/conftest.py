"""Supervisors with real children, as for `tests.supervisor`."""

from tests.supervisor.conftest import adopted_orphans, build

__all__ = ("adopted_orphans", "build")
