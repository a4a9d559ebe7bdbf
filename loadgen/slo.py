"""Objectives such as ``stats.p99<5ms`` and ``add_batch.rate>=500/s``: read, then held against what was found."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from .messages import ENDPOINTS
from .outcome import Objective, Outcome

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
