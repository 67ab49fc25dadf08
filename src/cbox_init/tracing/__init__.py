"""Tracing: spans of what the daemon does, sent over OTLP or written to the log.

Imported only when ``tracing_enabled`` is set, but for the context of a request that has one. The loop records
spans as plain values; a thread gives them to opentelemetry-sdk, which is imported there.
"""
