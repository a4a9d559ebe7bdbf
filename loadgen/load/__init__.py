"""A run: its processes, its clock, its figures. Nothing here is shown or written.

* ``recorder``  histograms of latencies, and what a sender has seen, by second and in all
* ``lane``      when what is due; requests that wait for one another, and how late the generator itself is
* ``messages``  what the processes tell one another, and the memory that two of them share
* ``clerk``, ``sender``  the two processes that do the work
* ``outcome``   the figures of a run, added up, objectives, and how it went
* ``run``       looks at the service, starts the processes and listens to them
"""
