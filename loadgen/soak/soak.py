"""A soak: load that is checked answer by answer, while workers are killed and clients misbehave, and a look afterwards.

It starts a service of its own. What may fail is what was on its way to a worker that was killed, and nothing else; a
batch is sent again then. In the end every batch must be there, once, and what abusive clients took be given back.
"""

from __future__ import annotations

import multiprocessing as mp
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from loadgen.commands.audit import audit
from loadgen.launch import Footprint, Launched, launched
from loadgen.load.outcome import Outcome
from loadgen.load.run import ServiceError, Watcher, execute
from loadgen.load.sender import NO_ANSWER
from loadgen.plan import Plan, Rate, Sizes
from loadgen.truth.ledger import CUT, Ending
from loadgen.truth.oracle import mismatches
from loadgen.wire.client import Caller, ProtocolError
from loadgen.wire.requests import batch_request, read_receipt, read_statistics, stats_request

from .trouble import HANG_SECONDS, Blows, Crowds, harass, strike

MAX_K: Final = 5
"""Rings of 10^5 prices, which go around every 20 batches."""

ARGUMENTS: Final = (
    *("--port", "0", "--workers", "2", "--max-k", str(MAX_K)),
    *("--hang-seconds", str(HANG_SECONDS), "--lock-seconds", str(2 * HANG_SECONDS)),
)
"""A batch waits for longer than a worker may stand still with the lock of its symbol."""

SYMBOLS: Final = 10
SIZES: Final = Sizes(1, 10_000)
RATE: Final = Rate(30.0)
POLL_RATE: Final = Rate(70.0)
"""A symbol and second: 1,000 requests a second in all, which leaves time for the trouble on two cores."""

ORACLE_BYTES: Final = SYMBOLS * 10 * 10**MAX_K * 8
"""Ten windows of the longest kind for each symbol: answers are judged a little later than they come."""

PATIENCE_SECONDS: Final = 30.0
"""For an answer, on a machine that may be busy with others and while a worker stands still."""

CALM_SECONDS: Final = 2.0
"""Without trouble at the end, so that every symbol's last batch is acknowledged."""

RELEASE_SECONDS: Final = 15.0
"""How long the service may take to let go of connections that have gone: a request's deadline, and some."""

SETTLE_SECONDS: Final = 1.2
"""Two sweeps of the service: in the first it sees that all is over, in the second it gives memory back."""

OWN_BYTES: Final = 64 << 20
"""What a worker may have grown by in the end: its first requests warm parsers and caches, and the allocator keeps some
of what was freed."""

EXPECTED_LOG: Final = re.compile(
    r"\d{4}-\S+ (INFO|WARNING) \d+ (compiling for .*|tenfold listens on .*|stopping|stopped|symbol \S+ created"
    r"|worker \d+ (\(process \d+\) (was killed by signal 9|stands still: killing it)|is replaced by process \d+)"
    r"|(refused|closed) \d+ (connections|unfinished requests) .*)"
)
"""Lines that a kill, the start, the stop and clients without manners explain."""

LINES_SHOWN: Final = 5

FORK: Final = mp.get_context("fork")


@dataclass
class Result:
    """What a soak has found; all was well if there are no violations. Bytes are of the largest worker, its own."""

    outcome: Outcome
    blows: Blows
    crowds: Crowds
    own_before: int = 0
    own_most: int = 0
    own_after: int = 0
    compared: int = 0
    log_lines: int = 0
    exit_code: int | None = None
    violations: list[str] = field(default_factory=list)


class _Look:
    """Has the trouble begin after the first second, looks at the workers after each, and hands the second on."""

    def __init__(self, service: Launched, troubles: Sequence[Connection], watcher: Watcher | None) -> None:
        self._service = service
        self._troubles = troubles
        self._watcher = watcher
        self._begun = False
        self.own_most = 0

    def second(self, outcome: Outcome) -> None:
        """A second has been added to the outcome."""
        if not self._begun:
            self._begun = True
            seconds = outcome.plan.seconds - 1
            for trouble in self._troubles:
                trouble.send(time.monotonic() + max(seconds - CALM_SECONDS, seconds / 2))
        self.own_most = max(self.own_most, _own(self._service.footprints()))
        if self._watcher is not None:
            self._watcher.second(outcome)


