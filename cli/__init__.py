"""The command line: options in, text or JSON out, no traceback for a user's mistake."""
