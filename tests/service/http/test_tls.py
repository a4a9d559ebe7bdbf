"""HTTPS: what is served over it, what a handshake may take, and what is said at the start."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from service.api.access import Guard
from service.processes.entrance import CertificateError, Entrance, server_context, warn_if_exposed
from service.processes.serve import serve
from service.settings import Settings
from tests.support.credentials import Certificate, issue, token_file
from tests.support.process import Process, command, running, until
from tests.support.sockets import HEALTH, Wire, ask_once, last

REQUEST_SECONDS = 1.0
MAX_CONNECTIONS = 20
LATEST = REQUEST_SECONDS + 4.0
"""When a deadline must have been kept; the slack is for a busy machine."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return issue(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return issue(tmp_path_factory.mktemp("other"))


def options(certificate: Certificate) -> list[str]:
    limits = ("--request-seconds", str(REQUEST_SECONDS), "--max-connections", str(MAX_CONNECTIONS))
    return ["--workers", "1", "--max-k", "4", *limits, *certificate.options]


@pytest.fixture(scope="module")
def service(certificate: Certificate) -> Iterator[Process]:
    with running(*options(certificate)) as process:
        assert process.url.startswith("https://127.0.0.1:")
        assert not any(" WARNING " in line for line in process.log), "on this address nobody else reaches it"
        lines = len(process.log)
        yield process
        told = [line.split(" ", 3)[3] for line in process.log[lines:]]
        assert all(re.match(r"symbol TLS created|(refused|closed) \d+ connections", line) for line in told)
        assert process.stop() == 0


@pytest.fixture(scope="module")
def context(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate.ca)


def test_a_batch_and_its_statistics_over_tls(service: Process, context: ssl.SSLContext) -> None:
    """A client that trusts the authority adds a large batch and asks for its statistics, over one connection."""
    values = [number / 7 for number in range(10_000)]
    with httpx.Client(base_url=service.url, verify=context) as client:
        before = client.get("/health/").json()["symbols"]
        receipt = client.post("/add_batch/", json={"symbol": "TLS", "values": values})
        assert receipt.json() == {"symbol": "TLS", "added": 10_000, "count": 10_000}
        stats = client.get("/stats/", params={"symbol": "TLS", "k": 4}).json()
        assert (stats["min"], stats["max"], stats["last"]) == (values[0], values[-1], values[-1])
        assert client.get("/health/").json()["symbols"] == before + 1


def test_a_client_that_does_not_trust_the_authority_does_not_connect_over_tls(service: Process) -> None:
    """The certificate is the one that was given: nobody who does not know its authority accepts it."""
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(service.url)


def test_old_protocols_of_tls_are_not_spoken(
    service: Process, context: ssl.SSLContext, certificate: Certificate
) -> None:
    """TLS 1.2 and 1.3 are served, and 1.1 is not."""
    with Wire(service.port, tls=context) as wire:
        assert wire.tls_version == "TLSv1.3"
    second = ssl.create_default_context(cafile=certificate.ca)
    second.maximum_version = ssl.TLSVersion.TLSv1_2
    with Wire(service.port, tls=second) as wire:
        assert wire.tls_version == "TLSv1.2"
    own = server_context(str(certificate.cert), str(certificate.key))
    assert own.minimum_version == ssl.TLSVersion.TLSv1_2


def test_every_tls_connection_is_served_from_its_first_byte(service: Process, context: ssl.SSLContext) -> None:
    """However soon a client's first bytes follow its connection, none is lost between acceptance and handshake."""
    for _ in range(30):
        assert ask_once(service.port, last(HEALTH), tls=context).status == 200


@pytest.mark.parametrize(
    "data",
    [HEALTH, b"GARBAGE\r\n" * 5, b"\x16\x03\x01\x00\x05hello", bytes(40)],
    ids=["plain HTTP", "garbage", "broken hello", "zeros"],
)
def test_what_is_no_tls_handshake_is_closed_at_once(service: Process, context: ssl.SSLContext, data: bytes) -> None:
    """Plain HTTP and garbage are not waited for until the deadline, and not logged; the fixture sees to the latter."""
    quickest = LATEST
    for _ in range(3):  # on a busy machine one may be slow
        with Wire(service.port) as wire:
            began = time.monotonic()
            wire.send(data)
            wire.rest()
            quickest = min(quickest, time.monotonic() - began)
    assert quickest < REQUEST_SECONDS / 2
    assert httpx.get(f"{service.url}/health", verify=context).status_code == 200


