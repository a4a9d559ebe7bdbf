"""Pages as files over HTTP; what they do in a browser is tested in ``test_dashboard``."""

from __future__ import annotations

import re
from pathlib import PurePath

from service.pages.dashboard import ASSETS
from service.pages.files import FOLDER
from tests.service.conftest import Api

PATHS = ["/", *(f"/assets/{name}" for name in ASSETS)]


TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def test_a_page_and_its_parts_are_fenced_in(api: Api) -> None:
    """Each has its type, forbids what the page does not need, and may be kept but is asked for; HEAD says the same."""
    for path in PATHS:
        response = api.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == TYPES[PurePath(path).suffix or ".html"]
        policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
        for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
            assert policy[name] == "'none'"
        assert {value for name, value in policy.items() if name.endswith("-src")} == {"'none'", "'self'"}
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-cache"
        head = api.request("HEAD", path)
        assert head.content == b""
        assert {**head.headers, "connection": ""} == {**response.headers, "connection": ""}


def test_what_a_browser_has_is_not_sent_again_304(api: Api) -> None:
    """If-None-Match with the entity tag, in any of its forms, gets 304 without a body; anything else gets the page."""
    tag = api.get("/").headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = api.request("GET", "/", headers={"if-none-match": known})
        assert (response.status_code, response.headers["etag"], response.content) == (304, tag, b"")
    for known in ('"other"', "", f"{tag}x"):
        response = api.request("GET", "/", headers={"if-none-match": known})
        assert (response.status_code, response.headers["etag"]) == (200, tag)
        assert response.content == (FOLDER / "index.html").read_bytes()


def test_only_what_is_meant_to_be_is_served_404_405(api: Api) -> None:
    """No path leads out of the assets, and nothing else in their folder is served."""
    for path in ("/assets/", "/assets/__init__.py", "/assets/../__init__.py", "/assets/%2e%2e/settings.py"):
        assert api.get(path).status_code == 404
    assert api.request("POST", "/", content=b"").status_code == 405


def test_every_file_is_served_and_refers_to_no_other_place() -> None:
    """What lies in the folder is used, and no page, script or style names another host."""
    names = {path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"}
    assert names == {"index.html", *ASSETS}
    for name in names:
        text = (FOLDER / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9]", text), name
