"""Benchmarks that run contenders side by side.

* ``table``      rows with a measurement, what is claimed, and the word "reached" or "missed", as plain text
* ``timing``, ``numpy_way``, ``core``  ``python -m loadgen.bench.core``: the library alone, beside numpy
* ``plans``      ``python -m loadgen.bench.plans``: plans of load, with one worker and two, in quiet and beside crowds
* ``beside/``    ``python -m loadgen.bench``: tenfold beside bare Sanic and beside the ordinary ways
"""
