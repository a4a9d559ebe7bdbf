"""What a run has found: the figures, added up over processes and seconds, objectives, and how it went."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from typing import Final, NamedTuple

from loadgen.plan import Plan
from loadgen.truth.ledger import Ending, Mistake

from .messages import ClerkState, SenderState
from .recorder import BATCH, ENDPOINTS, STATS, Histogram, Second

SATURATED_LAG_US: Final = 10_000.0
"""In the open model, p99 of the send lag from which on the figures are the generator's own: a scheduler's
time slice or two, which is what a process pays that shares its core."""

SATURATED_CPU: Final = 0.95
"""In the closed model, the share of a core from which on a sender has no time left to read answers as they come."""


KEPT: Final = 0.95
"""The share of a rate from which on it was kept."""


class Exit(IntEnum):
    """How a run ends. The worst comes first where several are true: wrong, failed, saturated, missed."""

    WELL = 0
    MISSED = 1
    USAGE = 2
    WRONG = 3
    FAILED = 4
    SATURATED = 5


@dataclass
class Endpoint:
    """One endpoint's figures: every answer's latency, from the intended moment and from the sending."""

    response: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    statuses: dict[int, int] = field(default_factory=dict)

    def failed(self, name: str) -> int:
        """Requests without an answer, or with one that is no success.

        Two refusals may be right, and are judged: 404 on statistics, and 412 on a batch that has arrived before.
        """
        fine = {HTTPStatus.OK, HTTPStatus.NOT_FOUND if name == STATS else HTTPStatus.PRECONDITION_FAILED}
        return sum(count for status, count in self.statuses.items() if status not in fine)


class Row(NamedTuple):
    """One endpoint in one second; latencies in µs, of response time."""

    second: int
    endpoint: str
    answers: int
    p50: float
    p99: float
    most: float
    failed: int


class Objective(NamedTuple):
    """A service level objective and what was found."""

    text: str
    found: float
    met: bool


@dataclass
class Outcome:
    """Everything that was found. Filled while the run goes on, complete when ``finished``."""

    plan: Plan
    endpoints: dict[str, Endpoint] = field(default_factory=lambda: {name: Endpoint() for name in ENDPOINTS})
    prices: int = 0
    rows: list[Row] = field(default_factory=list)
    senders: list[SenderState] = field(default_factory=list)
    clerks: dict[int, ClerkState] = field(default_factory=dict)
    lag: Histogram = field(default_factory=Histogram)
    notes: list[str] = field(default_factory=list)
    objectives: list[Objective] = field(default_factory=list)
    interrupted: bool = False

    def add_second(self, parts: list[Second]) -> None:
        """Add what all senders report of one second. Of the warm-up only the statuses count: a failure is a failure."""
        measured = parts[0].number >= 0
        for name, endpoint in self.endpoints.items():
            now = Endpoint()
            for part in parts:
                for status, count in part.statuses[name].items():
                    now.statuses[status] = now.statuses.get(status, 0) + count
                    endpoint.statuses[status] = endpoint.statuses.get(status, 0) + count
                if measured:
                    latencies = part.latencies[name]
                    now.response.add(latencies.response)
                    endpoint.response.add(latencies.response)
                    endpoint.service.add(latencies.service)
            if measured:
                p50, p99 = now.response.quantile(0.5), now.response.quantile(0.99)
                row = Row(parts[0].number, name, now.response.count, p50, p99, now.response.most, now.failed(name))
                self.rows.append(row)
        if measured:
            self.prices += sum(part.prices for part in parts)

    def add_sender(self, state: SenderState) -> None:
        """Add a sender's last report."""
        self.senders.append(state)
        self.lag.add(state.lags.response)

    @property
    def elapsed(self) -> float:
        """Seconds that were measured."""
        return max((sender.elapsed for sender in self.senders), default=0.0)

    def rate(self, name: str) -> float:
        """Answers a second."""
        return self.endpoints[name].response.count / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def right(self) -> int:
        """Answers that the oracle confirmed."""
        return sum(clerk.right for clerk in self.clerks.values())

    @property
    def unchecked(self) -> int:
        """Answers that the oracle could not check: a window larger than its memory, or prices of somebody else."""
        return sum(clerk.unchecked for clerk in self.clerks.values())

    @property
    def wrong(self) -> int:
        """Answers that were wrong."""
        return sum(clerk.wrong for clerk in self.clerks.values())

    @property
    def mistakes(self) -> list[tuple[int, Mistake]]:
        """The first wrong answers of each clerk, with the places of their symbols."""
        return [mistake for clerk in self.clerks.values() for mistake in clerk.mistakes]

    @property
    def endings(self) -> list[list[Ending]]:
        """What each symbol may hold in the end: several states for one whose last batch is in doubt."""
        return [endings for clerk in self.clerks.values() for endings in clerk.endings]

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return sum(endpoint.failed(name) for name, endpoint in self.endpoints.items())

    @property
    def failures(self) -> Counter[str]:
        """Requests that got no answer, by reason."""
        reasons: Counter[str] = Counter()
        for sender in self.senders:
            reasons.update(sender.failures)
        return reasons

    @property
    def lost(self) -> str | None:
        """Why the run ended early, if it did."""
        return next((sender.lost for sender in self.senders if sender.lost), None)

    @property
    def starved(self) -> float:
        """The share of their time that producers waited for bodies."""
        lane_seconds = sum(sender.lanes * sender.elapsed for sender in self.senders)
        return sum(sender.starved for sender in self.senders) / lane_seconds if lane_seconds else 0.0

    def missed(self) -> str | None:
        """Which rate was missed, and why, as far as the seconds tell that are there; nothing if none was."""
        plan = self.plan
        for name, rate in ((BATCH, plan.rate), (STATS, plan.poll_rate)):
            rows = [row for row in self.rows if row.endpoint == name]
            due = (rate.per_second or 0.0) * len(plan.symbols)
            seconds = min(len(rows), self.elapsed or len(rows))
            answers, lanes = sum(row.answers for row in rows), len(plan.symbols)
            if answers + lanes < KEPT * due * seconds and not plan.once:
                why = self.saturation() or (
                    f"{name} takes {self.endpoints[name].service.quantile(0.5) / 1e3:.3g} ms in the median, "
                    "and requests of a symbol wait for one another"
                )
                return f"{name} came to {answers / seconds:,.0f}/s of {due:,.0f}/s: {why}"
        return None

    def saturation(self) -> str | None:
        """Why the figures say more about the generator than about the service, if they do."""
        lag = self.lag.quantile(0.99)
        if lag > SATURATED_LAG_US:
            return f"requests were sent late: p99 of the send lag is {lag / 1e3:.1f} ms"
        busiest = max((sender.cpu / sender.elapsed for sender in self.senders if sender.elapsed), default=0.0)
        if busiest > SATURATED_CPU:
            return f"a sender used {busiest:.0%} of a core"
        return None

    def exit(self) -> Exit:
        """How it went."""
        if self.wrong:
            return Exit.WRONG
        if self.failed or self.lost:
            return Exit.FAILED
        if self.saturation():
            return Exit.SATURATED
        if (self.plan.strict and self.missed()) or not all(objective.met for objective in self.objectives):
            return Exit.MISSED
        return Exit.WELL


