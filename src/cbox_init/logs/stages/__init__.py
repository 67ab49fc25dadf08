"""The stages between a line and its record, one module each, in this order:

    framing ─ multiline ─ redaction ─ json_lines ─ level ─ filters ─ rate ─ output

`build` makes the stages that a process uses, once, and each of its streams has a `Pipeline` of them. A
process that uses none has no pipeline, and nothing of this package is imported.
"""
