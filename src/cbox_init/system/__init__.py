"""Linux: how a child is started, awaited, signalled and found again.

Knows no configuration and no names of processes; of the project it imports the errors alone. Everything
here works before an event loop exists, and none of it starts a task or a thread.
"""
