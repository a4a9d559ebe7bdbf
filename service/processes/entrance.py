"""What decides who comes in and how: tokens and certificate, loaded once, before any worker is forked.

A worker that is replaced later finds them in memory, whatever has become of the files.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from ipaddress import ip_address

from service.api.access import Guard, read_tokens
from service.http.tls import server_context
from service.logs import OWN
from service.settings import Settings

log = logging.getLogger(OWN)


@dataclass(frozen=True)
class Entrance:
    """How clients come in: past a guard, or as they like; encrypted, or in clear text."""

    guard: Guard | None = None
    tls: ssl.SSLContext | None = None


def open_entrance(settings: Settings) -> Entrance:
    """Load what the settings name.

    Raises:
        TokenFileError, CertificateError: it is of no use, in words for the user.
    """
    guard = None if settings.token_file is None else Guard(read_tokens(settings.token_file))
    tls = None if settings.cert is None or settings.key is None else server_context(settings.cert, settings.key)
    return Entrance(guard, tls)


def warn_if_exposed(entrance: Entrance, address: str) -> None:
    """Say so if other machines can reach the address and need no token, or send theirs in clear text."""
    if ip_address(address).is_loopback:
        return
    if entrance.guard is None:
        log.warning("whoever can reach %s may read, add and delete prices; --token-file says who may", address)
    elif entrance.tls is None:
        log.warning("tokens travel to %s in clear text; --cert and --key encrypt them", address)
