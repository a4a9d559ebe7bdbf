"""How bytes come in and go out: connections, their deadlines and caps, heads and bodies, TLS, Sanic's handlers.

It may import ``api``, ``metrics`` and what stands beside the rooms. What a price is it does not know.
"""
