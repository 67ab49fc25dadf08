"""cbox-init: a process manager for PID 1 of a container, with a REST Management API."""

__version__ = "0.1.0"
