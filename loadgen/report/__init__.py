"""What a run has found, for people and for programs. Nothing is measured here.

* ``tables``  tables, sentences, JSON and CSV; ``plot``  PNG; ``live``  the terminal while it runs
"""
