"""Pages of other origins: what their browsers are told (CORS), through either door, and that nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.credentials import token_file
from tests.support.doors import Doors, doors
from tests.support.process import command, running
from tests.support.sockets import Answer, Wire, answers, ask_once, last, post, request

DESK, PHONE, STRANGER = "https://desk.example", "http://127.0.0.1:3000", "https://stranger.example"
READER, WRITER = "r" * 16, "w" * 16
BATCH = b'{"symbol": "A", "values": [1, 2.5]}'

SHARED = "access-control-allow-origin"
EXPOSED = {"access-control-expose-headers": "retry-after, www-authenticate, tenfold-from, tenfold-count"}
"""Beside what any page may read of an answer: when to try again, and which token is wanted."""

ASKED = {
    "batch": post(BATCH),
    "no batch 422": post(b"[]"),
    "no JSON 400": post(b"{"),
    "another type 415": request("POST", "/add_batch", "Content-Type: text/plain", body=b"1"),
    "too large 413": post(b" " * 5000),
    "window": request("GET", "/stats?symbol=A&k=1"),
    "all windows": request("GET", "/stats/all?symbol=A"),
    "the head only": request("HEAD", "/stats?symbol=A&k=1"),
    "no window 400": request("GET", "/stats?symbol=A&k=x"),
    "no symbol 404": request("GET", "/stats?symbol=NO&k=1"),
    "symbols": request("GET", "/symbols/"),
    "no path 404": request("GET", "/nothing"),
    "no method 405": request("PATCH", "/stats"),
    "health": request("GET", "/health"),
    "document": request("GET", "/openapi.json"),
    "page": request("GET", "/"),
    "expectation 417": request("GET", "/health", "Expect: more"),
    "deletion": request("DELETE", "/symbols/A"),
}
"""One of each kind of answer, refusals of the resources, of the framework and of the pages among them."""


def of(asked: bytes, *headers: str) -> bytes:
    """A request with more headers."""
    return asked.replace(b"\r\n", "\r\n".join(["", *headers, ""]).encode(), 1)


def preflight(target: str, method: str, origin: str = DESK, *more: str) -> bytes:
    """What a browser asks by itself before it sends a request that no form could send."""
    return request("OPTIONS", target, f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *more)


@pytest.fixture(scope="module", params=["open", "tokens"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Both doors for pages of two origins, without tokens and with."""
    options = ["--allow-origin", DESK, "--allow-origin", PHONE]
    if request.param == "tokens":
        options += token_file(tmp_path_factory.mktemp("origins"), read=READER, write=WRITER)
    with doors(*options, max_k=2, max_body=4096) as both:
        yield both


def one(both: Doors, *pieces: bytes) -> Answer:
    """The last answer to some requests, which must be the same through both doors."""
    received = both.alike(*pieces[:-1], last(pieces[-1]))
    return answers(received, heads=pieces[-1].startswith(b"HEAD "))[-1]


@pytest.mark.parametrize("kind", ASKED)
def test_every_answer_names_the_origin_of_an_allowed_page(both: Doors, kind: str) -> None:
    """Good answers, refusals of every kind, 401 too: asked once and again, the page's own origin, and Vary: Origin."""
    plain = of(ASKED[kind], f"Authorization: Bearer {WRITER}")
    for asked in (plain, ASKED[kind]):
        bare = one(both, asked)
        assert SHARED not in bare.headers
        assert bare.headers["vary"] == "Origin"
        for origin in (DESK, PHONE):
            named = of(asked, f"Origin: {origin}")
            received = both.alike(named, named, last(named))  # the second from memory
            for answer in answers(received, heads=asked.startswith(b"HEAD ")):
                assert answer.headers[SHARED] == origin
                assert answer.headers["vary"] == "Origin"
                assert EXPOSED.items() <= answer.headers.items()
                if kind != "deletion":
                    assert answer.status == bare.status


