from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.settings import Settings
from tests.service.fuzz.documents import MAX_BATCH, MAX_BODY
from tests.service.fuzz.effort import TALLY, done
from tests.support.process import Forked, forked


def pytest_sessionfinish() -> None:
    """Tell ``make fuzz`` what was done."""
    if TALLY in os.environ:
        Path(os.environ[TALLY]).write_text(json.dumps(done))


@pytest.fixture(scope="session")
def service() -> Iterator[Forked]:
    """One worker over memory of this process, with small limits, so that they are met."""
    limits = Settings(workers=1, max_symbols=4, max_k=2, max_batch=MAX_BATCH, max_body=MAX_BODY)
    with forked(replace(limits, request_seconds=2.0, idle_seconds=2.0)) as process:
        yield process
        process.stop_cleanly()
        process.assert_no_defect("killed", "replaced")
