from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from aggregation import SharedMemory, Symbols
from service.metrics.counters import STATUSES, SharedMetrics
from service.metrics.families import metrics_text
from service.settings import Settings
from tests.support.promql import named

MONITORING = Path(__file__).parents[3] / "service/metrics"

FROM_SCRAPING = {"job", "instance"}
"""Labels that Prometheus gives to all that it scrapes; ``up`` is its own metric."""

Exposed = dict[str, set[str]]


@pytest.fixture(scope="module")
def exposed() -> Exposed:
    """Every sample that /metrics can give, with its labels."""
    found: Exposed = {"up": FROM_SCRAPING}
    for family in at_first():
        assert family.samples, f"nothing of {family.name}"
        for sample in family.samples:
            found.setdefault(sample.name, set(FROM_SCRAPING)).update(sample.labels)
    return found


def at_first() -> list[Metric]:
    """What /metrics says of a service that has one symbol, and has answered nothing yet."""
    settings = Settings(max_k=2, workers=1)
    symbols = Symbols(SharedMemory(settings.layout))
    symbols.append("A", [1.0])
    text = metrics_text(settings, symbols, SharedMetrics(1), ["none", "/stats", "/add_batch"]).decode()
    return list(text_string_to_metric_families(text))


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    assert list(document) == ["groups"]
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    document = json.loads((MONITORING / "grafana.json").read_text())
    assert isinstance(document, dict)
    return document


def assert_known(expression: str, exposed: Exposed) -> set[str]:
    """An expression names metrics that there are, by labels that they have; returns the labels that its result has."""
    metrics, grouped = named(expression)
    assert metrics or expression == "", expression
    labels: set[str] = set()
    for metric, selected in metrics.items():
        assert metric in exposed, f"no metric {metric} in {expression}"
        assert selected <= exposed[metric], f"{metric} has no label {selected - exposed[metric]}"
        labels |= exposed[metric]
    assert grouped <= labels, f"nothing in {expression} has the label {grouped - labels}"
    return grouped if re.search(r"\bby\b", expression) else labels


def annotated(text: str) -> set[str]:
    return set(re.findall(r"\$labels\.(\w+)", text))


def test_alerts_watch_metrics_that_are_exposed(exposed: Exposed) -> None:
    """Every alert is complete, and is about metrics and labels that there are, in its text as well."""
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) > 0
    for rule in found:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
        labels = assert_known(rule["expr"], exposed)
        assert annotated(rule["annotations"]["summary"]) <= labels, rule


def queries() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def test_the_dashboard_shows_metrics_that_are_exposed(exposed: Exposed) -> None:
    """Every query of the dashboard, and its legend, is about metrics and labels that there are."""
    found = list(queries())
    assert found
    for expression, legend in found:
        labels = assert_known(expression, exposed)
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels, (expression, legend)


def test_every_counter_is_0_from_the_start() -> None:
    """A series that begins at 50 has not risen for ``increase``: whatever is watched is there before it occurs."""
    selectors = {
        selector
        for expression in [*(rule["expr"] for rule in rules()), *(expression for expression, _ in queries())]
        for selector in re.findall(r"(tenfold_\w+)(?:\{([^}]*)\})?", expression)
    }
    samples = [sample for family in at_first() for sample in family.samples]
    counted = {(sample.labels["route"], sample.labels["status"]) for sample in samples if "status" in sample.labels}
    assert counted == set(product(["none", "/stats", "/add_batch"], [*map(str, STATUSES), "other"]))
    for name, matchers in selectors:
        wanted = [one for one in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers) if one[0] != "instance"]
        assert any(sample.name == name and selected(sample.labels, wanted) for sample in samples), (name, matchers)


def selected(labels: dict[str, str], wanted: list[tuple[str, str, str]]) -> bool:
    """Whether all matchers of a selector hold."""
    return all(
        (re.fullmatch(value if "~" in matcher else re.escape(value), labels[name]) is None) == matcher.startswith("!")
        for name, matcher, value in wanted
    )


def test_the_dashboard_shows_all_metrics(exposed: Exposed) -> None:
    """No metric is kept from the dashboard, except what is constant or shown in another unit."""
    constant = {
        "tenfold_batch_limit_prices",
        "tenfold_body_limit_bytes",
        "tenfold_build_info",
        "tenfold_retention_prices",
        "tenfold_workers",
    }
    shown = {metric for expression, _ in queries() for metric in named(expression).metrics}
    assert set(exposed) - shown - constant == {"up"}


def test_the_dashboard_is_whole() -> None:
    """Panels have ids of their own, lie beside each other, and use the data source and variables that are declared."""
    document = dashboard()
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    declared = {variable["name"] for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(document)))
    assert used == declared


@pytest.mark.parametrize(
    "expression",
    [
        "tenfold_symbol",
        'sum(rate(tenfold_prices_total{sumbol="A"}[5m]))',
        "sum by (rout) (tenfold_http_requests_total)",
        "tenfold_http_request_seconds > 1",
        "tenfold_symbols > on (instanze) group_left () tenfold_symbols_limit",
    ],
)
def test_a_name_of_metrics_that_is_not_there_is_found(expression: str, exposed: Exposed) -> None:
    """What these tests judge with sees a metric or a label that does not exist."""
    with pytest.raises(AssertionError):
        assert_known(expression, exposed)


@pytest.mark.parametrize(
    "expression",
    ["sum(tenfold_symbols", "summ(tenfold_symbols)", 'up{job"x"}', "up{job=x}", "up # 1", "up[5x]", "up)", "up}"],
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    """An expression that is broken, or of more than is known, is refused instead of being half read."""
    with pytest.raises(ValueError, match=r".+"):
        named(expression)
