"""A run: look at the service, start senders and clerks, add up what they report, decide how it went."""

from __future__ import annotations

import mmap
import multiprocessing as mp
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, NamedTuple, Protocol

from .clerk import Clerk
from .client import Caller, ProtocolError
from .messages import Bodies, ClerkState, Second, SenderState, Share
from .outcome import Outcome
from .plan import Plan
from .prices import Batches
from .schedule import SECOND
from .sender import Sender
from .slo import Slo
from .wire import stats_request

FORK: Final = mp.get_context("fork")
"""Children share the parent's memory for bodies and need no second import of numpy. The parent has no threads yet."""

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


class Survey(NamedTuple):
    """What a look at the service found.

    Args:
        starts: how many prices each symbol holds already: 0, or nothing where there are some, since nobody says.
        windows: the k that it answers.
    """

    starts: list[int | None]
    windows: tuple[int, ...]


def survey(plan: Plan) -> Survey:
    """Ask the service about every symbol, and which windows it has.

    Raises:
        ServiceError: it cannot be reached, or answers otherwise than a tenfold does.
        UsageError: the plan does not suit what it holds.
    """
    caller = Caller(plan.target)
    try:
        held = [caller.call(stats_request(plan.target, name, plan.windows[0])).status for name in plan.symbols]
        offered = [(k, caller.call(stats_request(plan.target, plan.symbols[0], k)).status) for k in plan.windows]
    except (OSError, ProtocolError) as error:
        raise ServiceError(f"{plan.target.url} does not answer: {error}") from error
    finally:
        caller.close()
    for name, status in zip(plan.symbols, held, strict=True):
        if status == HTTPStatus.UNAUTHORIZED:
            raise ServiceError(f"{plan.target.url} wants a token that it knows: --token, or TENFOLD_TOKEN")
        if status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            raise ServiceError(f"{plan.target.url} answers {status} to a question about {name}")
        if status == HTTPStatus.OK and plan.produces and not plan.append:
            raise UsageError(f"{name} holds prices already: choose another --prefix, or add to them with --append")
        if status == HTTPStatus.NOT_FOUND and not plan.produces:
            raise UsageError(f"{name} holds no prices, and --rate 0 sends none: there is nothing to poll")
    starts: list[int | None] = [0 if status == HTTPStatus.NOT_FOUND else None for status in held]
    return Survey(starts, tuple(k for k, status in offered if status != HTTPStatus.BAD_REQUEST))


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
    if not (plan.produces or plan.polls):
        raise UsageError("--rate 0 and --poll-rate 0: there is nothing to do")
    try:
        Batches(plan.prices, plan.seed, 0, plan.sizes, plan.once)
    except ValueError as error:
        raise UsageError(str(error)) from error
    surveyed = survey(plan)
    outcome = Outcome(replace(plan, windows=surveyed.windows))
    if surveyed.windows != plan.windows:
        outcome.notes.append(f"the service answers k = {surveyed.windows[0]} … {surveyed.windows[-1]} only")
    family = start(outcome.plan, surveyed.starts)

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
    return outcome


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
