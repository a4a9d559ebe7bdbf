"""A real Prometheus scrapes two workers under load: what the rules and the dashboard ask, and when alerts are raised.

The rules are the ones that are served, but for this: where they look back for minutes, or wait for minutes, they look
back for three seconds here and do not wait. Half a second is between two scrapes.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from aggregation import MemoryReserveError, Symbols
from service.api.resources import Resources
from service.settings import Settings
from tests.support.credentials import token_file
from tests.support.load import Client, meanwhile, numbers
from tests.support.process import ROOT, Forked, forked, until
from tests.support.programs import free_port, ran, serving
from tests.support.readme import blocks
from tests.support.sockets import Wire, post

RULES: Final = ROOT / "service/metrics/alerts.yml"
DASHBOARD: Final = ROOT / "service/metrics/grafana.json"
READ, WRITE = "read-" + "r" * 20, "write-" + "w" * 20
WINDOW: Final = "3s"
BURST: Final = 10
LATEST: Final = 60.0
"""Seconds until anything must have been seen; a busy machine may take its time."""


def snippet() -> dict[str, Any]:
    """The configuration that the README shows."""
    (text,) = [block.text for block in blocks() if block.language == "yaml"]
    document = yaml.safe_load(text)
    assert isinstance(document, dict)
    return document


def shortened(rules: str) -> str:
    """Rules that look back for seconds and do not wait."""
    return re.sub(r"for: \d+m", "for: 0s", re.sub(r"\[\d+m\]", f"[{WINDOW}]", rules))


@dataclass
class Watched:
    """A service, and the Prometheus that scrapes it."""

    service: Forked
    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """What the API of Prometheus answers."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters)
        document = answer.json()
        assert document["status"] == "success", document
        return document["data"]

    def values(self, query: str) -> list[float]:
        """What a query finds now, but for what is no number."""
        data = self.ask("query", query=query)
        samples = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
        return [float(value) for _, value in samples if not math.isnan(float(value))]

    def scrapes(self) -> list[float]:
        """When it was scraped of late."""
        (series,) = self.ask("query", query='up{job="tenfold"}[2m]')["result"]
        return [float(moment) for moment, value in series["values"] if value == "1"]

    def raised(self) -> dict[str, float]:
        """Which alerts are raised, and since when."""
        return {
            one["labels"]["alertname"]: datetime.fromisoformat(one["activeAt"]).timestamp()
            for one in self.ask("alerts")["alerts"]
            if one["state"] == "firing"
        }


