"""Logs and metrics: values that other layers read, never decisions."""
