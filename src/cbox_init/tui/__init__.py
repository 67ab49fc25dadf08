"""The terminal screen, ``cbox-init tui``: a client of the API, made with Textual (extra ``tui``)."""
