"""Processes that have a schedule: when a run is due, the run itself, its history and its heartbeats."""
