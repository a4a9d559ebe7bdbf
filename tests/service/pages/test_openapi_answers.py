"""Real answers, of every status that can be provoked, held to what the document says of them."""

from __future__ import annotations

import html
import json
import re
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from service.pages.openapi.curl import ADDRESS
from service.pages.openapi.document import openapi
from service.settings import Settings
from tests.service.pages.test_openapi import Json, resolved, validator
from tests.support.process import Process, running

SETTINGS = Settings(workers=1, max_symbols=2, max_k=4, max_body=4096, request_seconds=0.5, max_connections=8)
DOCUMENT = openapi(SETTINGS)

OPTIONS = (
    *("--workers", "1", "--max-symbols", "2", "--max-k", "4", "--max-body", "4096"),
    *("--request-seconds", "0.5", "--max-connections", "8"),
)


@pytest.fixture
def service() -> Iterator[Process]:
    with running(*OPTIONS) as process:
        yield process


def check(path: str, method: str, answer: httpx.Response, expected: int) -> None:
    """Hold an answer to the document: status, headers, media type, body."""
    assert answer.status_code == expected, answer.text
    operation = DOCUMENT["paths"][path].get(method)
    if expected == 405:
        assert operation is None
        described = DOCUMENT["components"]["responses"]["405"]
        allowed = {name.upper() for name in DOCUMENT["paths"][path]}
        assert {name.strip() for name in answer.headers["allow"].split(",")} == allowed
    else:
        described = resolved(DOCUMENT, operation["responses"][str(expected)])
    for name, header in described.get("headers", {}).items():
        value: object = answer.headers[name]
        if header["schema"]["type"] == "integer":
            value = int(answer.headers[name])
        validator(DOCUMENT, header["schema"]).validate(value)
    contents: Json = described.get("content", {})
    if not contents:
        assert answer.content == b""
        return
    content = contents[answer.headers["content-type"]]
    is_json = "json" in answer.headers["content-type"]
    validator(DOCUMENT, content["schema"]).validate(answer.json() if is_json else answer.text)


REQUESTS: list[tuple[int, str, str, str, Json]] = [
    (200, "post", "/add_batch/", "/add_batch/", {"json": {"symbol": "A", "values": [1.5]}}),
    (200, "post", "/add_batch/", "/add_batch/", {"json": {"symbol": "EUR/USD", "values": [1, 2]}}),
    (400, "post", "/add_batch/", "/add_batch/", {"content": b"{"}),
    (409, "post", "/add_batch/", "/add_batch/", {"json": {"symbol": "C", "values": [1.5]}}),
    (412, "post", "/add_batch/", "/add_batch/?at=5", {"json": {"symbol": "A", "values": [1.5]}}),
    (413, "post", "/add_batch/", "/add_batch/", {"content": b" " * 5000}),
    (415, "post", "/add_batch/", "/add_batch/", {"content": b"{}", "headers": {"content-type": "text/xml"}}),
    (415, "post", "/add_batch/", "/add_batch/", {"content": b"{}", "headers": {"content-encoding": "gzip"}}),
    (417, "post", "/add_batch/", "/add_batch/", {"content": b"{}", "headers": {"expect": "much"}}),
    (422, "post", "/add_batch/", "/add_batch/", {"json": {"symbol": "A", "values": [1, None]}}),
    (422, "post", "/add_batch/", "/add_batch/", {"json": [1]}),
    (405, "put", "/add_batch/", "/add_batch/", {}),
    *[
        case
        for method in ("get", "head")
        for case in (
            (200, method, "/stats/", "/stats/?symbol=A&k=4", {}),
            (400, method, "/stats/", "/stats/?symbol=A&k=5", {}),
            (404, method, "/stats/", "/stats/?symbol=X&k=1", {}),
            (413, method, "/stats/", "/stats/?symbol=A&k=1", {"headers": {"x-long": "x" * 8192}}),
            (200, method, "/stats/all/", "/stats/all/?symbol=EUR/USD", {}),
            (400, method, "/stats/all/", "/stats/all/", {}),
            (404, method, "/stats/all/", "/stats/all/?symbol=X", {}),
            (200, method, "/prices/", "/prices/?symbol=A&last=2", {}),
            (200, method, "/prices/", "/prices/?symbol=A&last=2", {"headers": {"accept": "application/octet-stream"}}),
            (400, method, "/prices/", "/prices/?symbol=A", {}),
            (404, method, "/prices/", "/prices/?symbol=A&from=7&size=1", {}),
            (200, method, "/symbols/", "/symbols/", {}),
            (200, method, "/health/", "/health/", {}),
            (200, method, "/openapi.json", "/openapi.json", {}),
            (200, method, "/docs", "/docs", {}),
            (304, method, "/docs", "/docs", {"headers": {"if-none-match": "*"}}),
            (200, method, "/", "/", {}),
            (304, method, "/", "/", {"headers": {"if-none-match": "*"}}),
        )
    ],
    *[(405, "patch", path, path, {}) for path in DOCUMENT["paths"]],
    (204, "delete", "/symbols/{symbol}", "/symbols/EUR%2FUSD", {}),
    (404, "delete", "/symbols/{symbol}", "/symbols/EUR%2FUSD", {}),
    (405, "get", "/symbols/{symbol}", "/symbols/A", {}),
]


