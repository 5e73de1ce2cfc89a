"""Programs that read what flows publish: consumers, database workers, notifications."""
