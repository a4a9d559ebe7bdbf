"""Options as they are read."""

from __future__ import annotations

import numpy as np
import pytest

from loadgen.plan import MAX, Plan, Rate, Sizes, Target, read_rate, read_sizes, read_target, read_token
from loadgen.wire.requests import batch_request, stats_request

HERE = Target("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://127.0.0.1:8000", HERE),
        ("http://127.0.0.1:8000/", HERE),
        ("http://localhost", Target("localhost", 80)),
        ("http://[::1]:9000", Target("::1", 9000)),
        ("https://localhost", Target("localhost", 443, tls=True)),
        ("https://[::1]:9000/", Target("::1", 9000, tls=True)),
    ],
)
def test_a_url_is_a_host_and_a_port(text: str, target: Target) -> None:
    """Both parts are read, with the scheme's own port unless another is named; the URL reads as the same again."""
    assert read_target(text) == target
    assert read_target(target.url) == target


@pytest.mark.parametrize(
    "text", ["ftp://a:1", "https://", "a:1", "http://", "http://a/b", "http://a?b", "http://a:b", ""]
)
def test_other_urls_are_refused(text: str) -> None:
    """What this client cannot reach is refused in words."""
    with pytest.raises(ValueError, match=r"."):
        read_target(text)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "é" * 16, "a=b", "a" * 513])
def test_what_is_no_token_is_refused_without_repeating_it(token: str) -> None:
    """What would break out of its header, or be refused by every service, is not sent."""
    with pytest.raises(ValueError, match=r"a token has up to 512") as refused:
        read_token(token)
    assert not token or token not in str(refused.value)


def test_a_token_is_sent_and_not_shown() -> None:
    """Every request carries it; no representation of a plan or target does."""
    target = Target("a", 1, token="0123456789abcdef")  # noqa: S106 - nobody's
    line = b"\r\nAuthorization: Bearer 0123456789abcdef\r\n"
    assert line in stats_request(target, "A", 1)
    assert line in batch_request(target, "A", np.ones(1))
    assert b"Authorization" not in stats_request(HERE, "A", 1)
    assert "0123456789abcdef" not in repr(Plan(target, ("A",)))


def test_rates_and_sizes_are_read() -> None:
    """The closed model is max, 0 is nothing, and a range includes both its ends."""
    assert read_rate("max") == MAX
    assert read_rate("200/s") == read_rate("200") == Rate(200.0)
    assert read_rate("0.5/s") == Rate(0.5)
    assert read_sizes("10000") == Sizes(10_000, 10_000)
    assert read_sizes("1-10000") == Sizes(1, 10_000)
    for text in ("", "-1", "200/m", "fast", "1e3"):
        with pytest.raises(ValueError, match="rate"):
            read_rate(text)
    for text in ("", "0", "5-4", "1-", "a", "-3"):
        with pytest.raises(ValueError, match="size"):
            read_sizes(text)


def test_symbols_are_dealt_to_processes() -> None:
    """Every symbol belongs to one process, and no process is idle."""
    plan = Plan(HERE, tuple("ABCDE"), processes=2)
    assert plan.shares() == [[0, 2, 4], [1, 3]]
    assert Plan(HERE, ("A",), processes=4).shares() == [[0]]
