"""Notifications: signals, fills and events as messages to webhooks and chat services."""
