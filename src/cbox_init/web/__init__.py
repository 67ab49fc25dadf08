"""The web pages: their sources in ``static``, and how they are compressed and read."""
