"""Bytes: what is asked and answered, and the sockets that it goes over. No arithmetic on prices enters.

* ``requests``  prices to a request, an answer to its numbers
* ``client``    HTTP/1.1 over one socket, without waiting and with
"""
