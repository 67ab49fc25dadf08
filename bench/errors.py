"""What can go wrong in a benchmark."""


class BenchError(Exception):
    """A measurement, or what it needs, failed; the message says which and how."""


class DoesNotApply(BenchError):
    """A measurement makes no sense for a peer; the message says why."""
