"""tenfold over HTTP.

Read in this order:

* ``settings``   every option, its default and its bounds
* ``wire``       bytes to a batch or a problem; statistics to bytes
* ``problems``   what errors look like
* ``strict``, ``whole``, ``limits``: the connection: its grammar, reading and writing in one piece, deadlines and caps
* ``logs``       what reaches the log, and in which form
* ``compactor``  the write-behind step, after the answer is on its way
* ``routes``     one small module a resource
* ``access``     who may read and who may write
* ``app``        the parts put together
* ``worker``     one process that serves
* ``supervisor`` the parent that starts, replaces and stops the workers
* ``entrance``   tokens and certificate, loaded once; ``tls``: connections until they are encrypted
* ``listeners``  their sockets; ``machine``: how much memory is left
* ``serve``      from settings to a running tenfold; ``__main__``: the command line
"""
