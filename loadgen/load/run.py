"""A run: look at the service, start senders and clerks, add up what they report, decide how it went."""

from __future__ import annotations

import gc
import mmap
import multiprocessing as mp
import signal
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from http import HTTPStatus
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, NamedTuple, Protocol

from loadgen.plan import Plan, Target
from loadgen.prices import Batches
from loadgen.wire.client import Caller, ProtocolError
from loadgen.wire.requests import Overview, delete, get, read_overview

from .clerk import Clerk
from .lane import SECOND
from .messages import Bodies, ClerkState, SenderState, Share
from .outcome import Outcome, Slo
from .recorder import Second
from .sender import Sender

FORK: Final = mp.get_context("fork")
"""Children share the parent's memory for bodies and need no second import of numpy. The parent has no threads yet."""

GARBAGE: Final = 100_000
"""Objects after which a child looks for cycles."""

HEAD_START: Final = SECOND // 20
"""From the word to start until the start, so that every sender has heard it."""


class UsageError(Exception):
    """The run cannot be started as it was asked for, in words for the user."""


class ServiceError(Exception):
    """The service cannot be reached, or is not a tenfold, in words for the user."""


class Watcher(Protocol):
    """Whoever wants to see the run while it goes on."""

    def second(self, outcome: Outcome) -> None:
        """A second has been added to the outcome."""


def look(target: Target, caller: Caller) -> Overview:
    """What the service holds, and its limits.

    Raises:
        OSError, ProtocolError: it does not answer.
        ServiceError: it cannot be reached, or is no tenfold.
    """
    response = caller.call(get(target, "/symbols/"))
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise ServiceError(f"{target.url} wants a token that it knows: --token, or TENFOLD_TOKEN")
    overview = read_overview(response.body) if response.status == HTTPStatus.OK else None
    if overview is None:
        raise ServiceError(f"{target.url} answers {response.status} to GET /symbols/: it is no tenfold")
    return overview


def unreachable(target: Target, error: Exception) -> str:
    """Words for the user where nobody answers."""
    return f"{target.url} does not answer: {error}; make serve starts a service, --url says where another one is"


def fit(plan: Plan, found: Overview) -> Plan:
    """The plan as it suits the service: its windows, and as many symbols as there is room for if it may be fewer.

    Raises:
        UsageError: it does not suit it, with what to do instead.
    """
    windows = tuple(k for k in plan.windows if k <= found.max_k)
    if not plan.produces:
        unknown = next((name for name in plan.symbols if not found.counts.get(name)), None)
        if unknown is not None:
            raise UsageError(f"{unknown} holds no prices, and --rate 0 sends none: there is nothing to poll")
        return replace(plan, windows=windows)
    if plan.sizes.most > found.max_batch:
        raise UsageError(
            f"a batch may have {found.max_batch:,} prices at most, not {plan.sizes.most:,}: "
            f"--batch-size {found.max_batch}"
        )
    names = plan.symbols[: max(1, found.places)] if plan.fewer and not plan.append else plan.symbols
    taken = [name for name in names if name in found.counts]
    if taken and not plan.append:
        raise UsageError(
            f"{taken[0]} holds prices already: choose another --{'symbol' if plan.once else 'prefix'}, "
            "or add to them with --append"
        )
    new = len(names) - len(taken)
    require_room(found, new, f"--symbols {found.places}")
    return replace(plan, symbols=names, windows=windows)


def require_room(found: Overview, new: int, instead: str = "") -> None:
    """See that there is room for so many new symbols.

    Raises:
        UsageError: there is not.
    """
    if new > found.places > 0:
        raise UsageError(
            f"there is room for {found.places} more symbols of {found.max_symbols}, not for {new}: {instead}"
        )
    if new > found.places:
        raise UsageError(
            f"there is no room for another symbol: it has {len(found.counts)} of {found.max_symbols}; delete one, "
            "or serve with a larger --max-symbols"
        )


def remove(target: Target, names: Sequence[str]) -> list[str]:
    """Remove symbols; those that are still there."""
    left = list(names)
    if not left:
        return left
    with suppress(OSError, ProtocolError), closing(Caller(target)) as caller:
        for name in names:
            if caller.call(delete(target, name)).status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
                left.remove(name)
    return left


class Family(NamedTuple):
    """The processes of a run and the parent's ends of their pipes."""

    processes: list[BaseProcess]
    senders: list[Connection]
    clerks: list[Connection]
    stop: memoryview


