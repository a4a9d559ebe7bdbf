"""The whole document: OpenAPI 3.1, one object."""

from __future__ import annotations

from typing import Final

from service import VERSION
from service.settings import Settings

from .answers import responses
from .operations import TAGS, paths
from .schemas import Json, schemas

_ABOUT: Final = """\
What the last 10, 100, … 10^{max_k} prices of an instrument look like: minimum, maximum, last, average and variance. \
Producers post batches of prices, dashboards ask for windows, and an answer costs the same for every window.

Every path is served with and without the slash at its end. Other methods than those listed get 405 with `Allow`.

Errors are `application/problem+json` with one sentence that says what is wrong. A refused request changes nothing."""


def openapi(settings: Settings) -> Json:
    """The document of a service with these settings."""
    components: Json = {"schemas": schemas(settings), "responses": responses(settings)}
    if settings.token_file is not None:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the service's token file."}
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tenfold",
            "version": VERSION,
            "summary": "Exact statistics over the last 10^k prices",
            "description": _ABOUT.format(max_k=settings.max_k) + _shared(settings),
        },
        "servers": [{"url": "/", "description": "The service that this document comes from"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths(settings),
        "components": components,
    }


def _shared(settings: Settings) -> str:
    """Whose pages may read answers, if any may."""
    pages = " and ".join(f"`{origin}`" for origin in settings.allow_origin)
    return f"\n\nPages of {pages} may ask from a browser, too." if pages else ""
