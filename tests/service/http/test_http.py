"""Requests byte by byte over raw sockets: framing, limits and deadlines, against the real process."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.process import Process, running

REQUEST_SECONDS = 1.0
MAX_CONNECTIONS = 40
LATEST = REQUEST_SECONDS + 4.0
"""When a deadline must have been kept: half a second for the sweep, the rest is slack for a busy machine."""

BODY = b'{"symbol": "A", "values": [1]}'
HEAD = b"POST /add_batch HTTP/1.1\r\nHost: x\r\n"
LENGTH = str(len(BODY)).encode()
SIZE = f"{len(BODY):x}".encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n"

GOOD: dict[str, bytes] = {
    "Content-Length": HEAD + b"Content-Length: " + LENGTH + b"\r\n\r\n" + BODY,
    "chunked": CHUNKED + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunk extension": CHUNKED + SIZE + b";x=y\r\n" + BODY + b"\r\n0\r\n\r\n",
    "two chunks": CHUNKED
    + b"3\r\n"
    + BODY[:3]
    + b"\r\n"
    + f"{len(BODY) - 3:x}".encode()
    + b"\r\n"
    + BODY[3:]
    + b"\r\n0\r\n\r\n",
    "JSON": HEAD + b"Content-Type: application/json\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY,
    "JSON in UTF-8": HEAD
    + b"Content-Type: Application/JSON; Charset=utf-8\r\nContent-Length: "
    + LENGTH
    + b"\r\n\r\n"
    + BODY,
    "Expect": HEAD + b"Expect: 100-continue\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY,
}

BAD: dict[str, tuple[bytes, int]] = {
    "length and chunked": (HEAD + b"Content-Length: " + LENGTH + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, 400),
    "chunked and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY, 400),
    "two lengths": (HEAD + (b"Content-Length: " + LENGTH + b"\r\n") * 2 + b"\r\n" + BODY, 400),
    "a list of lengths": (HEAD + b"Content-Length: " + LENGTH + b", " + LENGTH + b"\r\n\r\n" + BODY, 400),
    **{
        f"length {length!r}": (HEAD + b"Content-Length: " + length + b"\r\n\r\n" + BODY, 400)
        for length in (b"+5", b"1_0", b"-1", b"0x1e", b"", b"5 5", "３０".encode(), b"9" * 30)
    },
    **{
        f"chunk size {size!r}": (CHUNKED + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n", 400)
        for size in (b"zz", b" 1e", b"-1e", b"+1e", b"1_e", b"", b"0x1e", "１e".encode(), b"F" * 30)
    },
    "chunk without its end": (CHUNKED + SIZE + b"\r\n" + BODY + b"XX0\r\n\r\n", 400),
    "chunk trailer": (CHUNKED + SIZE + b"\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n", 400),
    "gzip, chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "length beyond the limit": (HEAD + b"Content-Length: 2000000\r\n\r\n", 413),
    "unknown Expect": (HEAD + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\n", 417),
    "header without a colon": (b"GET /health HTTP/1.1\r\nHost x\r\n\r\n", 400),
    "white space before the colon": (b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "folded header": (HEALTH + b" folded: y\r\n\r\n", 400),
    "NUL in a header": (HEALTH + b"X: a\x00b\r\n\r\n", 400),
    "line feed in a header": (HEALTH + b"X: a\nb: c\r\n\r\n", 400),
    "carriage return in a header": (HEALTH + b"X: a\rb\r\n\r\n", 400),
    "escape in a header": (HEALTH + b"X: \x1b[2J\r\n\r\n", 400),
    "header name that is no token": (HEALTH + b"X(y): z\r\n\r\n", 400),
    "header without a name": (HEALTH + b": z\r\n\r\n", 400),
    "no-break space before a length": (HEAD + b"Content-Length: \xc2\xa0" + LENGTH + b"\r\n\r\n" + BODY, 400),
    "no-break space before chunked": (HEAD + b"Transfer-Encoding: \xc2\xa0chunked\r\n\r\n0\r\n\r\n", 400),
    "carriage return before the method": (b"\r" + HEALTH + b"\r\n", 400),
    "method that is no token": (b"GE(T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "control character in the URL": (b"GET /health?\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no Host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET /health HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", 400),
    "two Hosts in HTTP/1.0": (b"GET /health HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n", 400),
    "no Host of a batch": (HEAD.replace(b"Host: x\r\n", b"") + b"Content-Length: " + LENGTH + b"\r\n\r\n" + BODY, 400),
    **{
        f"Host {host!r}": (b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400)
        for host in (
            b"a b",
            b"a/b",
            b"user@x",
            b"x:port",
            b"x:1:2",
            b"[::1",
            b"::1",
            b"x%zz",
            b"<x>",
            b"x\xff",
            b"a, b",
        )
    },
    **{
        f"bare line feeds: {name}": (head, 400)
        for name, head in {
            "GET": b"GET /health HTTP/1.1\nHost: x\n\n",
            "POST": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: " + LENGTH + b"\n\n" + BODY,
            "after one good line": b"GET /health HTTP/1.1\r\nHost: x\n\n",
            "the last of them": b"GET /health HTTP/1.1\r\nHost: x\r\n\n",
        }.items()
    },
    "HTTP/2.0": (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "no slash": (b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "CONNECT": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "URL not ASCII": ("GET /stats?symbol=日&k=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
    "URL of 9,000 bytes": (b"GET /stats?symbol=A&k=" + b"1" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 413),
    "header of 20,000 bytes": (HEALTH + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 413),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    limits = ("--request-seconds", str(REQUEST_SECONDS), "--max-connections", str(MAX_CONNECTIONS))
    with running("--workers", "1", "--max-k", "4", *limits) as process:
        yield process
        assert process.stop() == 0
        text = "".join(process.log)
        assert "Traceback" not in text
        assert "ERROR" not in text


def connect(service: Process) -> socket.socket:
    address = urlsplit(service.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=LATEST)


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, however it does."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def count(service: Process) -> int:
    """Prices of A, by adding one more."""
    receipt = httpx.post(f"{service.url}/add_batch/", json={"symbol": "A", "values": [1.0]})
    assert receipt.status_code == 200
    number = receipt.json()["count"]
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("name", GOOD)
def test_every_framing_of_a_batch_is_served(service: Process, name: str) -> None:
    """A batch is appended once, however HTTP frames it."""
    before = count(service)
    with closing(connect(service)) as connection:
        connection.sendall(GOOD[name].replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1))
        answer = read_to_end(connection)
    assert b"HTTP/1.1 200 OK" in answer
    assert json.loads(answer.rsplit(b"\r\n\r\n", 1)[1]) == {"symbol": "A", "added": 1, "count": before + 1}


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.0\r\n",
        *(
            b"GET /health HTTP/1.1\r\nConnection: close\r\nHost:" + host + b"\r\n"
            for host in (
                b" x",
                b"x",
                b"",
                b" example.com:8000 ",
                b" x:",
                b" [::1]:80",
                b" 127.0.0.1",
                b" a_b%20c",
                b" [v1.x]",
            )
        ),
    ],
)
def test_every_well_formed_host_is_served(service: Process, head: bytes) -> None:
    """A host may be a name or an address, with a port or without, or empty; only HTTP/1.0 may leave it out."""
    with closing(connect(service)) as connection:
        connection.sendall(head + b"\r\n")
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("piece", [1, 3, 4, 7])
def test_a_head_that_comes_in_pieces_is_served(service: Process, piece: int) -> None:
    """Wherever a head is cut into packets, also between CR and LF, it is read as if it had come at once."""
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with closing(connect(service)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(head), piece):
            connection.sendall(head[start : start + piece])
            time.sleep(0.001)  # so that the pieces arrive one by one
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        b"Connection: close\r\nConnection: keep-alive\r\n",
        b"connection: keep-alive, Close\r\n",
        b"Connection: close ,te\r\n",
        b"Connection: keep-alive\r\nCONNECTION:close\r\n",
    ],
)
def test_nothing_is_answered_after_a_close(service: Process, headers: bytes) -> None:
    """Whoever says close in any Connection header has sent the last request; what follows is not read as one."""
    with closing(connect(service)) as connection:
        connection.sendall(HEALTH + headers + b"\r\n" + HEALTH + b"\r\n")
        answer = read_to_end(connection)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert b"connection: close\r\n" in answer


def test_bare_line_feeds_are_refused_at_once(service: Process) -> None:
    """A head that ends its lines with bare line feeds is not waited for until the deadline: it gets 400, not 408."""
    with closing(connect(service)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\nHost: x\n")  # not even an empty line at its end
        assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", BAD)
def test_broken_framing_is_refused_and_closed(service: Process, name: str) -> None:
    """What is not well-formed HTTP gets a problem document and a closed connection, and appends nothing."""
    request, status = BAD[name]
    before = count(service)
    with closing(connect(service)) as connection:
        connection.sendall(request)
        answer = read_to_end(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert count(service) == before + 1


@pytest.mark.parametrize(
    "header", ["Content-Type: text/xml", "Content-Type: application/json; charset=latin-1", "Content-Encoding: gzip"]
)
def test_other_media_types_are_415(service: Process, header: str) -> None:
    """A body that is not plain JSON in UTF-8 is refused with 415, and the connection serves on."""
    before = count(service)
    with closing(connect(service)) as connection:
        connection.sendall(HEAD + header.encode() + b"\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 415 ")
        connection.sendall(GOOD["JSON"])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert count(service) == before + 2


def test_a_gzip_body_is_415(service: Process) -> None:
    """A batch that is compressed is refused with 415 and appends nothing, and the connection serves on."""
    before = count(service)
    body = gzip.compress(BODY)
    with closing(connect(service)) as connection:
        connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 415 ")
        assert b"application/problem+json" in answer
        connection.sendall(GOOD["JSON"])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert count(service) == before + 2


MILLION_KEYS = b"{" + b",".join(b'"%d":0' % number for number in range(1_000_000)) + b"}"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /stats?symbol=A&k=" + b"1" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length: %d\r\n\r\n" % len(MILLION_KEYS) + MILLION_KEYS,
    ],
    ids=["k of a million digits", "a million keys"],
)
def test_what_is_far_too_large_is_cut_off(service: Process, request_bytes: bytes) -> None:
    """A request of many times the limit gets 413 and a closed connection before its end, and changes nothing."""
    before = count(service)
    with closing(connect(service)) as connection:
        with suppress(ConnectionError):
            connection.sendall(request_bytes)
        answer = read_to_end(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")  # a reset may overtake the answer
    assert count(service) == before + 1


def test_a_growing_chunked_body_is_cut_off(service: Process) -> None:
    """A chunked body that grows past the limit gets 413 and is not read to its end."""
    before = count(service)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer, sent = b"", 0
    with closing(connect(service)) as connection:
        connection.sendall(CHUNKED)
        try:
            for _ in range(2000):
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        answer = read_to_end(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")  # a reset may overtake the answer
    assert sent < 2000 * len(chunk)
    assert count(service) == before + 1


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST /add_ba",
        HEAD + b"X-Slow: ",
        HEAD + b"Content-Length: 1000\r\n\r\n",
        CHUNKED + b"3e8\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    ],
    ids=["nothing", "request line", "header", "body", "chunk", "body of a refused request"],
)
@pytest.mark.parametrize("dribble", [False, True], ids=["stalled", "a byte at a time"])
def test_a_request_that_never_ends_is_cut_off(service: Process, start: bytes, dribble: bool) -> None:
    """However slowly a client goes on sending, its request is cut off at the total deadline, with 408 if unanswered."""
    if not start:
        start = b"G"
    before = count(service)
    began = time.monotonic()
    with closing(connect(service)) as connection:
        connection.sendall(start)
        answer = b""
        try:
            if dribble:
                connection.settimeout(0.05)
                while time.monotonic() < began + LATEST:
                    connection.sendall(b" ")
                    try:
                        data = connection.recv(65536)
                    except TimeoutError:
                        continue
                    if not data:
                        break
                    answer += data
            else:
                answer = read_to_end(connection)
        except ConnectionError:
            pass
    took = time.monotonic() - began
    assert REQUEST_SECONDS * 0.9 <= took < LATEST
    expected = b"HTTP/1.1 404 " if b"nothing" in start else b"HTTP/1.1 408 "
    assert answer.startswith(expected)
    assert count(service) == before + 1


def test_a_client_that_leaves_in_mid_body_appends_nothing(service: Process) -> None:
    """A batch whose client disconnects before its end is not appended."""
    before = count(service)
    for _ in range(20):
        with closing(connect(service)) as connection:
            connection.sendall(HEAD + b"Content-Length: " + LENGTH + b"\r\n\r\n" + BODY[:-1])
    assert count(service) == before + 1


def test_pipelined_requests_are_answered_in_order(service: Process) -> None:
    """A thousand requests that are sent at once are answered one after the other, in their order."""
    before = count(service)
    requests = 1000
    with closing(connect(service)) as connection:
        connection.sendall(GOOD["JSON"] * (requests - 1))
        connection.sendall(GOOD["JSON"].replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1))
        answers = read_to_end(connection)
    counts = [int(part.split(b"}")[0]) for part in answers.split(b'"count":')[1:]]
    assert counts == list(range(before + 1, before + 1 + requests))


def test_a_client_that_never_reads_is_cut_off(service: Process) -> None:
    """A client that sends and never reads its answers is held back, and closed after the deadline."""
    began = time.monotonic()
    sent, cut = 0, False
    with closing(connect(service)) as connection:
        connection.setblocking(False)
        while not cut and time.monotonic() < began + 2 * LATEST:
            try:
                sent += connection.send(HEALTH + b"\r\n")
            except BlockingIOError:
                time.sleep(0.01)
            except ConnectionError:
                cut = True
    assert cut
    assert sent < 64 * 1024 * 1024, "it was to be held back"


@pytest.mark.parametrize("requests", [0, 1], ids=["from the start", "after a request"])
def test_an_idle_connection_is_closed_without_a_word(requests: int) -> None:
    """A connection without a request is closed after its time, silently, and others are served."""
    with running("--workers", "1", "--max-k", "1", "--idle-seconds", "0.5") as process:
        with closing(connect(process)) as connection:
            for _ in range(requests):
                connection.sendall(HEALTH + b"\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert read_to_end(connection) == b""
        assert count(process) == 1


def test_connections_beyond_the_cap_are_refused_without_harm(service: Process) -> None:
    """Newcomers beyond the cap get 503 with Retry-After; those in place are served, and others once some have left."""
    in_place = [connect(service) for _ in range(MAX_CONNECTIONS)]
    newcomers = []
    try:
        for connection in in_place:
            connection.sendall(HEALTH + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        newcomers = [connect(service) for _ in range(200)]
        for connection in newcomers:
            answer = read_to_end(connection)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: " in answer
            assert b"application/problem+json" in answer
            assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["status"] == 503
        for connection in in_place:
            connection.sendall(HEALTH + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in (*in_place, *newcomers):
            connection.close()
    deadline = time.monotonic() + LATEST
    while httpx.get(f"{service.url}/health/").status_code == 503:
        assert time.monotonic() < deadline
    assert httpx.get(f"{service.url}/health/").status_code == 200