def soak(
    seconds: float,
    seed: int,
    watcher: Watcher | None = None,
    module: str = "service",
    arguments: Sequence[str] = ARGUMENTS,
) -> Result:
    """Soak a service that is started for it and stopped afterwards.

    Args:
        seconds: how long the load goes on.
        seed: of the load and the trouble.
        watcher: who wants to see the load go on.
        module: what to start.
        arguments: to start it with.

    Raises:
        RuntimeError: it did not start.
        ServiceError: it did not answer at the beginning.
    """
    with launched(module, arguments) as service:
        before = service.footprints()
        plan = Plan(
            target=service.target,
            symbols=tuple(f"SOAK-{number}" for number in range(SYMBOLS)),
            sizes=SIZES,
            prices="jump",
            seed=seed,
            rate=RATE,
            poll_rate=POLL_RATE,
            seconds=seconds,
            oracle_bytes=ORACLE_BYTES,
            timeout=PATIENCE_SECONDS,
            gone=PATIENCE_SECONDS,
            windows=tuple(range(1, MAX_K + 1)),
            endings=True,
            exactly_once=True,
            keep=True,
        )
        blows, crowds = _apart(partial(strike, service, seed)), _apart(partial(harass, service, seed))
        look = _Look(service, (blows, crowds), watcher)
        outcome = execute(plan, watcher=look)
        result = Result(outcome, blows.recv(), crowds.recv(), _own(before), look.own_most)
        result.violations += _of_load(outcome, result.blows)
        compared = list(_compare(plan, outcome))
        result.compared = len(compared)
        result.violations += [wrong for wrong in compared if wrong is not None]
        after = _released(service, before[0].sockets)
        result.own_after = _own(after)
        result.violations += _of_workers(before, after)
        result.exit_code = service.stop()
        log = service.log()
    if result.exit_code != 0:
        result.violations.append(f"stopped with exit code {result.exit_code}")
    result.log_lines = len(log)
    result.violations += [f"in the log: {line}" for line in log if not EXPECTED_LOG.fullmatch(line)][:LINES_SHOWN]
    return result


def _apart(job: Callable[[float], Blows | Crowds]) -> Connection:
    """Have a process of its own do a job, once it is told until when; what it returns comes back over the pipe."""
    here, there = FORK.Pipe()

    def work() -> None:
        here.close()
        with suppress(EOFError):
            there.send(job(there.recv()))

    FORK.Process(target=work, daemon=True).start()
    there.close()
    return here


def _own(footprints: Sequence[Footprint]) -> int:
    return max((footprint.own_bytes for footprint in footprints), default=0)


def _of_load(outcome: Outcome, blows: Blows) -> Iterator[str]:
    """What was wrong, and what failed without a kill to explain it."""
    for _, mistake in outcome.mistakes[:LINES_SHOWN]:
        yield f"wrong: {mistake.request}: expected {mistake.expected}; got {mistake.got}"
    if outcome.wrong:
        yield f"{outcome.wrong} wrong answers"
    if not outcome.right:
        yield "no answer was checked"
    if outcome.lost:
        yield outcome.lost
    refused = sum(endpoint.failed(name) - endpoint.statuses.get(CUT, 0) for name, endpoint in outcome.endpoints.items())
    if refused:
        yield f"{refused} requests were refused"
    cut = 0
    for reason, count in outcome.failures.items():
        if reason.startswith(NO_ANSWER):
            yield f"{count} × {reason}"
        else:
            cut += count
    kills = blows.kills + blows.hangs
    if cut > kills * SYMBOLS:
        yield f"{cut} connections broke, more than {kills} kills can have cut"
    if blows.unreplaced:
        yield f"{blows.unreplaced} killed workers were not replaced in time"