def start(plan: Plan, starts: Sequence[int | None]) -> Family:
    """Fork a sender and a clerk for every share of the symbols."""
    family = Family([], [], [], memoryview(mmap.mmap(-1, mmap.PAGESIZE)))
    shares = plan.shares()
    for number, places in enumerate(shares):
        of_sender, of_clerk = FORK.Pipe()
        from_sender, sender_end = FORK.Pipe()
        from_clerk, clerk_end = FORK.Pipe()
        share = Share(
            places,
            [starts[place] for place in places],
            plan.connections and max(1, len(range(number, plan.connections, len(shares)))),
            Bodies(plan, len(places)),
            family.stop,
        )
        elders = [*family.senders, *family.clerks, from_sender, from_clerk]
        for role, own, foreign in (
            (Sender, (of_sender, sender_end), [of_clerk, clerk_end, *elders]),
            (Clerk, (of_clerk, clerk_end), [of_sender, sender_end, *elders]),
        ):
            process = FORK.Process(target=_work, args=(role, plan, share, own, foreign), daemon=True)
            process.start()
            family.processes.append(process)
        for end in (of_sender, of_clerk, sender_end, clerk_end):
            end.close()
        family.senders.append(from_sender)
        family.clerks.append(from_clerk)
    return family


def _work(
    role: type[Sender | Clerk], plan: Plan, share: Share, own: tuple[Connection, Connection], foreign: list[Connection]
) -> None:
    """What a child does. Only the parent heeds Ctrl-C; a child whose parent or partner has gone just ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what was imported is not garbage, and what a run makes has no cycles worth a look every few µs
    gc.set_threshold(GARBAGE)
    for end in foreign:
        end.close()
    with suppress(BrokenPipeError, EOFError, ConnectionResetError):
        role(plan, share, *own).run()


def execute(plan: Plan, slos: Sequence[Slo] = (), watcher: Watcher | None = None) -> Outcome:
    """Run a plan to its end, or to the first Ctrl-C; a second one ends it at once.

    Raises:
        ServiceError: the service cannot be reached, or answers otherwise than a tenfold does.
        UsageError: the plan does not suit what the service holds, or its prices cannot be read.
    """
    found = _found(plan)
    fitted = fit(plan, found)
    outcome = Outcome(fitted, notes=_notes(plan, fitted))
    family = start(fitted, [None if name in found.counts else 0 for name in fitted.symbols])

    def stop(_number: int, _frame: object) -> None:
        if family.stop[0]:
            raise KeyboardInterrupt
        outcome.interrupted = True
        family.stop[0] = 1

    before = signal.signal(signal.SIGINT, stop)
    try:
        for pipe in family.senders:
            pipe.recv()
        begin = time.monotonic_ns() + HEAD_START
        for pipe in family.senders:
            pipe.send(begin)
        collect(outcome, family, watcher)
    except EOFError as error:
        raise RuntimeError("a process of the load generator died; what it said is above") from error
    finally:
        signal.signal(signal.SIGINT, before)
        for process in family.processes:
            process.terminate()
            process.join()
    outcome.objectives = [slo.judge(outcome) for slo in slos]
    if not outcome.lost:
        made = () if plan.keep else [name for name in fitted.symbols if name not in found.counts]
        outcome.notes += [f"{name} could not be removed" for name in remove(plan.target, made)]
    return outcome


def _found(plan: Plan) -> Overview:
    """See that there is something to send, and look at the service.

    Raises:
        ServiceError, UsageError: see ``execute``.
    """
    if not (plan.produces or plan.polls):
        raise UsageError("--rate 0 and --poll-rate 0: there is nothing to do")
    if plan.exactly_once and (plan.overlap or plan.append):
        raise UsageError("--exactly-once needs to know where each batch begins: not with --overlap or --append")
    try:
        Batches(plan.prices, plan.seed, 0, plan.sizes, plan.once)
    except ValueError as error:
        raise UsageError(str(error)) from error
    with closing(Caller(plan.target)) as caller:
        try:
            return look(plan.target, caller)
        except (OSError, ProtocolError) as error:
            raise ServiceError(unreachable(plan.target, error)) from error


def _notes(plan: Plan, fitted: Plan) -> list[str]:
    """What a plan has lost when it was made to suit the service."""
    notes = []
    if fitted.windows != plan.windows:
        notes.append(f"the service answers k = {fitted.windows[0]} … {fitted.windows[-1]} only")
    if fitted.symbols != plan.symbols:
        notes.append(f"{len(fitted.symbols)} symbols, since there is room for no more")
    return notes


def collect(outcome: Outcome, family: Family, watcher: Watcher | None) -> None:
    """Add up what the processes report until all have ended.

    Raises:
        EOFError: one of them has gone without a last report.
    """
    seconds: dict[int, list[Second]] = {}
    listening = [*family.senders, *family.clerks]
    while listening:
        for ready in wait(listening):
            pipe = next(pipe for pipe in listening if pipe is ready)
            message = pipe.recv()
            if isinstance(message, Second):
                parts = seconds.setdefault(message.number, [])
                parts.append(message)
                if len(parts) == len(family.senders):
                    outcome.add_second(seconds.pop(message.number))
                    family.stop[0] |= outcome.plan.strict and outcome.missed() is not None
                    if watcher is not None:
                        watcher.second(outcome)
            elif isinstance(message, SenderState):
                outcome.add_sender(message)
                listening.remove(pipe)
            elif isinstance(message, ClerkState):
                outcome.clerks[family.clerks.index(pipe)] = message
                if message.final:
                    listening.remove(pipe)
    for _, parts in sorted(seconds.items()):
        outcome.add_second(parts)
