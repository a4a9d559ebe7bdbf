"""A service whose symbols are small enough to go around, cold prices included, in moments."""

from __future__ import annotations

from dataclasses import dataclass

from aggregation import Geometry
from service.settings import Settings


@dataclass(frozen=True)
class SmallSettings(Settings):
    """As they are, except that prices are cold as soon as they can be, and boxes hold two blocks."""

    @property
    def geometry(self) -> Geometry:
        return Geometry(max_k=self.max_k, max_batch=self.max_batch, least_hot=1, box_blocks=2)
