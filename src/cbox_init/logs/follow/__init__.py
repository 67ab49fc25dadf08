"""Files that applications write themselves: followed, whatever happens to their names, and rotated.

    inotify ─ names: which file is which ─ tail: reads each to its end ─ follower: the thread of all

All that touches a disk is done in one thread; the event loop gets lines, one block of each file at a time.
Imported only where the configuration follows a file.
"""
