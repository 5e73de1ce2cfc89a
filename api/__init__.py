"""The HTTP API: reads Redis and the lake, writes only the control stream."""
