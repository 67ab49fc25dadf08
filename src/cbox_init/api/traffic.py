"""What the API is asked, counted over both of its doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.server import ServerState


class Traffic:
    """Counts what the servers that were entered have counted themselves."""

    def __init__(self) -> None:
        self._states: list[ServerState] = []

    def enter(self, state: ServerState) -> None:
        """Count this server too."""
        self._states.append(state)

    @property
    def requests(self) -> int:
        """Requests that were answered."""
        return sum(state.total_requests for state in self._states)

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return sum(len(state.connections) for state in self._states)
