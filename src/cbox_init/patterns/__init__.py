"""Patterns over lines: written in Go's RE2 syntax, run by Python's ``re``.

`compile` is the way in. A pattern is parsed into a small tree (`syntax`), from which two expressions are made
(`render`), the literals that every match holds (`needles`), and the answer to whether it can take exponential
time (`ambiguity`). ``ready`` has the patterns that have names.
"""
