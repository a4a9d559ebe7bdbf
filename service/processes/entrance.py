"""What decides who comes in and how: tokens and certificate, loaded before any worker is forked, and upon SIGHUP.

A worker that is replaced later finds them in memory, whatever has become of the files.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

from service.api.access import Guard, read_tokens
from service.logs import OWN
from service.settings import Settings

log = logging.getLogger(OWN)


class CertificateError(Exception):
    """The certificate or its key is of no use, in words for the user."""


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """The context of a server with this certificate. TLS 1.2 and newer, as Python's defaults choose them.

    Raises:
        CertificateError: one of the files cannot be read or used, or they do not belong together.
    """
    for path in (cert, key):
        try:
            with Path(path).open("rb"):
                pass
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise CertificateError(f"cannot read {path}: {reason}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client of TLS 1.2 could make us compute for ever
    context.set_alpn_protocols(["http/1.1"])

    def refuse_to_ask() -> NoReturn:
        raise CertificateError(f"the key in {key} is encrypted: give one that is not")

    try:
        context.load_cert_chain(cert, key, refuse_to_ask)
    except OSError as error:  # of which ssl.SSLError is one
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        reason = "the key is another certificate's" if mismatch else "not a certificate and its private key in PEM"
        raise CertificateError(f"cannot use {cert} with {key}: {reason}") from error
    return context


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
