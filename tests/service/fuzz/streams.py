"""Bytes of whole connections: requests in a row, their heads and framing right or a little wrong.

``understood`` reads them with h11 as a server would, which must not find other requests in them than the service does.
"""

from __future__ import annotations

import itertools
from typing import Final, NamedTuple

import h11
from hypothesis import strategies as st

from tests.service.fuzz.documents import MAX_BODY, dressed, mutated

LAST: Final = b"GET /health HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n\r\n"
"""Ends the connection, if it is read as a request."""

METHODS: Final = st.sampled_from([b"POST"] * 6 + [b"GET", b"HEAD", b"DELETE", b"PUT", b"post", b"OPTIONS", b"POST "])

TARGETS: Final = st.sampled_from(
    [b"/add_batch/"] * 6
    + [b"/add_batch", b"/stats/?symbol=A&k=1", b"/stats?symbol=A&k=%31", b"/symbols/B", b"/symbols/%FF", b"/health/"]
    + [b"/add_batch/?x=1", b"/", b"*", b"//", b"/../", b"http://fuzz/health", b"/stats?symbol=%", b"/add_batch/#x"]
)

VERSIONS: Final = st.sampled_from([b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b"http/1.1", b"HTTP/1"])

ODD_HEADERS: Final = st.sampled_from(
    [b"X" * 9000, b"X", b": y", b"X: y", b"X: \x00", b"X: \xff", b"X: a\nb: c", b"X: a\r", b"\tfolded", b"X(y): z"]
    + [b"Connection: keep-alive", b"Connection: close", b"Expect: 100-continue", b"Upgrade: websocket"]
    + [b"Content-Type: text/plain", b"Content-Encoding: gzip"]
    + [b"Content-Length" + rest for rest in (b": 0", b": 5", b": +5", b" : 5", b":", b": 5, 5", b": \xc2\xa05")]
    + [
        b"Transfer-Encoding: " + coding
        for coding in (b"chunked", b"identity", b"Chunked", b"\tchunked", b"chunked, gzip", b"xchunked", b"chunked\x0b")
    ]
    + [b"Transfer-Encoding: \xc2\xa0chunked", b" Content-Length: 5"]
)

CHUNK_SIZES: Final = st.sampled_from(
    [b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x;a=b", b"0%x", b"%x\n", b"%X", b"%x;\r", b"_%x", b"%xg", b"1%x"]
)


@st.composite
def framed(draw: st.DrawFn, *, broken: bool) -> bytes:
    """A request whose body is a batch, framed by its length or in chunks."""
    method = draw(METHODS) if broken else b"POST"
    body = draw(dressed())[: MAX_BODY + 10]
    headers = [b"Host: fuzz"]
    if draw(st.booleans()):
        size = len(body) + (draw(st.sampled_from([0, 0, 0, -1, 1, 30])) if broken else 0)
        headers.append(b"Content-Length: %d" % size)
        payload = body
    else:
        headers.append(b"Transfer-Encoding: chunked")
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3, unique=True)))
        pieces = [body[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(body)]) if begin < end]
        payload = b""
        for piece in pieces:
            size_line = draw(CHUNK_SIZES) if broken and draw(st.integers(0, 5)) == 0 else b"%x"
            end = (
                draw(st.sampled_from([b"", b"\n", b"\r\n\r\n", b"X\r\n"]))
                if broken and draw(st.integers(0, 9)) == 0
                else b"\r\n"
            )
            payload += size_line % len(piece) + b"\r\n" + piece + end
        payload += (
            draw(st.sampled_from([b"0\r\n\r\n"] * 4 + [b"0\r\nX: y\r\n\r\n", b"00\r\n\r\n", b"0;x\r\n\r\n", b""]))
            if broken
            else b"0\r\n\r\n"
        )
    if broken:
        headers += draw(st.lists(ODD_HEADERS, max_size=2))
        headers = draw(st.permutations(headers))
    target = draw(TARGETS) if broken else b"/add_batch/"
    version = draw(VERSIONS) if broken else b"HTTP/1.1"
    return (
        b" ".join([method, target, version])
        + b"\r\n"
        + b"".join(line + b"\r\n" for line in headers)
        + b"\r\n"
        + payload
    )


SIMPLE: Final = st.sampled_from(
    [
        b"GET /stats/?symbol=A&k=1 HTTP/1.1\r\nHost: fuzz\r\n\r\n",
        b"HEAD /health HTTP/1.1\r\nHost: fuzz\r\n\r\n",
        b"DELETE /symbols/B HTTP/1.1\r\nHost: fuzz\r\n\r\n",
        b"\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ]
)

REQUESTS: Final = st.lists(framed(broken=False) | framed(broken=True) | SIMPLE, min_size=1, max_size=4).map(b"".join)

STREAMS: Final = (
    REQUESTS | mutated(REQUESTS, b"\r\n\r\n :;,0123456789abcdefxPOSTGEhC/+-_\x00\x0b\xff\x85") | st.binary(max_size=40)
)


CUTS: Final = st.lists(st.integers(0, 1200), max_size=4)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """A stream in pieces, cut at these places; into single bytes if there are four cuts and the stream is short."""
    if len(cuts) == 4 and len(stream) < 300:
        return [stream[at : at + 1] for at in range(len(stream))]
    places = [0, *sorted({place % (len(stream) + 1) for place in cuts}), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(places) if begin < end]


class Understood(NamedTuple):
    """A request as h11 reads it."""

    method: bytes
    target: bytes
    body: bytes


def understood(stream: bytes) -> tuple[list[Understood], str]:
    """The whole requests that h11 finds in a stream, and why it finds no more: "" if it only waits for bytes."""
    found: list[Understood] = []
    try:
        while True:
            # An empty line in front of a request is passed over once, which h11 does not do.
            protocol = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=1 << 20)
            protocol.receive_data(stream.removeprefix(b"\r\n"))
            request = protocol.next_event()
            if not isinstance(request, h11.Request):
                return found, ""
            if request.method == b"CONNECT" or protocol.they_are_waiting_for_100_continue:
                protocol.send(h11.InformationalResponse(status_code=100, headers=[]))
            body = b""
            while isinstance(data := protocol.next_event(), h11.Data):
                body += bytes(data.data)
            if not isinstance(data, h11.EndOfMessage):
                return found, ""
            found.append(Understood(request.method, request.target, body))
            protocol.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            protocol.send(h11.EndOfMessage())
            if protocol.our_state is not h11.DONE:  # the client wants the connection closed
                return found, "closed"
            stream = protocol.trailing_data[0]
    except h11.RemoteProtocolError as error:
        return found, str(error)
