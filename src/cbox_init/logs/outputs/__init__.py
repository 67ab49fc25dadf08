"""Outputs besides standard output: files with rotation, standard error, syslog, OTLP.

Imported only where the configuration names an output.
"""
