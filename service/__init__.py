"""tenfold over HTTP.

A folder is a room, and its name says what may stand in it. Who may import whom, from the top down:

* ``__main__``    the command line
* ``processes/``  who runs: ``serve`` starts it all; the supervisor, its workers, their sockets, tokens and certificate
* ``app``         the parts of a worker put together: routes, handlers, compactor
* ``pages/``      what browsers see: the dashboard, and the API described
* ``http/``       how bytes come in and go out: connections and their states, limits, heads, TLS, Sanic's handlers
* ``api/``        what is asked and what is answered: batches, queries, documents, problems, a function a resource
* ``metrics/``    what is watched: counters that all workers share, how they are written down, alerts
* ``machine``, ``settings``, ``commands``, ``logs``, ``relay``: the memory that is left, every option, how a command
  line speaks, what reaches the log, and how

Read ``settings``, then ``api/`` from ``resources`` on: that is what tenfold does. ``http/`` and ``processes/`` are how.
"""

from typing import Final

VERSION: Final = "0.2.0"
"""Where everything that has a version takes it from, pyproject.toml too."""
