"""The API in its own words: the OpenAPI document, and the page made from it.

Both are made once, at the start, from the settings of the service that answers, so their limits are its limits. Read
``document`` (the whole), ``operations`` (what can be asked), ``answers`` (what comes back, good or bad), ``schemas``
(what is in it: made of ``service.api.documents``), then ``page`` (the document as HTML).
"""
