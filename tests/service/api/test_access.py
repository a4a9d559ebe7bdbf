"""Who may come in: what a token file may say, and what a request gets with and without a token."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sanic import Sanic

from aggregation import SharedMemory, Symbols
from service.api.access import Guard, Scope, Token, TokenFileError, read_tokens
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import Api
from tests.support.credentials import token_file
from tests.support.process import Process, command, running
from tests.support.sockets import Wire, ask_once, chunk, post, request

READER = "reader-0123456789abcdef"
WRITER = "writer/0123456789+abcdef=="
BATCH = b'{"symbol": "A", "values": [1.0]}'

GOOD_FILES: dict[str, tuple[bytes, list[Token]]] = {
    "one": (b"read aaaaaaaaaaaaaaaa", [Token(b"a" * 16, Scope.READ)]),
    "comments and blank lines": (
        "# Zähler\n\n   \n  # x\nread aaaaaaaaaaaaaaaa\n#write cccccccccccccccc\n".encode()
        + b"\twrite\tbbbbbbbbbbbbbbbb \r\n",
        [Token(b"a" * 16, Scope.READ), Token(b"b" * 16, Scope.WRITE)],
    ),
    "several of each": (
        b"read aaaaaaaaaaaaaaaa\nwrite bbbbbbbbbbbbbbbb\nread cccccccccccccccc\nwrite dddddddddddddddd\n",
        [
            Token(b"a" * 16, Scope.READ),
            Token(b"b" * 16, Scope.WRITE),
            Token(b"c" * 16, Scope.READ),
            Token(b"d" * 16, Scope.WRITE),
        ],
    ),
    "every character": (b"read -._~+/AZaz09-._~+/==\n", [Token(b"-._~+/AZaz09-._~+/==", Scope.READ)]),
    "longest": (b"write " + b"a" * 512, [Token(b"a" * 512, Scope.WRITE)]),
}

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no token"),
    "only comments": (b"# read aaaaaaaaaaaaaaaa\n\n", "no token"),
    "other word": (b"admin aaaaaaaaaaaaaaaa", "line 1 is neither"),
    "capital word": (b"READ aaaaaaaaaaaaaaaa", "line 1 is neither"),
    "word alone": (b"# x\nread\n", "line 2 is neither"),
    "token alone": (b"aaaaaaaaaaaaaaaa\n", "line 1 is neither"),
    "three words": (b"read aaaaaaaaaaaaaaaa # mine\n", "line 1 is neither"),
    "no space": (b"read:aaaaaaaaaaaaaaaa\n", "line 1 is neither"),
    "short": (b"read aaaaaaaaaaaaaaaa\nread bbbbbbbbbbbbbbb", "line 2 does not have 16 to 512"),
    "long": (b"read " + b"a" * 513, "line 1 does not have 16 to 512"),
    "quote": (b'read "aaaaaaaaaaaaaaaa"', "line 1 has characters other than"),
    "equals sign within": (b"read aaaaaaaa=aaaaaaa", "line 1 has characters other than"),
    "not ASCII": ("read ééééééééééééééé".encode(), "line 1 has characters other than"),
    "not UTF-8": (b"read \xff\xfeaaaaaaaaaaaaaaaa", "line 1 has characters other than"),
    "NUL": (b"read aaaaaaaaaaaaaaaa\x00", "line 1 has characters other than"),
    "twice": (b"read aaaaaaaaaaaaaaaa\nread bbbbbbbbbbbbbbbb\nread aaaaaaaaaaaaaaaa", "line 3 stands there twice"),
    "for reading and writing": (b"read aaaaaaaaaaaaaaaa\nwrite aaaaaaaaaaaaaaaa", "line 2 stands there twice"),
    "too large": (b"# \n" * 100_000, "larger than 256 KiB"),
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_a_good_token_file_is_read(tmp_path: Path, name: str) -> None:
    """Tokens come out in their order, with what they allow; comments and white space do not matter."""
    content, tokens = GOOD_FILES[name]
    (tmp_path / "tokens").write_bytes(content)
    assert read_tokens(str(tmp_path / "tokens")) == tokens


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_token_file_is_refused_without_telling_what_is_in_it(tmp_path: Path, name: str) -> None:
    """The reason is one line with the number of the bad one, and never repeats a token."""
    content, reason = BAD_FILES[name]
    (tmp_path / "tokens").write_bytes(content)
    with pytest.raises(TokenFileError) as refused:
        read_tokens(str(tmp_path / "tokens"))
    text = str(refused.value)
    assert reason in text
    assert len(text.splitlines()) == 1
    assert "aaaaaaaa" not in text


@pytest.mark.parametrize("path", ["nothing", ".", "nul\x00"])
def test_an_unreadable_token_file_is_refused(tmp_path: Path, path: str) -> None:
    """A file that is missing, a folder, or no path at all is named in the reason."""
    with pytest.raises(TokenFileError, match="cannot read the token file"):
        read_tokens(f"{tmp_path}/{path}")


AUTHORIZATIONS: dict[str, tuple[list[str], Scope | None]] = {
    "none": ([], None),
    "reader": ([f"Bearer {READER}"], Scope.READ),
    "writer": ([f"Bearer {WRITER}"], Scope.WRITE),
    "any case of the scheme": ([f"bEARER {WRITER}"], Scope.WRITE),
    "more spaces": ([f"Bearer   {WRITER} \t"], Scope.WRITE),
    "unknown": (["Bearer 0123456789abcdef"], None),
    "empty": (["Bearer "], None),
    "scheme alone": (["Bearer"], None),
    "nothing": ([""], None),
    "other scheme": ([f"Basic {WRITER}"], None),
    "token alone": ([WRITER], None),
    "a part": ([f"Bearer {WRITER[:-1]}"], None),
    "more": ([f"Bearer {WRITER}x"], None),
    "other case": ([f"Bearer {WRITER.upper()}"], None),
    "two tokens in one": ([f"Bearer {WRITER}, {READER}"], None),
    "not ASCII": (["Bearer " + "é" * 20], None),
    "not UTF-8": (["Bearer " + b"\xff\xfe".decode(errors="surrogateescape") * 10], None),
    "two headers": ([f"Bearer {WRITER}", f"Bearer {WRITER}"], None),
}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_what_a_token_in_a_header_allows(name: str) -> None:
    """A known token allows what its line says, writers read as well, and nothing else is ever let past or raises."""
    guard = Guard([Token(READER.encode(), Scope.READ), Token(WRITER.encode(), Scope.WRITE)])
    values, scope = AUTHORIZATIONS[name]
    for needed in (Scope.READ, Scope.WRITE):
        refusal = guard.refuse(values, needed)
        assert (refusal is None) == (scope is not None and scope >= needed)


@pytest.mark.parametrize("sent", [b"a" * 16, b"b" * 16, b"c" * 16, b"unknown", b""])
def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Whatever is sent, it is compared with every token once by compare_digest, and by nothing that could end early."""
    tokens = [Token(letter * 16, Scope.WRITE) for letter in (b"a", b"b", b"c")]
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False  # so whoever compares in a second way still finds the token, and is found out

    guard = Guard(tokens)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert guard.scope(sent) is Scope.NOTHING
    assert compared == [(token.secret, sent) for token in tokens]
    monkeypatch.undo()
    assert (guard.scope(sent) is Scope.WRITE) == (sent in {token.secret for token in tokens})


