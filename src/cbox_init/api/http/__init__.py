"""The HTTP/1.1 server of the API, the readiness port and the metrics port."""
