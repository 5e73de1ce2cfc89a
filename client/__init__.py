"""A typed client of the HTTP API, and the models that both speak in."""
