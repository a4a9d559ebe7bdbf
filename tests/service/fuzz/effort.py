"""How much is tried, and how much was."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

from hypothesis import HealthCheck, settings

TALLY: Final = "TENFOLD_FUZZ_TALLY"
"""In the environment, by ``make fuzz``: the file that what was done is written to."""

done: Final[Counter[str]] = Counter()
"""What was done in this process: examples, requests, streams."""


def bounded(examples: int, steps: int = 50) -> settings:
    """So many examples: the same in every run of the suite, others in every round of ``make fuzz``."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=TALLY not in os.environ,
        database=None,
        deadline=None,  # nothing here may depend on how busy the machine is
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
