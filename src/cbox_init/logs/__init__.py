"""What the daemon and its children say: read, framed, kept, and written to standard output."""
