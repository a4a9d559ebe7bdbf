"""What is asked and what is answered: batches, queries, documents, problems, tokens; a function a resource.

It may import ``metrics`` and what stands beside the rooms. No socket, no coroutine and no framework ever enters it.
"""
