"""The Prometheus endpoint: its port, and the text of a scrape."""
