"""Notifications: messages about events, sent to webhooks and commands beside everything else."""
