from __future__ import annotations

import pytest

from tests.support.programs import demand


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """All of this room, or nothing of it, is tested."""
    demand()
