"""Measurements of the processes and of the daemon."""
