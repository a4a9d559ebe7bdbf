"""One module a resource. Each makes its handler from the parts that it needs; ``app`` gives it its path."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from sanic import HTTPResponse

Handler = Callable[..., Coroutine[Any, Any, HTTPResponse]]
"""What ``app`` adds as a route."""
