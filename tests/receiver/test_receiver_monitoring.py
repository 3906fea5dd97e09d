"""The alert rules and the dashboard ask for metrics that exist, with labels that they have; the manual lists
every one of them.
"""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from receiver_feed import T0

from gateway.platform.metrics import exposition
from gateway.receiver import SEVERITY, Counts, FleetRow, FleetTotals, Signs
from tests.city import monitoring

ROOT = Path(__file__).parents[2]
HOME = ROOT / "packaging" / "monitoring"
RULES = [
    rule
    for group in yaml.safe_load((HOME / "submeter-alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = json.loads((HOME / "submeter-fleet.json").read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in PANELS for target in panel["targets"]
]
OF_PROMETHEUS = {"instance", "job"}


def served():
    """Every metric with the names of its labels, from the text that Prometheus would read."""
    counts = Counts()
    counts.refused["malformed"] = 1
    row = FleetRow(
        *("gw-1", T0, "", "", "gw-1", True, T0, T0, T0, 0, "1", "synced", 0, 0, 0, 1, 0, 0, 0),
        tuple(SEVERITY),
        1,
    )
    totals = FleetTotals(1, 1, 0, 0, 0, 1, 0, 0, T0, T0, 0, dict.fromkeys(SEVERITY, 1), 0)
    text = exposition(Signs(connected=True, database=True, counts=counts), totals, [row]).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


SERVED = served()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_exists(expression):
    names = re.findall(r"\bsubmeter_\w+", expression)
    assert names
    for name in names:
        assert name in SERVED
    for name, inside in re.findall(r"\b(submeter_\w+)\{(.*?)\}", expression):
        for label, value in re.findall(r'(\w+)="(.*?)"', inside):
            assert label in SERVED[name]
            assert label != "problem" or value in SEVERITY
    for labels in re.findall(r"\bby \((.*?)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= set.union(*(SERVED[name] for name in names))
    assert expression.count("(") == expression.count(")")


def test_metrics_with_other_labels_are_divided_without_them():
    """Else Prometheus finds no pair, and the alert never fires."""
    for expression in EXPRESSIONS:
        names = re.findall(r"\bsubmeter_\w+", expression) if "/" in expression else []
        labels = [SERVED[name] for name in names]
        if labels and not expression.startswith(("sum", "max")):
            apart = set.union(*labels) - set.intersection(*labels)
            told = re.findall(r"/ ignoring \((.*?)\)", expression)
            assert {label for text in told for label in text.split(", ")} == apart, expression


@pytest.mark.skipif(monitoring.PROMTOOL is None, reason="promtool is not installed")
def test_every_alert_fires_when_it_should_and_none_while_all_is_well(tmp_path):
    assert monitoring.judged(tmp_path) == ""
    broken = tmp_path / "broken.yml"
    broken.write_text(monitoring.RULES.read_text().replace("ignoring (problem) ", ""))
    assert "SubmeterManyOffline" in monitoring.judged(tmp_path, broken)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_is_wrong_and_what_to_do(rule):
    [name] = {*re.findall(r"\bsubmeter_\w+", rule["expr"])} & {*SERVED} if "/" not in rule["expr"] else [""]
    said = " ".join(rule["annotations"].values())
    used = {*re.findall(r"\$labels\.(\w+)", said)}
    assert used <= SERVED.get(name, set()) | OF_PROMETHEUS
    assert {*rule["annotations"]} == {"summary", "action"}
    assert rule["labels"]["severity"] in {"warning", "critical"}


def test_every_problem_of_a_gateway_and_every_metric_is_watched():
    asked = " ".join(EXPRESSIONS)
    alerts = " ".join(rule["expr"] for rule in RULES)
    assert [name for name in SEVERITY if f'problem="{name}"' not in alerts] == []
    assert [name for name in SERVED if name not in asked] == []
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_every_metric_is_in_the_manual():
    manual = (ROOT / "docs" / "receiver.md").read_text()
    assert [name for name in SERVED if f"`{name}" not in manual] == []
    assert {*re.findall(r"`(submeter_(?:receiver|fleet|gateway)_\w+)", manual)} == {*SERVED}
    assert [name for name in SEVERITY if f"`{name}`" not in manual] == []


def test_the_panels_of_the_dashboard_do_not_cover_one_another():
    places = [panel["gridPos"] for panel in PANELS]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert all(place["x"] + place["w"] <= 24 for place in places)
