"""What an answer must be. No process and no clock enters; the witness alone holds a socket.

* ``oracle``   numpy over what was sent
* ``ledger``   which states of a symbol an answer may come from, and the verdict
* ``witness``  one symbol, asked and judged step by step
"""