_FORM: Final = re.compile(
    rf"(?P<endpoint>{'|'.join(ENDPOINTS)})\.(?P<which>service\.)?(?P<metric>p\d{{1,2}}(?:\.\d+)?|max|rate)"
    r"(?P<compare><=|>=|<|>)(?P<value>\d+(?:\.\d+)?)(?P<unit>us|µs|ms|s|/s)"
)
_MICROSECONDS: Final = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Slo(NamedTuple):
    """One objective; ``metric`` is ``max``, ``rate`` or a percentile, ``bound`` in µs or answers a second."""

    text: str
    endpoint: str
    service: bool
    metric: str
    compare: str
    bound: float

    def judge(self, outcome: Outcome) -> Objective:
        """What was found, and whether that is good enough. No answer at all is not."""
        endpoint = outcome.endpoints[self.endpoint]
        latencies = endpoint.service if self.service else endpoint.response
        if self.metric == "rate":
            found = outcome.rate(self.endpoint)
        elif self.metric == "max":
            found = latencies.most if latencies.count else math.nan
        else:
            found = latencies.quantile(float(self.metric[1:]) / 100)
        return Objective(self.text, found, _COMPARE[self.compare](found, self.bound))


def read_slo(text: str) -> Slo:
    """Read ``ENDPOINT.METRIC<VALUE UNIT``, the metric of response time or, after ``service.``, of service time.

    Raises:
        ValueError: it is something else, in words for the user.
    """
    match = _FORM.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(f"{text!r} is not an objective such as stats.p99<5ms or add_batch.rate>=500/s")
    unit = match["unit"]
    if (unit == "/s") != (match["metric"] == "rate"):
        raise ValueError(f"{text!r}: a rate is compared with /s, a latency with us, ms or s")
    bound = float(match["value"]) * _MICROSECONDS.get(unit, 1.0)
    return Slo(text, match["endpoint"], match["which"] is not None, match["metric"], match["compare"], bound)
