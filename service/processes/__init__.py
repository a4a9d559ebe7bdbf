"""Who runs: the supervisor, the workers that it starts and replaces, their sockets, tokens and certificate.

It may import every other room. Prices never enter it, nor does HTTP's grammar; and nothing but the command line imports
it.
"""
