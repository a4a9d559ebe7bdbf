"""Clients that misbehave, by the thousand, in one thread: what the soak and the benchmark of abuse put a service under.

Every kind of abuse is a script: a generator of what one connection sends next. None of them may change the state of the
service: batches are malformed, too large, or never complete. A crowd plays scripts over many connections, cheaply: it
sends one piece each time a connection's turn comes, and waits for nothing.
"""

from __future__ import annotations

import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final, Self

from loadgen.plan import Target
from loadgen.wire.requests import get, post

Script = Iterator[bytes]
"""What a connection sends at each of its turns; the end of it closes the connection."""

MEBIBYTE: Final = 1 << 20
SMALL_BUFFER: Final = 4096
"""Of a client that never reads, so that its answers pile up with the service and not here."""

LEAST_SLEEP: Final = 0.005
"""Turns are taken together, so that a crowd costs little of the processors that it shares with its victim."""


def idle(_target: Target, _random: Random) -> Script:
    """Connects and says nothing."""
    while True:
        yield b""


def dribbled_header(target: Target, random: Random) -> Script:
    """A header, a few bytes at a time, that never ends."""
    yield f"GET /health HTTP/1.1\r\nHost: {target.authority}\r\nX-Slow: ".encode()
    while True:
        yield b"a" * random.randint(1, 4)


def dribbled_body(target: Target, random: Random) -> Script:
    """Most of a large body at once, and then a byte at a time."""
    yield post(target, "/add_batch/", b" " * 900_000)[: random.randint(1_000, 300_000)]
    while True:
        yield b" "


def never_reads(target: Target, _random: Random) -> Script:
    """Asks and asks and takes no answer."""
    while True:
        yield get(target, "/stats/?symbol=nobody&k=1") * 50


def garbage(_target: Target, random: Random) -> Script:
    """What is not HTTP."""
    yield random.choice([random.randbytes(random.randint(1, 20_000)), b"\x16\x03\x01" + random.randbytes(200)])
    yield b""


def broken_requests(target: Target, random: Random) -> Script:
    """What is nearly HTTP: framing that two parsers may read differently."""
    whole = post(target, "/add_batch/", b'{"symbol":"NOBODY","values":[]}')
    yield random.choice(
        [
            whole.replace(b"Content-Length", b"Content-Length : 5\r\nX"),
            whole.replace(b"Content-Length: ", b"Content-Length: +"),
            whole.replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\nContent-Length: "),
            whole.replace(b"Host", b" Host"),
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        ]
    )
    yield b""


