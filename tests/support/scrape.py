"""What /metrics answers, as the official parser reads it."""

from __future__ import annotations

from collections import Counter
from typing import Self

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.load import Client

Labelled = Counter[tuple[str, ...]]
"""Samples by what some of their labels say."""


class Scrape:
    """One answer of /metrics, as the official parser reads it."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {}
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, "a family is written in one piece"
            self.families[family.name] = family
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self._samples, "a sample is written once"
                self._samples[key] = sample.value

    @classmethod
    def of(cls, url: str) -> Self:
        """Ask whichever worker a new connection meets."""
        with Client(url) as client:
            return cls.through(client)

    @classmethod
    def through(cls, client: Client) -> Self:
        """Ask the worker that a client is connected to."""
        answer = client.request("GET", "/metrics/")
        assert answer.status == 200, answer
        return cls(answer.content.decode())

    def __getitem__(self, name: str) -> float:
        """A sample without labels."""
        return self._samples[name, frozenset()]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(
            value for (one, named), value in self._samples.items() if one == name and named >= frozenset(labels.items())
        )

    def by(self, name: str, *labels: str) -> Labelled:
        """Samples by what some of their labels say."""
        found: Labelled = Counter()
        for (one, named), value in self._samples.items():
            if one == name:
                texts = dict(named)
                found[tuple(texts[label] for label in labels)] += int(value)
        return found

    def answers(self) -> Labelled:
        """Answers by route and status."""
        return self.by("tenfold_http_requests_total", "route", "status")