@pytest.mark.parametrize("dribble", [False, True], ids=["silent", "a byte at a time"])
def test_a_tls_handshake_that_never_ends_is_cut_off_at_its_deadline(service: Process, dribble: bool) -> None:
    """A client that connects and does not get on with its handshake is closed at the deadline of a request."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".ljust(256, b"\0")  # of 512 bytes: the rest never comes
    began = time.monotonic()
    with Wire(service.port) as wire:
        if dribble:
            wire.exchange((bytes([byte]) for byte in hello), pause=0.02)
        else:
            wire.rest()
    assert REQUEST_SECONDS * 0.9 <= time.monotonic() - began < LATEST


def test_unfinished_tls_handshakes_do_not_pile_up(service: Process, context: ssl.SSLContext) -> None:
    """As many handshakes may be under way as connections may be; the oldest makes room. Those in place are served."""
    until(lambda: service.connections() <= 1, LATEST)  # what earlier tests left
    with ExitStack() as wires:
        in_place = wires.enter_context(Wire(service.port, tls=context))
        silent = [wires.enter_context(Wire(service.port)) for _ in range(5 * MAX_CONNECTIONS)]
        began = time.monotonic()
        closed = 0
        for wire in silent[: 2 * MAX_CONNECTIONS]:
            closed += wire.rest() == b"" and time.monotonic() - began < REQUEST_SECONDS * 0.9
        assert closed == 2 * MAX_CONNECTIONS
        assert service.connections() <= 2 * MAX_CONNECTIONS + 1
        assert in_place.ask(HEALTH).status == 200
        assert httpx.get(f"{service.url}/health", verify=context).status_code == 200
        for wire in silent:
            wire.rest()
    assert httpx.get(f"{service.url}/health", verify=context).status_code == 200


def test_the_cap_of_connections_is_503_over_tls(service: Process, context: ssl.SSLContext) -> None:
    """One connection more than the cap gets 503 and is closed, though it never says goodbye; the others are served."""
    until(lambda: service.connections() == 0, LATEST)
    with ExitStack() as wires:
        in_place = [wires.enter_context(Wire(service.port, tls=context)) for _ in range(MAX_CONNECTIONS)]
        for wire in in_place:
            assert wire.ask(HEALTH).status == 200
            wire.send(HEALTH[:10])  # who is idle would make room
        newcomers = [wires.enter_context(Wire(service.port, tls=context)) for _ in range(3)]
        assert {newcomer.answer().status for newcomer in newcomers} == {503}
        assert in_place[-1].ask(HEALTH[10:]).status == 200
        assert all(newcomer.ends() for newcomer in newcomers)
        until(lambda: service.connections() <= MAX_CONNECTIONS, LATEST)


def test_deadlines_hold_over_tls_408_and_never_reading(service: Process, context: ssl.SSLContext) -> None:
    """A request that never ends gets 408, and a client that never reads is held back and cut off."""
    with Wire(service.port, tls=context) as slow, Wire(service.port, tls=context, receive_buffer=4096) as deaf:
        slow.send(HEALTH[:10])
        assert deaf.flood(HEALTH * 100, 6 * LATEST) < 64 * 1024 * 1024, "it was to be held back"
        assert slow.last_answer().status == 408


def test_the_last_answers_are_not_cut_off_over_tls_pipelining(service: Process, context: ssl.SSLContext) -> None:
    """Whatever was answered before a connection closes arrives, also when the client takes it slowly."""
    requests = 1000
    with Wire(service.port, tls=context, receive_buffer=4096) as wire:
        wire.send(HEALTH * (requests - 1) + last(HEALTH))
        for _ in range(requests):
            assert wire.answer().status == 200
            time.sleep(0.0005)
        assert wire.ends()


def test_idle_keep_alive_timeout_and_sigterm_over_tls_wait_for_nobody(
    certificate: Certificate, context: ssl.SSLContext
) -> None:
    """A silent client is closed when idle too long; at a stop neither it nor an unfinished handshake is waited for."""
    with running(*options(certificate), idle_seconds=1) as process, ExitStack() as wires:
        for silent in (True, False):
            wire = wires.enter_context(Wire(process.port, tls=context))
            assert silent or wire.ask(HEALTH).status == 200
            assert wire.rest() == b""
        until(lambda: process.connections() == 0, LATEST)
        idle = wires.enter_context(Wire(process.port, tls=context))
        for _ in range(3):
            wires.enter_context(Wire(process.port)).send(b"\x16")
        until(lambda: process.connections() == 4, REQUEST_SECONDS / 2)
        lines = len(process.log)
        assert process.stop() == 0
        assert idle.rest() == b""
        told = [line.split(" ", 3)[3] for line in process.log[lines:]]
        assert [line for line in told if line.startswith("stop")] == ["stopping\n", "stopped\n"]
        assert all(line.startswith(("stop", "closed ")) for line in told)


def useless(folder: Path, good: Certificate, other: Certificate) -> dict[str, tuple[Path, Path, str]]:
    """Certificates and keys that are of no use, and why."""
    encrypted_key, garbage, empty = folder / "encrypted.pem", folder / "garbage.pem", folder / "empty.pem"
    key = load_pem_private_key(good.key.read_bytes(), None)
    encrypted_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    garbage.write_bytes(b"-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n")
    empty.write_bytes(b"")
    return {
        "no certificate": (folder / "none.pem", good.key, "No such file or directory"),
        "no key": (good.cert, folder / "none.pem", "No such file or directory"),
        "a folder": (folder, good.key, "Is a directory"),
        "mismatched": (good.cert, other.key, "the key is another certificate's"),
        "garbage for a certificate": (garbage, good.key, "not a certificate and its private key in PEM"),
        "garbage for a key": (good.cert, garbage, "not a certificate and its private key in PEM"),
        "empty certificate": (empty, good.key, "not a certificate and its private key in PEM"),
        "exchanged": (good.key, good.cert, "not a certificate and its private key in PEM"),
        "encrypted": (good.cert, encrypted_key, "is encrypted"),
    }


def test_bad_tls_certificates_are_refused(tmp_path: Path, certificate: Certificate, other: Certificate) -> None:
    """Whatever is wrong with certificate or key is said in one line that names the file; no phrase is asked for."""
    for name, (cert, key, reason) in useless(tmp_path, certificate, other).items():
        with pytest.raises(CertificateError) as refused:
            server_context(str(cert), str(key))
        assert reason in str(refused.value), name
        assert str(cert) in str(refused.value) or str(key) in str(refused.value), name
        assert len(str(refused.value).splitlines()) == 1


def test_a_bad_tls_certificate_is_one_line_and_exit_code_2(certificate: Certificate, other: Certificate) -> None:
    """The real process ends before it forks anything, with one line."""
    done = command("--port", "0", *certificate._replace(key=other.key).options)
    assert done.returncode == 2
    assert done.stderr == (
        f"tenfold: cannot use {certificate.cert} with {other.key}: the key is another certificate's\n"
    )


@pytest.mark.parametrize("half", [{"cert": "cert.pem"}, {"key": "key.pem"}])
def test_a_tls_certificate_without_its_key_is_refused(half: dict[str, str]) -> None:
    """A certificate without its key, or the other way around, does not end in serving plain HTTP."""
    with pytest.raises(click.UsageError, match="--cert and --key go together"):
        serve(Settings(port=0, **half))  # type: ignore[arg-type]


def warnings_at_start(*arguments: str) -> list[str]:
    with running("--host", "0.0.0.0", "--workers", "1", "--max-k", "2", *arguments) as process:  # noqa: S104 - the point
        return [line for line in process.log if " WARNING " in line]


def test_an_open_door_without_token_or_tls_is_warned_of(tmp_path: Path) -> None:
    """On an address that others reach, serving without tokens is one warning, and tokens in clear text another."""
    (line,) = warnings_at_start()
    assert "--token-file" in line
    (line,) = warnings_at_start(*token_file(tmp_path, read="0123456789abcdef"))
    assert "clear text" in line
    assert "0123456789abcdef" not in line


def test_a_door_with_token_and_tls_is_not_warned_of(certificate: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    """With tokens and TLS there is nothing to warn of, wherever it listens."""
    tls = server_context(str(certificate.cert), str(certificate.key))
    warn_if_exposed(Entrance(Guard([]), tls), "0.0.0.0")  # noqa: S104 - the point
    assert caplog.records == []


@pytest.mark.parametrize(
    ("address", "warned"),
    [("127.0.0.1", 0), ("127.255.0.9", 0), ("::1", 0), ("::", 1), ("10.0.0.1", 1), ("fe80::1%eth0", 1)],
)
def test_which_addresses_others_reach(address: str, warned: int, caplog: pytest.LogCaptureFixture) -> None:
    """All of 127.0.0.0/8 and ::1 are this machine's own; any other address is not."""
    warn_if_exposed(Entrance(), address)
    assert len(caplog.records) == warned