@pytest.mark.parametrize("place", range(3))
def test_a_token_that_is_found_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """All tokens are compared wherever the right one stands, so that the time does not tell its place."""
    tokens = [Token(letter * 16, Scope.READ) for letter in (b"a", b"b", b"c")]
    compared = []
    honest = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return honest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert Guard(tokens).scope(tokens[place].secret) is Scope.READ
    assert compared == [token.secret for token in tokens]


@pytest.fixture
def guard() -> Guard | None:
    """Two tokens, one of each kind; overrides the fixture of all other modules."""
    return Guard([Token(READER.encode(), Scope.READ), Token(WRITER.encode(), Scope.WRITE)])


OPEN = {"none": 200, "unknown": 200, "reader": 200, "writer": 200}
READS = {"none": 401, "unknown": 401, "reader": 200, "writer": 200}
WRITES = {"none": 401, "unknown": 401, "reader": 403, "writer": 200}
ROUTES = {
    ("GET", "/health"): OPEN,
    ("HEAD", "/health"): OPEN,
    ("GET", "/stats?symbol=A&k=1"): READS,
    ("HEAD", "/stats?symbol=A&k=1"): READS,
    ("GET", "/prices?symbol=A&last=1"): READS,
    ("POST", "/add_batch"): WRITES,
    ("DELETE", "/symbols/A"): {**WRITES, "writer": 204},
}
CHALLENGES = {
    "none": "Bearer",
    "unknown": 'Bearer error="invalid_token"',
    "reader": 'Bearer error="insufficient_scope", scope="write"',
}
TOKENS = {"unknown": "x" * 20, "reader": READER, "writer": WRITER}


def authorization(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[token]}"} if token in TOKENS else {}


@pytest.mark.parametrize("token", OPEN)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_who_may_do_what_with_which_token_401_403(api: Api, method: str, path: str, token: str) -> None:
    """Each route serves whom it should and refuses all others with a challenge, a problem document and no effect."""
    path, _, query = path.partition("?")
    expected = ROUTES[method, f"{path}?{query}" if query else path][token]
    for slash in ("", "/"):
        added = api.request("POST", "/add_batch", content=BATCH, headers=authorization("writer"))
        assert added.status_code == 200
        before = api.state()
        url = f"{path}{slash}?{query}" if query else f"{path}{slash}"
        body = BATCH if method == "POST" else None
        response = api.request(method, url, headers=authorization(token), content=body)
        assert response.status_code == expected
        if expected in {401, 403}:
            assert response.headers["www-authenticate"] == CHALLENGES[token]
            assert response.headers["content-type"] == "application/problem+json"
            assert method == "HEAD" or response.json()["status"] == expected
            assert api.state() == before
        else:
            assert "www-authenticate" not in response.headers
            assert (api.state() == before) == (method in {"GET", "HEAD"})


