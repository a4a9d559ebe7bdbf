"""What browsers and generators of clients are given: the dashboard, the API as a page and as a document.

It may import ``http``, ``api``, ``metrics`` and ``settings``. No price and no connection ever enters it.
"""
