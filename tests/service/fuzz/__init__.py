"""Requests that hypothesis makes up, against the real service and against statements of the same rules made anew.

* ``effort``        how much is tried: a little, always the same, in the suite; more, always other, in ``make fuzz``
* ``reader``        what a batch and a query are, written down a second time, slowly and exactly
* ``documents``     bodies: batches in odd clothes, spliced, mutated, or not even text
* ``streams``       bytes of whole connections: requests in a row, with their framing broken here and there
* ``conversation``  sends them, and holds every answer to what is common to all
* ``__main__``      ``make fuzz``: round after round until the time is over
"""
