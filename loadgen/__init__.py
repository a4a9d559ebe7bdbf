"""What stands outside of tenfold and looks at it: simulated producers and dashboards, the oracle, the benchmarks.

What checks tenfold must not share its arithmetic. Only the command line imports ``service`` (it speaks as the
service's does, and has its version), and only two benchmarks of the library import ``aggregation``: ``bench.core`` and
``bench.beside.ours``.

A run has three kinds of processes. A *sender* owns the sockets and the clock and does nothing else that takes time. Its
*clerk* makes the bodies before they are due and judges the answers afterwards. The *parent* adds up what both report,
shows it and writes it down. The rooms, from the bottom up; each imports only what stands before it:

* ``plan``      everything that a run is told, and how options are read
* ``prices``    seeded streams of prices and batches
* ``launch``    a service of our own, looked at through /proc
* ``wire/``     prices to a request, an answer to its numbers, sockets
* ``truth/``    what the answer must be, and the verdict
* ``load/``     a run: its processes, its clock, its figures
* ``commands/`` check, replay, reproduce, audit
* ``report/``   tables, JSON and CSV; PNG; the live terminal
* ``soak/``     load among kills and crowds, and what is left
* ``bench/``    tenfold beside others, and the library alone
* ``__main__``  the command line
"""
