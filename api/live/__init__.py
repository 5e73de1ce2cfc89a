"""Live push: one reader of Redis per process, fanned out to clients over SSE and WebSocket.

    market lane (newest wins):  streams ─► market, ticker ─► mailbox of each client ─┐
                                                                                      ├─► frames
    event lane (lossless):      streams ─► feed ─► merged log in Redis ─► ring ──────┘

A client's place in the event lane is an id of the merged log. It is all that a client has to keep,
and all that is kept for it: so any replica can go on where another left off.
"""

UVICORN = {
    "ws_max_size": 65_536,  # of a client's messages, which are small
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "timeout_graceful_shutdown": 2,  # a client that reads nothing would hold up the end
}
"""What a server that serves live push is to be started with."""
