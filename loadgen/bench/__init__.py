"""Benchmarks that run contenders side by side.

Read in this order:

* ``timing``     samples of several contenders, taken in turn, and their medians
* ``table``      rows with a measurement, a target and the word "reached" or "missed", as plain text
* ``numpy_way``  what numpy does about the same tasks
* ``core``       ``python -m loadgen.bench.core``; the one module here that imports ``aggregation``
* ``abuse``      ``python -m loadgen.bench.abuse``: a normal client beside those that misbehave
"""
