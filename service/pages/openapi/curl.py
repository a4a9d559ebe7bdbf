"""An operation as a command to paste, made from the examples of its parameters and its body."""

from __future__ import annotations

import json
import shlex
from typing import Final
from urllib.parse import quote, urlencode

from .schemas import Json

ADDRESS: Final = "TENFOLD"
"""The shell variable that holds the address of the service."""


def command(method: str, path: str, operation: Json) -> str:
    """The command; the address of the service is in ``$TENFOLD``."""
    query = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe=""))
        elif "example" in parameter:
            query[parameter["name"]] = parameter["example"]
    target = f"{path}?{urlencode(query)}" if query else path
    words = [f'curl "${ADDRESS}{target}"']
    if method not in {"get", "post"}:
        words.append(f"-X {method.upper()}")
    if "requestBody" in operation:
        media_type, content = next(iter(operation["requestBody"]["content"].items()))
        words.append(f"-H 'Content-Type: {media_type}'")
        words.append(f"-d {shlex.quote(json.dumps(content['example'], ensure_ascii=False))}")
    return " \\\n     ".join(words)