def test_every_answer_is_as_described(service: Process) -> None:
    """Each status that a request can provoke comes with the headers and the body that the document describes."""
    with httpx.Client(base_url=service.url) as client:
        for status, method, path, target, options in REQUESTS:
            check(path, method, client.request(method, target, **options), status)


def test_late_and_surplus_requests_are_answered_as_described(service: Process) -> None:
    """408 and 503, which the connection rather than the request is about, are as described, too."""
    port = service.port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
        late.sendall(b"GET /health/ HTTP/1.1\r\nHost: x\r\n")
        check("/health/", "get", _read(late), 408)
    held = [httpx.Client(base_url=service.url) for _ in range(SETTINGS.max_connections)]
    try:
        for client in held:
            assert client.get("/health/").status_code == 200
        check("/health/", "get", httpx.get(f"{service.url}/health/"), 503)
    finally:
        for client in held:
            client.close()


def _read(connection: socket.socket) -> httpx.Response:
    """An answer that ends with its connection."""
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]  # pairs


def test_out_of_memory_is_as_described() -> None:
    """507, where the reserve is larger than any machine's memory."""
    with running("--workers", "1", "--max-k", "4", "--memory-reserve", str(1 << 40)) as process:
        answer = httpx.post(f"{process.url}/add_batch/", json={"symbol": "A", "values": [1.0]})
        check("/add_batch/", "post", answer, 507)


def test_the_commands_of_the_page_do_what_it_says(service: Process) -> None:
    """Every command on /docs, pasted from top to bottom, gets the answer that is printed below it."""
    page = httpx.get(f"{service.url}/docs").text
    shown = re.findall(
        r'aria-label="Command"><code>(.*?)</code></pre></div>(?:<p>(?:(?!<pre).)*?</p>'
        r'<pre [^>]*aria-label="Answer"><code>(.*?)</code>)?',
        page,
        re.DOTALL,
    )
    assert len(shown) == len([item for item in DOCUMENT["paths"].values() if "get" in item]) + 2
    for command, answer in shown:
        pasted = html.unescape(command).replace(ADDRESS, service.url) + " -sS --fail"
        ran = subprocess.run(["/bin/bash", "-c", pasted], capture_output=True, text=True, timeout=30, check=True)
        if answer:
            assert json.loads(ran.stdout) == json.loads(html.unescape(answer)), command


def test_the_page_is_fenced_in(service: Process) -> None:
    """The page loads nothing from elsewhere, and may not: its policy allows this origin and nothing inline."""
    answer = httpx.get(f"{service.url}/docs")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for target in re.findall(r'(?:src|href)="([^"#]+)', answer.text):
        assert target.startswith("/")
        assert httpx.get(service.url + target).status_code == 200
    assert "<style" not in answer.text
    assert not re.search(r"\son\w+=|style=", answer.text)
