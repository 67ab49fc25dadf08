"""Processes with ``autoscale``: their load is measured, and their scale follows it."""
