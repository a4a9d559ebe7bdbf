"""Certificates of an authority that is made up for a test, and tokens, as files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import trustme


class Certificate(NamedTuple):
    """A certificate for this machine, its private key, and the authority that vouches for it: paths of PEM files."""

    cert: Path
    key: Path
    ca: Path

    @property
    def options(self) -> tuple[str, ...]:
        """To serve with it."""
        return ("--cert", str(self.cert), "--key", str(self.key))


def issue(folder: Path) -> Certificate:
    """Make an authority and have it issue a certificate for 127.0.0.1 and localhost."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = Certificate(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    files.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    files.key.write_bytes(issued.private_key_pem.bytes())
    files.ca.write_bytes(authority.cert_pem.bytes())
    return files


def token_file(folder: Path, **tokens: str) -> tuple[str, ...]:
    """The options that have a service ask for tokens: one that may ``read``, one that may ``write``, or both."""
    path = folder / "tokens"
    path.write_text("".join(f"{scope} {token}\n" for scope, token in tokens.items()))
    return ("--token-file", str(path))
