"""What stands outside of tenfold and looks at it: simulated producers and dashboards, the oracle, the benchmarks.

What checks tenfold must not share its arithmetic, so it imports neither ``aggregation`` nor ``service``, but for two
things: the command line speaks as the service's does (``service.commands``, and the version), and the benchmark of the
core imports ``aggregation`` in a module of its own.

A run has three kinds of processes. A *sender* owns the sockets and the clock and does nothing else that takes time. Its
*clerk* makes the bodies before they are due and judges the answers afterwards. The *parent* adds up what both report,
shows it and writes it down. Read in this order:

* ``plan``      everything that a run is told, and how options are read
* ``prices``    seeded streams of prices and batches
* ``wire``      prices to a request, an answer to its numbers
* ``oracle``    what the answer must be: numpy over what was sent
* ``ledger``    which states of a symbol an answer may come from, and the verdict
* ``recorder``  histograms of latencies
* ``tally``     what a sender has seen, by second and in all
* ``schedule``  when what is due: open and closed model
* ``lane``      requests that wait for one another, and how late the generator itself is
* ``client``    HTTP/1.1 over one socket, without waiting and with
* ``messages``  what the processes tell one another, and the memory that two of them share
* ``clerk``, ``sender``  the two processes that do the work
* ``outcome``   the figures of a run, added up, and how it went
* ``slo``       objectives
* ``run``       starts the processes and listens to them
* ``report``, ``plots``, ``view``  tables, JSON and CSV; PNG; the live terminal
* ``launch``    a service of our own, looked at through /proc
* ``abuse``, ``trouble``, ``soak``  clients that misbehave; kills and crowds; load among them, and what is left
* ``check``, ``replay``, ``reproduce``  the other commands
* ``__main__``  the command line
"""
