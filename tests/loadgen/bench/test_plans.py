"""Plans of load under two conditions."""

from __future__ import annotations

from loadgen.bench import plans
from loadgen.launch import launched
from loadgen.plan import Plan, Rate, Sizes


def test_a_plan_is_taken_in_quiet_and_beside_a_crowd() -> None:
    """Both give the CPU time of the workers and latencies of normal clients, whose requests are all answered."""
    with launched("service", ("--port", "0", "--workers", "1", "--max-k", "2")) as service:
        rate = Rate(20.0)
        plan = Plan(service.target, ("A",), sizes=Sizes(10, 10), rate=rate, poll_rate=rate, seconds=0.5)
        for taken in (plans.take(service, plan), plans._beside(service, plan, "connected and silent", 20)):
            assert 0 < taken.cpu_us < 1e6
            assert 0 < taken.p50 <= taken.p99
            assert taken.failed == 0
