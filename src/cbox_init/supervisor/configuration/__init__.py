"""Changing the configuration while processes run: reload, edits by the API, removal, watching the file."""
