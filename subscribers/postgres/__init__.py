"""The database worker: what flows publish, in PostgreSQL, each record once."""
