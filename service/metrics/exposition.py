"""The text format that Prometheus reads, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Exposition:
    """Families of samples, written one after the other."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def text(self) -> bytes:
        """All that was written."""
        return "".join(self._lines).encode()

    def gauge(self, name: str, meaning: str, samples: Iterable[tuple[Labels, float]] | float) -> None:
        """Write what goes up and down; one number stands for one sample without labels."""
        self._family(name, "gauge", meaning, samples)

    def counter(self, name: str, meaning: str, samples: Iterable[tuple[Labels, float]] | float) -> None:
        """Write what only goes up."""
        self._family(name, "counter", meaning, samples)

    def summary(self, name: str, meaning: str, count: int, total: float) -> None:
        """Write how many there were, and their sum."""
        self._head(name, "summary", meaning)
        self._sample(f"{name}_sum", {}, total)
        self._sample(f"{name}_count", {}, count)

    def histogram(
        self,
        name: str,
        meaning: str,
        bounds: Sequence[float],
        samples: Iterable[tuple[Labels, Sequence[int], float]],
    ) -> None:
        """Write distributions: labels; how many lie in each bucket, the last one without a bound; their sum."""
        self._head(name, "histogram", meaning)
        edges = [*map(repr, bounds), "+Inf"]
        for labels, buckets, total in samples:
            cumulated = list(accumulate(buckets))
            for edge, count in zip(edges, cumulated, strict=True):
                self._sample(f"{name}_bucket", {**labels, "le": edge}, count)
            self._sample(f"{name}_sum", labels, total)
            self._sample(f"{name}_count", labels, cumulated[-1])

    def _family(
        self,
        name: str,
        kind: Literal["counter", "gauge"],
        meaning: str,
        samples: Iterable[tuple[Labels, float]] | float,
    ) -> None:
        self._head(name, kind, meaning)
        for labels, value in [({}, samples)] if isinstance(samples, int | float) else samples:
            self._sample(name, labels, value)

    def _head(self, name: str, kind: str, meaning: str) -> None:
        meaning = meaning.replace("\\", r"\\").replace("\n", r"\n")
        self._lines.append(f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n")

    def _sample(self, name: str, labels: Labels, value: float) -> None:
        named = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        self._lines.append(f"{name}{{{named}}} {value!r}\n" if named else f"{name} {value!r}\n")


def _escape(text: str) -> str:
    """A label's value as it stands between quotes. The backslash first, or it would escape the others' escapes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
