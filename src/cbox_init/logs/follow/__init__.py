"""Follows log files that applications write, through renames, truncation and rotation.

    inotify ─ names: which file is which ─ tail: reads each to its end ─ follower: the thread for all of them

Everything that touches a disk is done in one thread; the event loop gets lines, one block of each file at
a time. Imported only where the configuration follows a file.
"""
