"""Live push: one reader of Redis per process, fanned out to clients over SSE and WebSocket.

    market lane (newest wins):  streams ─► market, ticker ─► mailbox of each client ─┐
                                                                                      ├─► frames
    event lane (lossless):      streams ─► feed ─► merged log in Redis ─► tail ──────┘

A client's place in the event lane is an id of the merged log. It is all that a client has to keep,
and all that is kept for it: so any replica can go on where another left off.
"""