def test_each_remembered_head_has_the_answer_of_its_own_origin(both: Doors) -> None:
    """Heads that differ in their Origin, on one connection, again and again: none has another one's answer."""
    asked = of(ASKED["health"])
    origins = [DESK, PHONE, STRANGER, "", f"{DESK}/", DESK.upper(), f"{DESK}, {PHONE}", "null", "*"]
    heads = [of(asked, f"Origin: {origin}") for origin in origins] * 3
    heads += [asked, of(asked, f"Origin: {DESK}", f"Origin: {DESK}"), of(asked, f"ORIGIN:{DESK} ")]
    received = answers(both.alike(*heads, last(ASKED["health"])))
    named = [answer.headers.get(SHARED) for answer in received]
    assert named == ([DESK, PHONE] + [None] * 7) * 3 + [None, None, DESK] + [None]
    assert {answer.headers["vary"] for answer in received} == {"Origin"}


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        ("/add_batch", "POST"),
        ("/add_batch/?symbol=A", "POST"),
        ("/stats?symbol=A&k=1", "GET, HEAD"),
        ("/stats/all/?symbol=A", "GET, HEAD"),
        ("/symbols/", "GET, HEAD"),
        ("/symbols/EUR%2FUSD", "DELETE"),
        ("/health", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
def test_a_preflight_is_answered_without_a_token(both: Doors, target: str, methods: str) -> None:
    """OPTIONS of an allowed page: 204, what may be sent, and for how long that holds; a preflight carries no token."""
    more = "Access-Control-Request-Headers: authorization,content-type"
    for origin in (DESK, PHONE):
        answer = one(both, preflight(target, methods[:4].rstrip(","), origin, more))
        assert (answer.status, answer.content) == (204, b"")
        expected = {
            SHARED: origin,
            "access-control-allow-methods": methods,
            "access-control-allow-headers": "authorization, content-type",
            "access-control-max-age": "7200",
            "vary": "Origin",
        }
        assert expected.items() <= answer.headers.items()


def test_options_that_are_no_preflight_of_an_allowed_page_get_405(both: Doors) -> None:
    """A stranger's, one without Origin, one that asks for no method: as ever; and 404 where nothing is."""
    for asked in (
        preflight("/stats", "GET", STRANGER),
        request("OPTIONS", "/stats"),
        request("OPTIONS", "/stats", f"Origin: {DESK}"),
        request("OPTIONS", "/stats", "Access-Control-Request-Method: GET"),
    ):
        answer = one(both, asked)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert "access-control-allow-methods" not in answer.headers
    assert one(both, preflight("/nothing", "GET")).status == 404
    assert one(both, request("PATCH", "/stats", f"Origin: {DESK}", "Access-Control-Request-Method: GET")).status == 405


def test_a_connection_goes_on_after_a_preflight(both: Doors) -> None:
    """As a browser does: the preflight, then the batch, twice, on one connection; the second from memory."""
    batch = of(post(BATCH), f"Origin: {DESK}", f"Authorization: Bearer {WRITER}", "Content-Type: application/json")
    told = answers(both.alike(*[preflight("/add_batch", "POST"), batch] * 2, last(ASKED["health"])))
    assert [answer.status for answer in told] == [204, 200, 204, 200, 200]


def test_tokens_hold_for_pages_too(tmp_path: Path) -> None:
    """An allowed origin is no token: none is 401, one to read cannot write, 403; both can be read by the page."""
    options = token_file(tmp_path, read=READER, write=WRITER)
    with running("--allow-origin", DESK, *options, workers=1, max_k=1) as service:
        named = of(post(BATCH), f"Origin: {DESK}")
        for headers, status in (
            ([], 401),
            ([f"Authorization: Bearer {READER}"], 403),
            ([f"Authorization: Bearer {WRITER}"], 200),
        ):
            answer = ask_once(service.port, last(of(named, *headers)))
            assert (answer.status, answer.headers[SHARED]) == (status, DESK)


def test_a_deadline_408_names_the_origin_through_either_door() -> None:
    """The refusal of a body that does not come can be read by the page that sent it."""
    asked = of(post(BATCH), f"Origin: {DESK}")
    with doors("--allow-origin", DESK, max_k=1, request_seconds=1.0) as both:
        told = answers(both.alike(asked, asked[:-3], until_closed=True))
    assert [(answer.status, answer.headers[SHARED]) for answer in told] == [(200, DESK), (408, DESK)]


def test_without_the_option_nothing_is_said_of_origins() -> None:
    """Off by default: whoever names an origin gets the same bytes as who names none, and a preflight gets 405."""
    with doors(max_k=2, max_body=4096) as both:
        for asked in ASKED.values():
            if not asked.startswith(b"DELETE"):
                plain, named = (both.alike(last(of(one))) for one in (asked, of(asked, f"Origin: {DESK}")))
                assert asked.startswith(b"POST") or plain == named  # counts of prices grow
                assert b"access-control" not in named
                assert b"vary" not in named
        answer = one(both, preflight("/stats", "GET"))
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_origins_come_from_the_environment_too() -> None:
    """TENFOLD_ALLOW_ORIGIN holds several, with blanks between."""
    with running(env={"TENFOLD_ALLOW_ORIGIN": f"{DESK} {PHONE}"}, workers=1, max_k=1) as service:
        for origin in (DESK, PHONE):
            with Wire(service.port) as wire:
                assert wire.ask(of(ASKED["health"], f"Origin: {origin}")).headers[SHARED] == origin
        document = ask_once(service.port, last(ASKED["document"])).document
        assert DESK in json.dumps(document["info"])
        assert PHONE in json.dumps(document["info"])


@pytest.mark.parametrize(
    "origin", ["*", "null", "", "desk.example", f"{DESK}/", f"{DESK}/path", f"{DESK}:443", "http://a:80", "HTTPS://a",
               "https://Desk.example", "https://a b", "https://a:", "https://a:0", "https://user@a", "https://a?b"],
)  # fmt: skip
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    """One line, exit code 2: an origin that would never match, and a star, which would let in every page there is."""
    done = command("--allow-origin", origin)
    assert (done.returncode, done.stdout) == (2, "")
    must = "must be an origin as browsers write it, such as https://desk.example or http://127.0.0.1:3000"
    assert done.stderr == f"tenfold: --allow-origin {must}, not {origin!r}\n"
