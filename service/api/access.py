"""Who may read and who may write: tokens from a file, and what is wrong with a request that needs one.

Bearer tokens as in RFC 6750. Where no token file is given there is no check at all; see ``app``.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from enum import IntEnum
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

from .problems import Problem

LEAST_TOKEN: Final = 16
"""Characters: 64 bits even as hexadecimal digits, beyond guessing over a network."""

MOST_TOKEN: Final = 512
"""Characters: well within the 8 KiB that a request's head may have."""

MOST_FILE_BYTES: Final = 256 * 1024
"""A token file is a few lines; a device that never ends, given by mistake, must not fill the memory."""

SYNTAX: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1: what a header can carry as a bearer token."""


class Scope(IntEnum):
    """What a token allows; each includes the ones before."""

    NOTHING = 0
    READ = 1
    WRITE = 2


class Token(NamedTuple):
    """A secret and what it allows."""

    secret: bytes
    scope: Scope


class TokenFileError(Exception):
    """The token file is of no use, in words for the user; never with what stands in it."""


def read_tokens(path: str) -> list[Token]:
    """Read a file of lines ``read TOKEN`` and ``write TOKEN``; blank lines and lines that begin with # are ignored.

    Raises:
        TokenFileError: it cannot be read, or something in it is wrong.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise TokenFileError(f"cannot read the token file {path}: {reason}") from error
    try:
        return _parse(content)
    except ValueError as error:
        raise TokenFileError(f"cannot use the token file {path}: {error}") from error


def _parse(content: bytes) -> list[Token]:
    """The tokens of a file. Raises ValueError with the reason."""
    if len(content) > MOST_FILE_BYTES:
        raise ValueError(f"it is larger than {MOST_FILE_BYTES // 1024} KiB")
    tokens: list[Token] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        if len(words) != 2 or words[0] not in {b"read", b"write"}:  # noqa: PLR2004 - the word and the token
            raise ValueError(f'line {number} is neither "read TOKEN" nor "write TOKEN"')
        secret = words[1]
        if not LEAST_TOKEN <= len(secret) <= MOST_TOKEN:
            raise ValueError(f"the token in line {number} does not have {LEAST_TOKEN} to {MOST_TOKEN} characters")
        if not SYNTAX.fullmatch(secret):
            raise ValueError(
                f"the token in line {number} has characters other than letters, digits and -._~+/ with = at its end"
            )
        if any(secret == token.secret for token in tokens):
            raise ValueError(f"the token in line {number} stands there twice")
        tokens.append(Token(secret, Scope.READ if words[0] == b"read" else Scope.WRITE))
    if not tokens:
        raise ValueError("there is no token in it")
    return tokens


def _refusal(status: HTTPStatus, detail: str, challenge: str) -> Problem:
    return Problem(status, detail, headers={"www-authenticate": f"Bearer{challenge}"})


NO_TOKEN: Final = _refusal(HTTPStatus.UNAUTHORIZED, "A token is needed: Authorization: Bearer TOKEN.", "")
UNKNOWN_TOKEN: Final = _refusal(HTTPStatus.UNAUTHORIZED, "This token is not known.", ' error="invalid_token"')
SEVERAL: Final = _refusal(HTTPStatus.BAD_REQUEST, "Authorization is given more than once.", ' error="invalid_request"')
READ_ONLY: Final = _refusal(
    HTTPStatus.FORBIDDEN, "This token may read, but not write.", ' error="insufficient_scope", scope="write"'
)


class Guard:
    """Knows the tokens, and lets nobody past without one.

    How long a check takes depends on how many tokens there are and how long they are, not on what they are: all are
    compared, each in constant time.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tuple(tokens)

    def scope(self, secret: bytes) -> Scope:
        """What a token allows. O(tokens)."""
        found = 0
        for token in self._tokens:
            found |= hmac.compare_digest(token.secret, secret) * token.scope
        return Scope(found)

    def become(self, other: Guard) -> None:
        """Know the tokens of another instead."""
        self._tokens = other._tokens

    def strongest(self) -> bytes:
        """The secret of a token that allows as much as any."""
        return max(self._tokens, key=lambda token: token.scope).secret

    def refuse(self, authorization: Sequence[str], needed: Scope) -> Problem | None:
        """What is wrong with the values of a request's Authorization headers, or None."""
        if not authorization:
            return NO_TOKEN
        if len(authorization) > 1:
            return SEVERAL
        scheme, _, credentials = authorization[0].strip(" \t").partition(" ")
        if scheme.lower() != "bearer":
            return NO_TOKEN
        # A head is decoded with surrogates in place of bytes that are not UTF-8; this takes them back.
        scope = self.scope(credentials.strip(" ").encode(errors="surrogateescape"))
        if scope is Scope.NOTHING:
            return UNKNOWN_TOKEN
        return None if scope >= needed else READ_ONLY
