"""The ordinary ways to do tenfold's job, written small and as somebody competent would: what it is timed against.

All have the interface of ``rival.Rival``: a batch in, eight windows out. Read in this order:

* ``rival``          the interface, and the contenders by name
* ``raw_numpy``      numpy over the raw window
* ``running``        running sums and monotonic deques in plain Python
* ``tree``           a segment tree, its levels updated by numpy
* ``duck``           DuckDB, SQL over the newest rows
* ``polars_tail``    polars, tails of a series
* ``pandas_tail``    pandas, likewise
* ``fastapi_service``  the segment tree behind FastAPI and uvicorn, with tenfold's API
"""
