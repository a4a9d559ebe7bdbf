"""tenfold over HTTP.

Read in this order:

* ``settings``   every option, its default and its bounds; ``commands``: how a command line speaks
* ``wire``       bytes to a batch or a problem; statistics to bytes
* ``problems``   what errors look like
* ``logs``       what reaches the log, and in which form
* ``connection`` a client's connection within ``limits`` (deadlines, caps) and ``budget`` (memory); the HTTP of it is in
  ``strict`` (its grammar), ``whole`` (reading and writing in one piece) and ``measured`` (counting); ``turns`` are for
  pipelined requests
* ``compactor``  the write-behind step, after the answer is on its way
* ``metrics``    what is counted, and the memory that the workers count it in; ``exposition``: how it is written down;
  ``monitoring``: a dashboard and alerts made of it
* ``routes``     one small module a resource
* ``access``     who may read and who may write
* ``pages``      what browsers are shown, and what they may do with it
* ``app``        the parts put together
* ``worker``     one process that serves
* ``supervisor`` the parent that starts, replaces and stops the workers
* ``entrance``   tokens and certificate, loaded once; ``tls``: connections until they are encrypted
* ``listeners``  their sockets; ``machine``: how much memory is left
* ``serve``      from settings to a running tenfold; ``__main__``: the command line
"""

from typing import Final

VERSION: Final = "0.1.0"
"""Where everything that has a version takes it from, pyproject.toml too."""