def settings(tokens: str | None = None) -> Settings:
    """Two workers, with limits that are soon reached."""
    return Settings(workers=2, max_symbols=4, max_k=5, max_connections=20, request_seconds=2.0, token_file=tokens)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two workers that fail where the symbol is DEFECT, and are out of memory where it is FULL."""
    folder = tmp_path_factory.mktemp("prometheus")
    _, tokens = token_file(folder, read=READ, write=WRITE)
    (folder / "read-token").write_text(READ)
    (folder / "alerts.yml").write_text(shortened(RULES.read_text()))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(Resources, "health", _failing)
        patch.setattr(Symbols, "append", _full(Symbols.append))
        service = stack.enter_context(forked(settings(tokens)))
        configuration = snippet()
        configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        configuration["rule_files"] = [str(folder / "alerts.yml")]
        configuration["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        port = free_port()
        options = (
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        stack.enter_context(serving(port, folder, "prometheus", *options))
        yield Watched(service, f"http://127.0.0.1:{port}")


def _failing(*_: object) -> bytes:
    raise RuntimeError("a defect, made for a test")


def _full(append: Callable[..., int]) -> Callable[..., int]:
    def appended(symbols: Symbols, symbol: str, *batch: Any) -> int:
        if symbol == "FULL":
            raise MemoryReserveError
        return append(symbols, symbol, *batch)

    return appended


def test_the_rules_and_the_configuration_are_what_prometheus_takes(tmp_path: Path) -> None:
    """Nothing is wrong, says promtool, with the rules, nor with the lines of the README."""
    assert "SUCCESS" in ran("promtool", "check", "rules", str(RULES))
    (tmp_path / "read-token").write_text(READ)
    configuration = snippet()
    configuration["rule_files"] = [str(ROOT / one) for one in configuration["rule_files"]]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    assert "SUCCESS" in ran("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def queries() -> list[str]:
    """What the dashboard asks, and what the rules compare: a comparison that does not hold would find nothing."""
    asked = [
        target["expr"].replace("$instance", ".+").replace("$__rate_interval", WINDOW).replace("$__range", WINDOW)
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    ]
    groups = yaml.safe_load(shortened(RULES.read_text()))["groups"]
    compared = [re.sub(r" ([<>]|[=<>!]=) ", r" \1 bool ", rule["expr"]) for group in groups for rule in group["rules"]]
    assert all(" bool " in one for one in compared)
    return asked + compared


def use(client: Client) -> None:
    """Add, ask, and ask for what there is not."""
    assert client.add("A", numbers(0, 0, 100)).status == 200
    assert client.stats("A", 3).status == 200
    assert client.stats("none", 3).status == 404
    time.sleep(0.01)  # Prometheus shall have its turns


def test_every_query_of_alerts_and_dashboard_finds_something(watched: Watched) -> None:
    """Under load Prometheus answers each query of the dashboard, and each of the rules, with numbers."""
    with meanwhile(watched.service.url, use, use, token=WRITE):
        for query in queries():
            until(lambda query=query: bool(watched.values(query)), LATEST)  # type: ignore[misc]


def unauthorized(watched: Watched) -> None:
    with Client(watched.service.url) as client:
        for _ in range(BURST):
            assert client.stats("A", 1).status == 401


def defective(watched: Watched) -> None:
    with Client(watched.service.url) as client:
        for _ in range(BURST):
            assert client.health().status == 500


def full(watched: Watched) -> None:
    with Client(watched.service.url, WRITE) as client:
        for _ in range(BURST):
            assert client.add("FULL", [1.0]).status == 507


def late(watched: Watched) -> None:
    begun = post(b"{}", f"Authorization: Bearer {WRITE}")[:-1]
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(watched.service.port)) for _ in range(BURST)]
        for wire in wires:
            wire.send(begun)
        for wire in wires:
            assert wire.answer().status == 408


def refused(watched: Watched) -> None:
    begun = post(b"{}", f"Authorization: Bearer {WRITE}")[:-1]
    most = settings().workers * settings().max_connections
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(watched.service.port)) for _ in range(most + 2 * BURST)]
        for wire in wires:
            with suppress(ConnectionError):
                wire.send(begun)
        until(lambda: sum(wire.has_answer() for wire in wires) >= BURST, LATEST)


KINDS: Final = {
    "TenfoldTokensRefused": unauthorized,
    "TenfoldDefect": defective,
    "TenfoldOutOfMemory": full,
    "TenfoldRequestsTimedOut": late,
    "TenfoldConnectionsRefused": refused,
}
"""Alerts of refusals, and what raises them."""


def test_each_alert_of_refusals_is_raised_below() -> None:
    """Whatever rule counts answers by their status, or connections that were not served, has its burst here."""
    counted = r'status="|tenfold_connections_(refused|timed_out)_total'
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"] if re.search(counted, rule["expr"])} == {
        *KINDS
    }


@pytest.mark.parametrize("alert", KINDS)
def test_a_burst_of_ten_refusals_raises_its_alert_within_two_scrapes(watched: Watched, alert: str) -> None:
    """Ten refusals in a row, after none at all: the alert is there when Prometheus has scraped twice, and no other."""
    until(lambda: len(watched.scrapes()) >= 2 and not watched.raised().keys() & KINDS.keys(), LATEST)
    KINDS[alert](watched)
    ended = time.time()
    until(lambda: alert in watched.raised(), LATEST)
    raised = watched.raised()
    assert raised.keys() & KINDS.keys() == {alert}
    assert sum(ended < moment <= raised[alert] for moment in watched.scrapes()) <= 2
