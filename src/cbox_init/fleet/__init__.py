"""Many daemons at once: where they are, and one question or command for all of them."""
