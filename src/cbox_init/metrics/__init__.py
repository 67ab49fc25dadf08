"""The Prometheus endpoint: its port, and what a scrape is told."""
