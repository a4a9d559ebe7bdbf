"""Through either door the same bytes: a service that remembers heads beside one that has Sanic answer everything."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from struct import pack

import pytest

from service.http.door import MOST_HEADS
from tests.support.credentials import issue, token_file
from tests.support.doors import Doors, doors
from tests.support.sockets import HEALTH, chunk, last, request

READER, WRITER = "r" * 16, "w" * 16
MAX_BODY = 4096
JSON = b'{"symbol": "A", "values": [1, 2.5]}'
OCTETS = pack("<2d", 1.5, 2.5)


class Known:
    """Requests that are remembered once they have been answered.

    Args:
        token: a header of all of them, if tokens are asked for.
    """

    def __init__(self, *token: str) -> None:
        self.token = token
        self.stats = self.get("/stats?symbol=A&k=1")
        self.json = self.post(JSON)
        self.binary = self.post(OCTETS, "/add_batch/?symbol=B", "Content-Type: application/octet-stream")
        self.positioned = self.at("0")
        octets = self.get("/prices?symbol=A&last=3", "Accept: application/octet-stream")
        self.prices = [self.get("/prices?symbol=A&from=0&size=2"), octets]
        self.all = [
            self.json,
            self.binary,
            *self.prices,
            self.stats,
            self.get("/stats/all/?symbol=A"),
            self.get("/symbols/"),
            HEALTH,
        ]

    def at(self, position: str) -> bytes:
        """A batch for a position; where that is not the right one, it is 412."""
        return self.post(OCTETS, f"/add_batch?at={position}&symbol=A", "Content-Type: application/octet-stream")

    def get(self, target: str, *headers: str, method: str = "GET") -> bytes:
        return request(method, target, *self.token, *headers)

    def post(self, body: bytes, target: str = "/add_batch", *headers: str) -> bytes:
        return request("POST", target, *self.token, *headers, body=body)


@pytest.fixture(scope="module", params=["plain", "tls", "tokens"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Doors, Known]]:
    """Both doors, in clear text, over TLS, and past a guard; with what they know."""
    folder, known = tmp_path_factory.mktemp("doors"), Known()
    options: tuple[str, ...] = ()
    context = None
    if request.param == "tls":
        certificate = issue(folder)
        context, options = ssl.create_default_context(cafile=certificate.ca), certificate.options
    elif request.param == "tokens":
        options, known = token_file(folder, read=READER, write=WRITER), Known(f"Authorization: Bearer {WRITER}")
    with doors(*options, tls=context, max_symbols=3, max_k=2, max_body=MAX_BODY, request_seconds=1.0) as both:
        for one in known.all:
            assert both.alike(one, one, last(HEALTH)).count(b"HTTP/1.1 200 OK") == 3
        assert both.alike(*[known.positioned] * 2, last(HEALTH)).count(b"HTTP/1.1 412 ") == 2
        yield both, known


def closing(known: Known) -> bytes:
    """Asks for all that there is, and ends the connection: what both hold is compared with it."""
    return last(known.get("/symbols/"))


def test_a_remembered_request_split_at_every_byte(either: tuple[Doors, Known]) -> None:
    """However a request is cut into two, its answer is the same, and so is what follows it."""
    both, known = either
    for one in (known.positioned, known.json, known.binary, known.stats):
        pieces = [piece for at in range(1, len(one)) for piece in (one[:at], one[at:])]
        told = both.alike(*pieces, one, closing(known), until_closed=True)
        assert told.count(b"HTTP/1.1 412 " if one is known.positioned else b"HTTP/1.1 200 OK") >= len(pieces) // 2 + 1


def test_a_remembered_request_byte_by_byte_and_pipelining(either: tuple[Doors, Known]) -> None:
    """Single bytes, several requests at once, the next one behind a body: all are answered, in order."""
    both, known = either
    both.alike(*[known.json[at : at + 1] for at in range(len(known.json))], closing(known), until_closed=True)
    both.alike(b"".join(known.all * 5), closing(known), until_closed=True)
    both.alike(
        known.json[:-4], known.json[-4:] + known.stats, known.stats + known.json[:-9], known.json[-9:], closing(known)
    )
    both.alike(
        known.binary[:-8], known.binary[-8:] + known.binary[:-8], known.binary[-8:] + closing(known), until_closed=True
    )


@pytest.mark.parametrize("name", ["stats", "json", "binary", "positioned"])
def test_a_head_that_differs_in_one_byte_from_a_remembered_one(either: tuple[Doors, Known], name: str) -> None:
    """One byte replaced, left out or added anywhere in a head: as if nothing were remembered."""
    both, known = either
    one: bytes = getattr(known, name)
    end = one.index(b"\r\n\r\n") + 4
    digits = range(one.find(b"Length: ") + 8, end - 4) if b"Length: " in one else range(0)
    for at in set(range(end)) - set(digits):  # lengths have a test of their own
        both.alike(one[:at] + b"\0Z5 "[at % 4 : at % 4 + 1] + one[at + 1 :], last(HEALTH))
        if at % 5 == 0:
            both.alike(one[:at] + one[at + 1 :], last(HEALTH))
            both.alike(one[:at] + b"x" + one[at:], last(HEALTH))
    both.alike(closing(known), until_closed=True)


LENGTHS = (
    "",
    "0",
    "00",
    "035",
    "+35",
    "-35",
    "3_5",
    " 35",
    "35 ",
    "３５",
    "3.5",
    "0x23",
    "35,35",
    "34",
    "9" * 9,
    "1" * 20,
    str(MAX_BODY),
    str(MAX_BODY + 1),
)


@pytest.mark.parametrize("length", LENGTHS)
def test_content_length_of_a_remembered_head(either: tuple[Doors, Known], length: str) -> None:
    """The digits of Content-Length are read by the same rules, and a body beyond the limit is refused with 413."""
    both, known = either
    one = known.json.replace(b"Content-Length: 35", f"Content-Length: {length}".encode())
    both.alike(one, last(HEALTH))
    both.alike(one.removesuffix(JSON), last(HEALTH))
    both.alike(one.ljust(MAX_BODY + 1), last(HEALTH))
    both.alike(known.json, closing(known), until_closed=True)


POSITIONS = ("", "1", "00", "01", "+1", "-1", "1_0", "%31", "１", "1.0", "1e9", "0&at=0", "0#", "9" * 19, "9" * 20)


@pytest.mark.parametrize("position", POSITIONS)
def test_the_position_in_a_remembered_head(either: tuple[Doors, Known], position: str) -> None:
    """Whatever stands where digits stood is refused by the same rules: 412, or 400, or not HTTP at all."""
    both, known = either
    assert b"HTTP/1.1 200 OK" not in both.alike(known.at(position), known.at(position).removesuffix(OCTETS))
    told = both.alike(*[known.at(position)] * 2, known.positioned, last(HEALTH))
    assert b"HTTP/1.1 412 " in told or b"HTTP/1.1 400 " in told
    both.alike(closing(known), until_closed=True)


def test_a_batch_with_its_position_is_in_once_through_either_door(either: tuple[Doors, Known]) -> None:
    """Remembered or not, in one piece or cut: the first is in, the next are told how many there are."""
    both, known = either
    count = int(re.findall(rb'"A","count":(\d+)', both.alike(closing(known), until_closed=True))[0])
    for cut in (len(known.positioned), 30, -8, -1):
        one = known.at(str(count))
        told = both.alike(one[:cut], one[cut:] + one, one, last(HEALTH))
        assert re.findall(rb"HTTP/1.1 (\d+)", told) == [b"200", b"412", b"412", b"200"]
        count += 2
        assert told.count(b'"count":%d' % count) == 3


def test_what_is_never_remembered(either: tuple[Doors, Known]) -> None:
    """Expect, chunked, Upgrade, HEAD, DELETE, HTTP/1.0, Connection: close and a GET with a body are as they were."""
    both, known = either
    once = known.get("/stats?symbol=A&k=1", "Connection: close")
    for one in (
        *(known.get("/stats?symbol=A&k=1", method=method) for method in ("HEAD", "PUT", "get", "OPTIONS")),
        known.get("/stats?symbol=A&k=1", "Expect: 100-continue"),
        known.get("/stats?symbol=A&k=1", "Upgrade: websocket"),
        known.get("/stats?symbol=A&k=1", "Content-Length: 2") + b"{}",
        known.stats.replace(b"HTTP/1.1", b"HTTP/1.0"),
        known.get("/add_batch", "Transfer-Encoding: chunked", method="POST") + chunk(JSON) + chunk(b""),
        known.post(JSON, "/add_batch", "Expect: 100-continue"),
        known.get("/symbols/A", method="DELETE"),
        known.get("/stats?symbol=A&k=1", f"X-Long: {'x' * 2048}"),
        once,
    ):
        both.alike(one, last(HEALTH))
        both.alike(one, one, known.json, last(HEALTH))
    both.alike(once + once)
    both.alike(closing(known), until_closed=True)


BODIES = (
    *(b"", b"{", b"[1]", b"{}", b"\xef\xbb\xbf" + JSON, JSON.replace(b"2.5", b"true"), JSON.replace(b"2.5", b"1e101")),
    *(JSON.replace(b'"A"', name) for name in (b'"C"', b'"D"', b'"\\u0007"', b'""', b"1")),
)
TARGETS = (
    "/prices?symbol=A&from=9999&size=1",
    "/prices?symbol=A&from=007&size=1",
    "/prices?symbol=A&from=&size=1",
    "/prices?symbol=A&last=0",
    "/stats?symbol=A&k=9",
    "/stats?symbol=NO&k=1",
    "/stats?k=1",
    "/stats?symbol=%FF&k=1",
    "/nothing",
    "/add_batch",
)


def test_refusals_400_404_409_413_415_422_through_a_remembered_head(either: tuple[Doors, Known]) -> None:
    """A remembered head may bring any body, and ask for what has changed: a refusal is the same to the byte."""
    both, known = either
    told = b""
    for body in BODIES:
        one = known.post(body)
        told += both.alike(one, one, last(HEALTH))
        told += both.alike(one[:-1], one[-1:], known.stats, last(HEALTH))
    for target in TARGETS:
        one = known.get(target)
        told += both.alike(one, one, known.stats, last(HEALTH))
    for kind in ("text/plain", "application/json; charset=latin-1", "APPLICATION/JSON"):
        one = known.post(JSON, "/add_batch", f"Content-Type: {kind}")
        told += both.alike(one, one, last(HEALTH))
    told += both.alike(known.json, known.post(JSON.ljust(MAX_BODY + 1)))
    both.alike(
        known.post(OCTETS[:-1], "/add_batch?symbol=B", "Content-Type: application/octet-stream"),
        closing(known),
        until_closed=True,
    )
    assert set(re.findall(rb"HTTP/1.1 (4\d\d) ", told)) >= {b"400", b"404", b"409", b"413", b"415", b"422"}


def test_a_remembered_symbol_that_is_deleted_and_created_again(either: tuple[Doors, Known]) -> None:
    """What is remembered of a symbol is a question, never an answer."""
    both, known = either
    gone = known.get("/symbols/A", method="DELETE")
    told = both.alike(
        known.json, known.stats, gone, known.stats, known.json, known.stats, closing(known), until_closed=True
    )
    assert told.count(b"HTTP/1.1 404 Not Found") == 1
    others = [known.post(JSON.replace(b'"A"', b'"%b"' % name)) for name in (b"C", b"D", b"E")]
    assert b"HTTP/1.1 409 Conflict" in both.alike(
        known.json, gone, *others, known.json, known.json, closing(known), until_closed=True
    )
    both.alike(
        *[known.get(f"/symbols/{name}", method="DELETE") for name in "CDE"],
        known.json,
        closing(known),
        until_closed=True,
    )


def test_tokens_wrong_missing_and_read_only(either: tuple[Doors, Known]) -> None:
    """Whoever brings another token, or none, is asked for it as ever: 401, 403."""
    both, _ = either
    for token in ((), (f"Authorization: Bearer {READER}",), ("Authorization: Bearer " + "x" * 16,)):
        other = Known(*token)
        both.alike(other.stats, other.stats, other.json, other.json, last(HEALTH))
        both.alike(other.json[:-3], other.json[-3:], other.stats, last(HEALTH))


def test_more_heads_than_are_remembered(either: tuple[Doors, Known]) -> None:
    """Those that are forgotten are answered all the same."""
    both, known = either
    others = b"".join(known.get(f"/stats?symbol=A&k=1&{number}") for number in range(MOST_HEADS + 50))
    assert (
        both.alike(others, *known.all, closing(known), until_closed=True).count(b"HTTP/1.1 200 OK") == MOST_HEADS + 59
    )


def test_the_deadline_408_in_the_middle_of_a_remembered_body(either: tuple[Doors, Known]) -> None:
    """A body that stops half way is refused with 408, in the same words, and nothing of it is appended."""
    both, known = either
    before = both.alike(closing(known), until_closed=True)
    for one in (known.json, known.binary):
        assert both.alike(one[:-3], until_closed=True).startswith(b"HTTP/1.1 408 ")
    assert both.alike(closing(known), until_closed=True) == before
