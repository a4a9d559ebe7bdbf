"""An operation as a command to paste, made from the examples of its parameters and its body."""

from __future__ import annotations

import json
import shlex
from typing import Final
from urllib.parse import quote, urlencode

from .schemas import Json

ADDRESS: Final = "http://127.0.0.1:8000"
"""Of the service, by default. The page puts the origin that it came from in its place."""


def command(method: str, path: str, operation: Json) -> str:
    """The command, for a service at ``ADDRESS``; where a token is needed it is in ``$TOKEN``."""
    query = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe=""))
        elif "example" in parameter:
            query[parameter["name"]] = parameter["example"]
    target = f"{path}?{urlencode(query)}" if query else path
    words = [f'curl "{ADDRESS}{target}"']
    if method not in {"get", "post"}:
        words.append(f"-X {method.upper()}")
    if "security" in operation:
        words.append('-H "Authorization: Bearer $TOKEN"')
    if "requestBody" in operation:
        media_type, content = next(iter(operation["requestBody"]["content"].items()))
        words.append(f"-H 'Content-Type: {media_type}'")
        words.append(f"-d {shlex.quote(json.dumps(content['example'], ensure_ascii=False))}")
    return " \\\n     ".join(words)
