"""The audit trail: who did what, as a chain of records that cannot be changed without being found out.

Imported only when ``audit_enabled`` is set, and by ``cbox-init audit``.
"""