def huge_body(target: Target, _random: Random) -> Script:
    """A body beyond every limit, in chunks."""
    yield post(target, "/add_batch/", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    while True:
        yield b"10000\r\n" + b" " * 0x10000 + b"\r\n"


def leaves_in_mid_body(target: Target, random: Random) -> Script:
    """A batch that would be valid, of which the end never comes."""
    whole = post(target, "/add_batch/", b'{"symbol":"NOBODY","values":[' + b"1.25," * 9_999 + b"1.25]}")
    for part in range(random.randint(1, 4)):
        yield whole[part * 10_000 : (part + 1) * 10_000]


def malformed_batches(target: Target, random: Random) -> Script:
    """Batches that are none, over a connection that is kept."""
    bodies = [
        b"",
        b"{",
        b"[1.0]",
        b'{"symbol":"NOBODY"}',
        b'{"symbol":"NOBODY","values":[]}',
        b'{"symbol":"NOBODY","values":[NaN]}',
        b'{"symbol":"NOBODY","values":[1e999]}',
        b'{"symbol":"NOBODY","values":[1.0,"2"]}',
        b'{"symbol":"","values":[1.0]}',
        b'{"symbol":"NOBODY","values":' + b"[" * 5_000,
        b'{"symbol":"NOBODY","values":[' + b"1," * 10_000 + b"1]}",
    ]
    while True:
        yield post(target, "/add_batch/", random.choice(bodies))


def unknown_symbols(target: Target, random: Random) -> Script:
    """Questions about symbols that are not there, and paths that are not."""
    while True:
        path = random.choice(["/stats/?symbol=S{}&k=1", "/stats/?symbol=S{}&k=9", "/nothing/{}", "/stats/?k={}"])
        yield get(target, path.format(random.randrange(10**9)))


def pipelined_bodies(target: Target, _random: Random) -> Script:
    """Bodies of nearly 1 MiB, as fast as they are taken."""
    request = post(target, "/add_batch/", b'{"symbol":"NOBODY","values":[]}'.ljust(MEBIBYTE - 1))
    while True:
        yield request


@dataclass(frozen=True)
class Abuse:
    """A kind of abuse: its script, the seconds between two turns of a connection, and whether it takes answers."""

    name: str
    script: Callable[[Target, Random], Script]
    pace: float = 1.0
    reads: bool = True


KINDS: Final = (
    Abuse("connected and silent", idle, pace=5.0),
    Abuse("headers that never end", dribbled_header),
    Abuse("bodies that never end", dribbled_body),
    Abuse("answers never read", never_reads, pace=0.1, reads=False),
    Abuse("garbage", garbage, pace=0.2),
    Abuse("broken requests", broken_requests, pace=0.2),
    Abuse("bodies beyond the limit", huge_body, pace=0.05),
    Abuse("leaving in mid-body", leaves_in_mid_body, pace=0.05),
    Abuse("malformed batches", malformed_batches, pace=0.1),
    Abuse("unknown symbols", unknown_symbols, pace=0.05),
    Abuse("large bodies, pipelined", pipelined_bodies, pace=0.1),
)
"""Every kind there is."""


@dataclass
class _Player:
    """One connection and what it plays."""

    abuse: Abuse
    script: Script
    connection: socket.socket
    rest: bytes = b""


@dataclass
class Crowd:
    """Connections that misbehave; all of them are closed at the end of ``with``.

    Args:
        target: whom.
        random: where the scripts' choices come from.
        opened: connections so far, by kind.
        ended: of these, those that the service has closed, or that could not be made.
    """

    target: Target
    random: Random
    opened: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    _turns: dict[str, deque[tuple[float, _Player]]] = field(default_factory=dict)  # by kind: those of one keep in line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disperse()

    def __len__(self) -> int:
        return sum(map(len, self._turns.values()))

    def join(self, abuse: Abuse, count: int) -> None:
        """So many more connections of a kind; their turns are spread over its pace."""
        now = time.monotonic()
        for number in range(count):
            player = self._player(abuse)
            self._turns.setdefault(abuse.name, deque()).append((now + abuse.pace * number / count, player))

    def disperse(self) -> None:
        """Close all connections."""
        for queue in self._turns.values():
            for _, player in queue:
                player.connection.close()
        self._turns.clear()

    def play(self, until: float, going: Callable[[], bool] = lambda: True) -> None:
        """Give every connection its turns, until a moment, as long as ``going``."""
        while (now := time.monotonic()) < until and going():
            for queue in self._turns.values():
                while queue and queue[0][0] <= now:
                    due, player = queue.popleft()
                    later = max(now, due + player.abuse.pace)  # what cannot be kept up with is not made up for
                    queue.append((later, self._turn(player)))
            next_due = min((queue[0][0] for queue in self._turns.values() if queue), default=until)
            time.sleep(max(LEAST_SLEEP, min(next_due, until) - time.monotonic()))

    def _player(self, abuse: Abuse) -> _Player:
        connection = socket.socket()
        connection.setblocking(False)
        if not abuse.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        with suppress(BlockingIOError):
            connection.connect((self.target.host, self.target.port))
        self.opened[abuse.name] += 1
        return _Player(abuse, abuse.script(self.target, self.random), connection)

    def _turn(self, player: _Player) -> _Player:
        """Let a connection play; if it has come to its end, another one takes its place."""
        try:
            if player.abuse.reads:
                _discard_answers(player.connection)
            player.rest = player.rest or next(player.script)
            with suppress(BlockingIOError):
                player.rest = player.rest[player.connection.send(player.rest) if player.rest else 0 :]
        except StopIteration:
            player.connection.close()
        except OSError:
            self.ended += 1
            player.connection.close()
        else:
            return player
        return self._player(player.abuse)


def _discard_answers(connection: socket.socket) -> None:
    """Take what has arrived.

    Raises:
        ConnectionResetError: the service has closed.
    """
    with suppress(BlockingIOError):
        while received := connection.recv(MEBIBYTE):
            if len(received) < MEBIBYTE:
                return
        raise ConnectionResetError("closed by the service")
