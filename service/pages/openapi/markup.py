"""Pieces of HTML. Whatever is text becomes safe here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Final

LINE: Final = 100
"""Characters that an example may have to stand on one line."""


def prose(text: str) -> str:
    """Plain text, with `code` and powers such as 10^k in it."""
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\b10\^(\w+)", r"10<sup>\1</sup>", marked)


def paragraphs(text: str) -> str:
    """Text whose paragraphs are an empty line apart."""
    return "".join(f"<p>{prose(paragraph)}</p>" for paragraph in text.split("\n\n"))


def block(text: str, label: str) -> str:
    """A block that scrolls by itself, and so must be reachable with the keyboard."""
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}"><code>{escape(text)}</code></pre>'


def pretty(example: object) -> str:
    """JSON on one line where that is readable, else indented."""
    line = json.dumps(example, ensure_ascii=False)
    return line if len(line) <= LINE else json.dumps(example, ensure_ascii=False, indent=2)


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], label: str) -> str:
    """A table whose first column names its rows. Cells and heads are HTML; the label is for who cannot see it."""
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = ""
    for first, *others in rows:
        cells = "".join(
            f'<td data-head="{escape(name)}">{cell}</td>' for name, cell in zip(heads[1:], others, strict=True)
        )
        body += f'<tr><th scope="row">{first}</th>{cells}</tr>'
    caption = f'<caption class="aloud">{escape(label)}</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
