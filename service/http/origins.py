"""Pages of other origins: which of them may read what is answered (CORS, as the Fetch standard of WHATWG has it).

A browser shows a page the answer of another origin only if the answer names the origin of the page. Before a request
that no form could send, with a token, a JSON body or another method than GET and POST, the browser asks by itself
whether it may: a preflight, which carries no token. Where no origin is allowed, nothing of this is said.

Every answer has these headers, refusals too, but for the 503 of a connection that is one too many: it is told so before
it has said anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sanic import Request

VARY: Final = {"vary": "Origin"}
"""Whatever the answer says of origins, it says to this one: a cache must not give it to another."""

EXPOSED: Final = "retry-after, www-authenticate, tenfold-from, tenfold-count"
"""What a page may read beside the few headers that it always may."""

MAX_AGE_SECONDS: Final = 7200
"""So long a browser need not ask again; Chromium remembers it for no longer."""

PREFLIGHT: Final = {
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": str(MAX_AGE_SECONDS),
}


class Origins:
    """Tells browsers which pages may read an answer.

    Args:
        allowed: origins as browsers write them.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = {
            origin: {"access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED} | VARY
            for origin in allowed
        }

    def headers(self, request: Request[Any, Any]) -> Mapping[str, str]:
        """What an answer to this request says of origins; nothing where none is allowed."""
        if not self._allowed:
            return {}
        named = request.headers.getall("origin", ())
        return self._allowed.get(named[0].strip(" \t"), VARY) if len(named) == 1 else VARY

    def preflight(self, request: Request[Any, Any], methods: str) -> dict[str, str] | None:
        """The headers of a good answer to a preflight, beside those of any; None if it is none of an allowed origin.

        Args:
            request: for a path that does not serve its method.
            methods: that are served there.
        """
        asks = request.method == "OPTIONS" and "access-control-request-method" in request.headers
        if not asks or "access-control-allow-origin" not in self.headers(request):
            return None
        return {"access-control-allow-methods": methods} | PREFLIGHT
