"""The page that people watch: plain ES modules, no build step. The API serves it at `/`."""
