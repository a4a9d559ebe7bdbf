"""Load among kills and crowds, and what is left afterwards.

* ``crowd``    clients that misbehave
* ``trouble``  workers that are killed and stopped, and crowds, by a seed
* ``soak``     all of it at once, and the verdict
"""
