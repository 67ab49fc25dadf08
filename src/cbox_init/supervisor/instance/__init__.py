"""One instance of a process: how it is started, watched, signalled and stopped, with all that it starts."""
