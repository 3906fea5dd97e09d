"""/metrics for Prometheus: what this receiver has done, and how the gateways are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.receiver import SEVERITY, Counts, FleetRow, FleetTotals, Signs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAMED = 500
"""Gateways, the worst ones, that are named with their problems."""
Samples = Iterable[tuple[tuple[str, ...], float | None]]
_DONE = {
    "batches": "Batches stored since the start",
    "values": "Values stored since the start",
    "duplicates": "Batches that were there already, since the start",
    "conflicts": "Batches whose number was there with other content, since the start",
    "clones": "Times that two machines were heard under one id, since the start",
    "commits": "Commits since the start",
    "receipts": "Receipts sent since the start",
    "replays": "Replays asked for since the start",
}


class _Collector:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(signs: Signs | None, totals: FleetTotals | None, worst: list[FleetRow]) -> bytes:
    """The text format. `signs` of the receiver in this process, if there is one; `totals` None: the database
    does not answer.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector([*(_receiver(signs) if signs else ()), *_fleet(totals, worst)]))
    return generate_latest(registry)


def _gauge(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in samples:
        if value is not None:
            family.add_metric(key, value)
    return family


def _receiver(signs: Signs) -> Iterator[Metric]:
    yield _gauge(
        "submeter_receiver_connected", "1 while connected to the broker", [((), float(signs.connected))]
    )
    yield _gauge(
        "submeter_receiver_database_up",
        "1 unless the last commit failed: then nothing is receipted",
        [((), float(signs.database))],
    )
    counts: Counts = signs.counts
    for name, text in _DONE.items():
        yield CounterMetricFamily(f"submeter_receiver_{name}", text, value=getattr(counts, name))
    refused = CounterMetricFamily(
        "submeter_receiver_refused", "Messages that could not be used since the start", labels=("reason",)
    )
    for reason, count in sorted(counts.refused.items()):
        refused.add_metric((reason,), count)
    yield refused


def _fleet(totals: FleetTotals | None, worst: list[FleetRow]) -> Iterator[Metric]:
    up = [((), float(totals is not None))]
    yield _gauge("submeter_fleet_up", "1 when the database could be asked about the gateways", up)
    if totals is None:
        return
    for name, text, value in (
        ("gateways", "Gateways that were ever heard of", totals.gateways),
        ("online", "Gateways that say they are online", totals.online),
        ("well", "Gateways without a problem", totals.well),
        ("backlog_batches", "Batches that wait in all gateways", totals.backlog),
        ("missing_batches", "Batches that must exist and are not here", totals.missing),
        ("changed", "Notes of days that were not yet held against their manifests", totals.changed),
        (
            "newest_batch_timestamp_seconds",
            "When the newest batch was received",
            _seconds(totals.last_received),
        ),
        (
            "summary_timestamp_seconds",
            "When the gateway looked at longest ago was looked at",
            _seconds(totals.at),
        ),
    ):
        yield _gauge(f"submeter_fleet_{name}", text, [((), value)])
    days = {
        "complete": totals.complete,
        "incomplete": totals.incomplete,
        "contradicted": totals.contradicted,
    }
    yield _gauge(
        "submeter_fleet_days",
        "Days of meters of the last five weeks, held against their manifests",
        (((state,), count) for state, count in days.items()),
        "state",
    )
    yield _gauge(
        "submeter_fleet_problems",
        "Gateways that have the problem",
        (((name,), totals.problems.get(name, 0)) for name in SEVERITY),
        "problem",
    )
    yield _gauge(
        "submeter_gateway_problem",
        f"1 for each problem of the {NAMED} worst gateways",
        (((row.gateway, name), 1.0) for row in worst for name in row.problems),
        "gateway",
        "problem",
    )


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
