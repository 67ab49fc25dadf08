"""The audit trail: its chain, its file, its writer, and what is recorded."""
