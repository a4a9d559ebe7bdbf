"""Framing that the framework lets pass and that we refuse, because a proxy in front may read it differently.

What two parsers read differently is how requests are smuggled past the first one (RFC 9112, section 11.2).
"""

from __future__ import annotations

import re
from typing import Final

DIGITS: Final = {10: re.compile("[0-9]{1,18}"), 16: re.compile("[0-9a-fA-F]{1,15}")}
"""Numbers as the grammar has them. int() also takes digits of other scripts, white space, and 0x in front."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"

HEAD: Final = re.compile(
    rb"%b [!-~]++ HTTP/1\.[01](?:\r\n%b:[\t ]*+(?:[!-~][\t -~\x80-\xff]*+)?+)*+" % (_TOKEN, _TOKEN)
)
"""Request line and headers as the grammar has them: no header is folded, no white space before a colon, no control
character anywhere, and no value begins with what is white space only beyond ASCII, which the framework would strip."""


BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
"""The end of a line for many a client, but not for HTTP/1.1."""

HEAD_END: Final = b"\r\n\r\n"

HOST_LINE: Final = re.compile(rb"\r\nhost:([^\r]*)", re.IGNORECASE)

HOST: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*|\[(?:[0-9A-Fa-f:.]+|v[0-9A-Fa-f]+\.[A-Za-z0-9._~:-]+)\])"
    rb"(?::[0-9]*)?"
)
"""A name or an address, and perhaps a port: RFC 3986, section 3.2. It may be empty."""

AUTHORITY: Final = re.compile(rb"https?://(?!:)([^/?#]+)", re.IGNORECASE)
"""The beginning of a target in absolute form, as a client sends it to a proxy."""

_OPTION: Final = rb"\r\nconnection:(?:[^\r]*[ \t,])?%b[ \t]*(?=[,\r]|$)"
CLOSE: Final = re.compile(_OPTION % b"close", re.IGNORECASE)
KEEP_ALIVE: Final = re.compile(_OPTION % b"keep-alive", re.IGNORECASE)
"""Among the options of any Connection header; the framework looks at the last header only, and knows one option."""

CODING_LINE: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)

CHUNK_LINE: Final = re.compile(rb"\r\n[0-9A-Fa-f]{1,15}[\t ]*+(?:;[\t -~\x80-\xff]*+)?+")
"""What stands before a chunk, the end of the one before it included. Extensions are ignored, but for their grammar."""


def is_well_formed(head: bytes) -> bool:
    """Whether the head of a request is as the grammar has it, in what it leaves to other rules, too.

    It has exactly one Host, or none before HTTP/1.1 (RFC 9112, section 3.2), which had no Transfer-Encoding either
    (6.1), and its target is a path, or a whole URL, or, of OPTIONS, a star (3.2).
    """
    if not HEAD.fullmatch(head) or not _has_target(*head.split(b" ", 2)[:2]):
        return False
    if _is_old(head) and CODING_LINE.search(head):
        return False
    hosts = HOST_LINE.findall(head)
    if not hosts:
        return _is_old(head)
    return len(hosts) == 1 and HOST.fullmatch(hosts[0].strip(b" \t")) is not None


def is_last(head: bytes) -> bool:
    """Whether no request may follow on the connection: RFC 9112, section 9.3."""
    return CLOSE.search(head) is not None or (_is_old(head) and not KEEP_ALIVE.search(head))


def _is_old(head: bytes) -> bool:
    """Whether it is of HTTP/1.0."""
    return head.split(b"\r\n", 1)[0].endswith(b"HTTP/1.0")


def _has_target(method: bytes, target: bytes) -> bool:
    if target.startswith(b"/"):
        return True
    authority = AUTHORITY.match(target)
    if authority is None:
        return (method, target) == (b"OPTIONS", b"*")
    return HOST.fullmatch(authority[1]) is not None
