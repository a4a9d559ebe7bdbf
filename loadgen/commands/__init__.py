"""The other commands: one symbol each, judged as it goes, or what a run has left.

* ``check``, ``replay``, ``reproduce``, ``audit``
"""
