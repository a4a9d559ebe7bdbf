"""The other commands: one symbol each, judged as it goes.

* ``check``, ``replay``, ``reproduce``
"""
