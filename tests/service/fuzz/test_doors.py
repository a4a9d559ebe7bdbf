from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.service.fuzz.documents import MAX_BATCH, MAX_BODY
from tests.service.fuzz.effort import bounded, done
from tests.service.fuzz.streams import CUTS, LAST, STREAMS, cut, framed
from tests.support.doors import Doors, doors
from tests.support.sockets import request

BINARY = request("POST", "/add_batch?symbol=A", "Content-Type: application/octet-stream", body=bytes(16))
SAID_AGAIN = st.sampled_from(
    [
        BINARY,
        *(request("GET", f"/prices?symbol=A&from={begin}&size=2") for begin in (0, 1, 5, 90)),
        *(request("POST", f"/add_batch?symbol=A&at={at}", body=b'{"values": [1.5]}') for at in (0, 1, 2, 3, 9)),
        *(
            request("GET", target)
            for target in (
                "/stats?symbol=A&k=1",
                "/stats/all?symbol=A",
                "/symbols",
                "/health",
                "/prices?symbol=A&last=3",
            )
        ),
    ]
)
"""What is remembered soon."""

TALKS = st.lists(SAID_AGAIN | framed(broken=False) | STREAMS, min_size=1, max_size=6)


def settled(received: bytes) -> bytes:
    """Answers without the digits of avg and var, the last of which depend on how far the roll-up has come."""
    received = re.sub(rb'"(avg|var)":[^,}]+', rb'"\1":0', received)
    return re.sub(rb'content-length: \d+(?=\r\n\r\n[^\r]*"avg")', b"content-length: 0", received)


@pytest.fixture(scope="session")
def both() -> Iterator[Doors]:
    """A service that remembers heads beside one that does not, with small limits."""
    with doors(max_symbols=4, max_k=2, max_batch=MAX_BATCH, max_body=MAX_BODY, request_seconds=5.0) as pair:
        yield pair


@bounded(300)
@given(talk=TALKS, cuts=CUTS, repeated=st.integers(1, 3))
def test_either_door_answers_with_the_same_bytes_whatever_is_said(
    both: Doors, talk: list[bytes], cuts: list[int], repeated: int
) -> None:
    """Request by request, in one piece, or cut anywhere; once, and again when it is remembered."""
    done["examples"] += 1
    for pieces in (*[talk] * repeated, cut(b"".join(talk), cuts)):
        with_door, without = both.answers(*pieces, LAST)
        assert settled(with_door) == settled(without)
    done["talks"] += repeated + 1
