"""Benchmarks that run contenders side by side.

Read in this order:

* ``timing``     samples of several contenders, taken in turn, and their medians
* ``table``      rows with a measurement, a target and the word "reached" or "missed", as plain text
* ``numpy_way``  what numpy does about the same tasks
* ``core``       ``python -m loadgen.bench.core``: the library alone
* ``abuse``      ``python -m loadgen.bench.abuse``: a normal client beside those that misbehave

And for ``python -m loadgen.bench``, tenfold beside bare Sanic and beside the ordinary ways:

* ``effort``     how much is measured
* ``feed``       the prices that everybody gets
* ``pairs``      rounds in which contenders take turns, ratios within rounds
* ``truth``      whether contenders answer alike, by exact arithmetic
* ``rivals``     the ordinary ways; ``ours`` is tenfold's library with their interface
* ``limits``, ``contender``, ``steps``  in process: each contender in a process of its own, pairs of them
* ``servers``, ``drive``, ``requests``, ``floor``, ``constant``, ``over_http``  over HTTP: one client, one core each
* ``verdicts``, ``machine``, ``report``, ``picture``  what must be reached, what it ran on, tables, JSON, PNG

``core`` and ``ours`` are the only ones that import ``aggregation``.
"""
