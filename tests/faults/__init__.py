"""One call into the system or the log fails, at every place in turn; afterwards all that should run runs."""