def test_two_authorization_headers_are_400(api: Api) -> None:
    """Which of two tokens a proxy in front has looked at cannot be known, so neither counts."""
    headers = [("authorization", f"Bearer {WRITER}"), ("authorization", f"Bearer {WRITER}")]
    response = api.request("POST", "/add_batch", content=BATCH, headers=headers)
    assert response.status_code == 400
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_request"'
    assert api.state() == {}


def test_the_413_of_a_body_holds_behind_the_check_of_the_token(api: Api, settings: Settings) -> None:
    """A body beyond the limit is 413 also for whoever may write: the check does not lift what streaming lifts."""
    body = BATCH + b" " * settings.max_body
    assert api.request("POST", "/add_batch", content=body, headers=authorization("writer")).status_code == 413
    assert api.request("POST", "/add_batch", content=body[: settings.max_body], headers=authorization("writer"))
    assert api.state() == {"A": 1}


def test_without_tokens_there_is_no_check(settings: Settings) -> None:
    """Where no token file is given, the routes call the very handlers, and with one only the public routes do."""
    symbols = Symbols(SharedMemory(settings.layout))
    wrapped = {}
    for name, guard in (("open", None), ("guarded", Guard([Token(b"a" * 16, Scope.READ)]))):
        app = create_app(settings, symbols, f"tenfold-{name}", guard)
        wrapped[name] = {
            route.name.partition(".")[2] for route in app.router.routes if hasattr(route.handler, "__wrapped__")
        }
        Sanic.unregister_app(app)
    assert wrapped == {
        "open": set(),
        "guarded": {
            "POST /add_batch",
            "GET /prices",
            "GET /stats",
            "GET /stats/all",
            "GET /symbols",
            "DELETE /symbols/<symbol:str>",
            "GET /metrics",
        },
    }


@pytest.fixture(scope="module", params=[(), ("--no-door",)], ids=["at the door", "through the framework"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Whatever is asked with the right token is remembered, or nothing is: each test runs with both."""
    _, path = token_file(tmp_path_factory.mktemp("access"), read=READER, write=WRITER)
    with running(*request.param, workers=1, max_k=4, env={"TENFOLD_TOKEN_FILE": path}) as process:
        yield process
        process.stop_cleanly()
        process.assert_no_defect(READER, WRITER)


def head(token: str | None, *headers: str) -> bytes:
    """The head of a batch that is sent with a token."""
    bearer = () if token is None else (f"Authorization: Bearer {token}",)
    return request("POST", "/add_batch", *bearer, *headers)


def count(wire: Wire) -> int:
    """Prices of A, by adding one more, over this very connection."""
    answer = wire.ask(post(BATCH, f"Authorization: Bearer {WRITER}"))
    assert answer.status == 200
    return int(answer.document["count"])


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("x" * 20, 401), (READER, 403)])
def test_a_body_is_not_waited_for_where_it_is_401_or_403(service: Process, token: str | None, status: int) -> None:
    """The refusal comes before the body was sent; the body is not appended; the next request is served properly."""
    body = BATCH.ljust(1_000_000)
    with Wire(service.port) as wire:
        before = count(wire)
        answer = wire.ask(head(token, f"Content-Length: {len(body)}"))
        assert answer.status == status  # not one byte of the body has been sent
        wire.send(body)
        assert count(wire) == before + 1


@pytest.mark.parametrize(("token", "status"), [(None, 401), (READER, 403)])
def test_a_chunked_body_that_is_401_or_403_is_skipped(service: Process, token: str | None, status: int) -> None:
    """A body in chunks that may not be sent is skipped to its end, and what follows is the next request."""
    with Wire(service.port) as wire:
        before = count(wire)
        answer = wire.ask(head(token, "Transfer-Encoding: chunked") + chunk(BATCH) + chunk(b""))
        assert answer.status == status
        assert count(wire) == before + 1


def test_an_endless_body_that_is_401_is_not_skipped_for_ever(service: Process) -> None:
    """A refused body beyond the limit ends the connection instead of being read."""
    assert ask_once(service.port, head(None, "Content-Length: 100000000")).status == 401


def test_bytes_that_are_no_text_are_no_token_401(service: Process) -> None:
    """A header of arbitrary bytes is refused like any other unknown token."""
    with Wire(service.port) as wire:
        for secret in (b"\xff\xfe\x80" * 10, "日本".encode() * 10, b"'\"<>;" * 10):
            asked = request("GET", "/stats?symbol=A&k=1", b"Authorization: Bearer " + secret)
            assert wire.ask(asked).status == 401


def test_health_is_public_without_a_token(service: Process) -> None:
    """Health needs no token: it says nothing about prices."""
    assert httpx.get(f"{service.url}/health").status_code == 200


def test_a_bad_token_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    """A token file that is of no use ends the start with one clear line; nobody is let in by mistake."""
    path = tmp_path / "tokens"
    path.write_bytes(BAD_FILES["short"][0])
    done = command("--port", "0", "--token-file", str(path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tenfold: cannot ")
    assert str(path) in done.stderr
