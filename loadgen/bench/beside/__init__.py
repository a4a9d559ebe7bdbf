"""tenfold beside the floors and the ordinary ways, in one run: ``python -m loadgen.bench``.

In reading order:

* ``effort``, ``feed``   how much is measured, and the prices that everybody gets
* ``pairs``      rounds in which contenders take turns, ratios within rounds
* ``truth``      whether contenders answer alike, by exact arithmetic
* ``rivals/``    the ordinary ways; ``ours`` is tenfold's library with their interface
* ``contender``, ``in_process``  each contender in a process of its own, pairs of them
* ``floor``, ``constant``, ``drive``, ``over_http``  over HTTP: one client, one core each
* ``ratios``, ``machine``, ``tables``, ``picture``  what came of it, on which machine
"""
