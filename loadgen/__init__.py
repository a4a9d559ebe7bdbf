"""What stands outside of tenfold and looks at it: simulated producers and dashboards, the oracle, the benchmarks.

It imports neither ``aggregation`` nor ``service``: what checks tenfold must not share its arithmetic. The one exception
is a benchmark of the core, which may import ``aggregation`` in a module of its own.
"""
