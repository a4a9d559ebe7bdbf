"""Requests as they may be framed and as they may not, byte by byte."""

from __future__ import annotations

from .sockets import HEALTH, chunk, last, post, request

BODY = b'{"symbol": "A", "values": [1]}'
LENGTH = f"Content-Length: {len(BODY)}"
START = b"GET /health HTTP/1.1\r\n"


def head(*headers: str | bytes) -> bytes:
    """The head of a batch with headers of one's own."""
    return request("POST", "/add_batch", *headers)


def health(*headers: str | bytes) -> bytes:
    return request("GET", "/health", *headers)


GOOD_HOSTS = (b" x", b"x", b"", b" example.com:8000 ", b" x:", b" [::1]:80", b" 127.0.0.1", b" a_b%20c", b" [v1.x]")
BAD_HOSTS = (b"a b", b"a/b", b"user@x", b"x:port", b"x:1:2", b"[::1", b"::1", b"x%zz", b"<x>", b"x\xff", b"a, b")

CHUNKED = head("Transfer-Encoding: chunked")
END = chunk(b"")

GOOD: dict[str, bytes] = {
    "Content-Length": post(BODY),
    "chunked": CHUNKED + chunk(BODY) + END,
    "chunk extension": CHUNKED + chunk(BODY).replace(b"\r\n", b";x=y\r\n", 1) + END,
    "two chunks": CHUNKED + chunk(BODY[:3]) + chunk(BODY[3:]) + END,
    "JSON": post(BODY, "Content-Type: application/json"),
    "JSON in UTF-8": post(BODY, "Content-Type: Application/JSON; Charset=utf-8"),
    "Expect": post(BODY, "Expect: 100-continue"),
}

BAD: dict[str, tuple[bytes, int]] = {
    "length and chunked": (head(LENGTH, "Transfer-Encoding: chunked") + BODY, 400),
    "chunked and length": (head("Transfer-Encoding: chunked", LENGTH) + BODY, 400),
    "two lengths": (head(LENGTH, LENGTH) + BODY, 400),
    "a list of lengths": (head(f"{LENGTH}, {len(BODY)}") + BODY, 400),
    **{
        f"length {length!r}": (head(b"Content-Length: " + length) + BODY, 400)
        for length in (b"+5", b"1_0", b"-1", b"0x1e", b"", b"5 5", "３０".encode(), b"9" * 30)
    },
    **{
        f"chunk size {size!r}": (CHUNKED + size + b"\r\n" + BODY + b"\r\n" + END, 400)
        for size in (b"zz", b" 1e", b"-1e", b"+1e", b"1_e", b"", b"0x1e", "１e".encode(), b"F" * 30)
    },
    **{
        f"chunk extension {line!r}": (CHUNKED + chunk(BODY).replace(b"\r\n", line + b"\r\n", 1) + END, 400)
        for line in (b";a\nb", b";a\rb", b";\x00", b";" + b"a" * 300, b" x", b";a\n")
    },
    "HTTP/1.0 in chunks": (GOOD["chunked"].replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "HTTP/1.0 in chunks, to be kept": (
        head("Connection: keep-alive", "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
        400,
    ),
    "two empty lines before a request": (b"\r\n\r\n" + HEALTH, 400),
    "a star for a target": (request("GET", "*"), 400),
    "a star with more to it": (request("OPTIONS", "*/health"), 400),
    **{
        f"target {target}": (request("GET", target), 400)
        for target in ("ftp://a/health", "http://", "http:///health", "http://:80/", "http://u@a/")
    },
    "unknown Expect without a body": (health("Expect: 200-ok"), 417),
    "an unknown Expect beside a known one": (health("Expect: 100-continue", "Expect: foo"), 417),
    "chunk without its end": (CHUNKED + chunk(BODY)[:-2] + b"XX" + END, 400),
    "chunk trailer": (CHUNKED + chunk(BODY) + b"0\r\nX: y\r\n\r\n", 400),
    "gzip, chunked": (head("Transfer-Encoding: gzip, chunked"), 400),
    "length beyond the limit": (head("Content-Length: 2000000"), 413),
    "unknown Expect": (head("Expect: 200-ok", "Content-Length: 5"), 417),
    "header without a colon": (START + b"Host x\r\n\r\n", 400),
    "white space before the colon": (START + b"Host : x\r\n\r\n", 400),
    "folded header": (health(" folded: y"), 400),
    "NUL in a header": (health("X: a\x00b"), 400),
    "line feed in a header": (health("X: a\nb: c"), 400),
    "carriage return in a header": (health("X: a\rb"), 400),
    "escape in a header": (health("X: \x1b[2J"), 400),
    "header name that is no token": (health("X(y): z"), 400),
    "header without a name": (health(": z"), 400),
    "no-break space before a length": (head(f"Content-Length: \u00a0{len(BODY)}") + BODY, 400),
    "no-break space before chunked": (head("Transfer-Encoding: \u00a0chunked") + END, 400),
    "carriage return before the method": (b"\r" + HEALTH, 400),
    "method that is no token": (request("GE(T", "/health"), 400),
    "control character in the URL": (request("GET", "/health?\x01"), 400),
    "no Host": (START + b"\r\n", 400),
    "two Hosts": (health("host: x"), 400),
    "two Hosts in HTTP/1.0": (health("host: y").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "no Host of a batch": (post(BODY).replace(b"Host: test\r\n", b""), 400),
    **{f"Host {host!r}": (START + b"Host: " + host + b"\r\n\r\n", 400) for host in BAD_HOSTS},
    "bare line feeds: GET": (HEALTH.replace(b"\r\n", b"\n"), 400),
    "bare line feeds: POST": (post(BODY).replace(b"\r\n", b"\n"), 400),
    "bare line feeds: after one good line": (START + b"Host: x\n\n", 400),
    "bare line feeds: the last of them": (START + b"Host: x\r\n\n", 400),
    "HTTP/2.0": (HEALTH.replace(b"HTTP/1.1", b"HTTP/2.0"), 400),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "no slash": (request("GET", "health"), 400),
    "two slashes at the end": (last(request("GET", "/health//")), 404),
    "a thousand slashes": (last(request("GET", "/health" + "/" * 1000)), 404),
    "CONNECT": (request("CONNECT", "x:1"), 400),
    "URL not ASCII": (request("GET", "/stats?symbol=日&k=1"), 400),
    "URL of 9,000 bytes": (request("GET", "/stats?symbol=A&k=" + "1" * 9000), 413),
    "header of 20,000 bytes": (health("X: " + "a" * 20_000), 413),
}