def _compare(plan: Plan, outcome: Outcome) -> Iterator[str | None]:
    """Read all prices back, ask for every window once more, and for the count of each symbol.

    For each of these nothing, or what is wrong.
    """
    caller = Caller(plan.target)
    try:
        for one in audit(plan):
            yield None if one.wrong is None else f"{one.symbol}, read back in the end: {one.wrong}"
        for name, endings in zip(plan.symbols, outcome.endings, strict=True):
            yield from _compare_symbol(plan, caller, name, endings)
    except (OSError, ProtocolError, ServiceError) as error:
        yield f"no answer in the end: {error}"
    finally:
        caller.close()


def _compare_symbol(plan: Plan, caller: Caller, name: str, endings: Sequence[Ending]) -> Iterator[str | None]:
    """The count tells which of the possible endings it is; the windows must be that one's."""
    answers = {k: read_statistics(caller.call(stats_request(plan.target, name, k)).body) for k in plan.windows}
    receipt = read_receipt(caller.call(batch_request(plan.target, name, np.ones(1))).body)
    total = receipt.total - 1 if receipt is not None else None
    ending = next((ending for ending in endings if ending.total == total), None)
    if ending is None:
        yield f"{name}: expected {' or '.join(str(ending.total) for ending in endings)} prices in the end; got {total}"
        return
    yield None
    for k, found in answers.items():
        wanted = ending.windows.get(k)
        right = found is not None and wanted is not None and not mismatches(found, wanted)
        yield None if right else f"{name}, k = {k}: expected {wanted} in the end; got {found}"


def _released(service: Launched, sockets: int) -> list[Footprint]:
    """What the workers take once no client is connected; waits until they have noticed."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while True:
        now = service.footprints()
        if time.monotonic() > deadline or all(footprint.sockets <= sockets for footprint in now):
            time.sleep(SETTLE_SECONDS)
            return service.footprints()
        time.sleep(0.1)


def _of_workers(before: Sequence[Footprint], after: Sequence[Footprint]) -> Iterator[str]:
    """Whether as many workers run as before, and take no more."""
    if len(after) != len(before):
        yield f"{len(after)} workers run in the end instead of {len(before)}"
    sockets = before[0].sockets
    for footprint in after:
        if footprint.sockets != sockets:
            yield f"a worker has {footprint.sockets} sockets open in the end instead of {sockets}"
        if footprint.own_bytes > _own(before) + OWN_BYTES:
            yield f"a worker has grown from {_own(before) >> 20} to {footprint.own_bytes >> 20} MiB in the end"


def summary(result: Result) -> str:
    """The result as a table."""
    outcome, blows, crowds = result.outcome, result.blows, result.crowds
    requests = sum(sum(endpoint.statuses.values()) for endpoint in outcome.endpoints.values())
    mebibytes = " → ".join(f"{own / 2**20:.0f}" for own in (result.own_before, result.own_most, result.own_after))
    rows = [
        ("requests", f"{requests:,} in {outcome.elapsed:.0f} s, of which {outcome.failed:,} were cut or failed"),
        ("answers", f"{outcome.right:,} right, {outcome.wrong:,} wrong, {outcome.unchecked:,} unchecked"),
        ("prices", f"{outcome.prices:,}"),
        ("in the end", f"{result.compared:,} windows, counts and streams of prices compared"),
        (
            "workers",
            f"{blows.kills} killed, {blows.hangs} hung, replaced after {blows.slowest:.2f} s; {blows.stops} stopped",
        ),
        ("abuse", f"{crowds.opened.total():,} connections, of which the service closed {crowds.ended:,}"),
        *((f"  {kind}", f"{count:,}") for kind, count in crowds.opened.most_common()),
        ("memory", f"{mebibytes} MiB, before, most and after: the largest worker's own"),
        ("log", f"{result.log_lines} lines; exit code {result.exit_code}"),
        ("violations", f"{len(result.violations)}"),
        *(("", violation) for violation in result.violations),
    ]
    return "\n".join(f"{what:<26}{found}" for what, found in rows)
