"""The output of the children and the daemon's messages: read, split into records, kept for the API, written
to outputs."""
