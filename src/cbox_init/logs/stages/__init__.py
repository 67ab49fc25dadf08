"""The stages between a child's line and its record, each in its own file, in this order:

    framing ─ multiline ─ redaction ─ json_lines ─ level ─ filters ─ rate ─ output

`build` makes them once for a process, those that it uses, and each of its streams has a `Pipeline` of them. A
process that uses none has no pipeline, and nothing of this package is imported.
"""
