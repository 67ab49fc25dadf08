"""Each key of the configuration, for ``explain``, the JSON Schema and the documentation.

Made from the model; ``serve`` imports none of it.
"""
