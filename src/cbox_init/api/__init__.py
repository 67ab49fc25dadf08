"""The Management API: its listeners, routes, replies, and the description of itself."""
