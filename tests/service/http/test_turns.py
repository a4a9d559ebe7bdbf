from __future__ import annotations

import asyncio
from itertools import pairwise

from service.http.limits import Turns
from tests.support.process import running
from tests.support.sockets import HEALTH, Wire, chunk, request


async def test_one_goes_on_in_a_turn_of_the_loop_where_pipelining() -> None:
    """However many wait, whoever does not wait here is served between any two of them, and they keep their order."""
    turns, events = Turns(), []

    async def pipelined(name: str) -> None:
        for number in range(3):
            await turns.mine()
            events.append(f"{name}{number}")

    async def other() -> None:
        for _ in range(12):
            events.append("-")
            await asyncio.sleep(0)

    await asyncio.gather(*map(pipelined, "abc"), other())
    together = "".join(event[0] for event in events)
    assert [event for event in events if event != "-"] == [f"{name}{number}" for number in range(3) for name in "abc"]
    assert not any(first != "-" and second != "-" for first, second in pairwise(together))


async def test_whoever_has_gone_holds_nobody_up() -> None:
    """A connection that is closed while it waits gives its turn away, and the last one leaves nothing running."""
    turns = Turns()
    gone = asyncio.ensure_future(turns.mine())
    stays = asyncio.ensure_future(turns.mine())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(stays, 1)
    assert gone.cancelled()
    await asyncio.wait_for(turns.mine(), 1)


def test_a_body_in_chunks_of_a_byte_holds_nobody_up() -> None:
    """While two hundred thousand chunks are taken another client has its turns: hundreds of answers, not a few."""
    with running(workers=1) as service, Wire(service.port) as chunked, Wire(service.port) as other:
        chunked.send(request("POST", "/add_batch", "Transfer-Encoding: chunked"), chunk(b" ") * 200_000 + chunk(b""))
        answers = 0
        while not chunked.has_answer():
            assert other.ask(HEALTH).status == 200
            answers += 1
        assert chunked.answer().status == 400
        assert answers > 50
        service.stop_cleanly()
