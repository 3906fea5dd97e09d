"""/metrics for Prometheus: the snapshot in the format's own library, on a registry of our own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.model import QUANTITIES
from gateway.status.findings import VerdictState
from gateway.status.snapshot import Snapshot
from gateway.status.verdict import judge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Collector:
    def __init__(self, now: Snapshot) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        return families(self._now)


def exposition(now: Snapshot) -> bytes:
    """The snapshot in the text format. A number that is stale or absent is left out: its age stays."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(now))
    return generate_latest(registry)


def families(now: Snapshot) -> Iterator[Metric]:
    """Every metric with its samples. `docs/api.md` lists them."""
    yield from _meters(now)
    yield from _buses(now)
    yield from _journal(now)
    yield from _uplinks(now)
    yield from _remote(now)
    yield from _gateway(now)
    yield from _verdict(now)


def _gauge(
    name: str, text: str, labels: Iterable[str], samples: Iterable[tuple[tuple[str, ...], float | None]]
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    for key, value in samples:
        if value is not None:
            family.add_metric(key, value)
    return family


def _counter(
    name: str, text: str, labels: Iterable[str], samples: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=list(labels))
    for key, value in samples:
        family.add_metric(key, value)
    return family


def _meters(now: Snapshot) -> Iterator[Metric]:
    meters = [meter for meter in now.everything if meter.state != "disabled"]
    yield _gauge(
        "submeter_value",
        "A meter's live value in the unit of its label; left out while it is stale or absent",
        ("meter", "quantity", "unit"),
        (
            (
                (
                    meter.id,
                    view.quantity,
                    QUANTITIES[view.quantity].unit if view.quantity in QUANTITIES else "",
                ),
                view.value,
            )
            for meter in meters
            for view in meter.values
            if view.quality in {"good", "suspect"}
        ),
    )
    yield _gauge(
        "submeter_meter_up",
        "1 when the last poll of the meter gave values",
        ("meter",),
        (((m.id,), float(m.state in {"answering", "partial"})) for m in meters),
    )
    yield _gauge(
        "submeter_meter_age_seconds",
        "Time since the meter last answered",
        ("meter",),
        (((m.id,), m.age) for m in meters),
    )


def _buses(now: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "submeter_bus_up",
        "1 unless the line cannot be opened",
        ("bus",),
        (((b.name,), float(b.state != "down")) for b in now.buses),
    )
    yield _counter(
        "submeter_bus_requests", "Requests sent", ("bus",), (((b.name,), b.requests) for b in now.buses)
    )
    yield _counter(
        "submeter_bus_errors",
        "Requests without a usable answer, by kind",
        ("bus", "kind"),
        (
            ((bus.name, kind), count)
            for bus in now.buses
            for kind, count in (
                ("timeout", bus.timeouts),
                ("bad_frame", bus.bad_frames),
                ("exception", bus.exceptions),
            )
        ),
    )
    yield _gauge(
        "submeter_bus_turnaround_seconds",
        "Mean time before a meter answers",
        ("bus",),
        (((b.name,), None if b.turnaround is None else b.turnaround / 1000) for b in now.buses),
    )
    yield _gauge(
        "submeter_bus_load_ratio",
        "Part of the last minute that the line was busy",
        ("bus",),
        (((b.name,), b.load) for b in now.buses),
    )


def _journal(now: Snapshot) -> Iterator[Metric]:
    journal = now.journal
    yield _gauge(
        "submeter_journal_up",
        "1 while readings can be stored",
        (),
        [((), float(journal.state in {"ok", "salvaging"}))],
    )
    yield _gauge("submeter_journal_sequence", "Number of the newest stored batch", (), [((), journal.seq)])
    yield _gauge("submeter_journal_bytes", "Size of the store", (), [((), journal.bytes)])
    yield _gauge("submeter_journal_budget_bytes", "Room that the store may take", (), [((), journal.budget)])
    yield _gauge("submeter_journal_batches", "Batches kept", (), [((), journal.batches)])
    yield _gauge("submeter_journal_readings", "Readings kept", (), [((), journal.readings)])
    yield _gauge(
        "submeter_journal_thinned_batches", "Batches that made room undelivered", (), [((), journal.thinned)]
    )
    yield _gauge(
        "submeter_journal_thinned_readings",
        "Readings that made room undelivered",
        (),
        [((), journal.thinned_readings)],
    )
    yield _gauge(
        "submeter_journal_lost_batches",
        "Stored batches that a damaged or missing file cost for good, the newest time",
        (),
        [((), journal.lost)],
    )
    yield _gauge(
        "submeter_journal_let_go_readings",
        "Readings that were never stored because the disk refused, the newest time",
        (),
        [((), journal.let_go)],
    )
    yield _gauge(
        "submeter_journal_pending_readings",
        "Readings taken from meters and not yet stored",
        (),
        [((), journal.pending)],
    )
    yield _gauge(
        "submeter_journal_room_seconds",
        "How long an outage of the platform may last before data is thinned",
        (),
        [((), None if journal.room_days is None else journal.room_days * 86400)],
    )
    yield _counter(
        "submeter_readings_taken",
        "Readings stored since the journal was begun",
        (),
        [((), journal.taken)],
    )
    yield _counter(
        "submeter_readings_not_taken",
        "Readings that could not be stored since the start",
        (),
        [((), journal.not_taken)],
    )


def _uplinks(now: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "submeter_uplink_up",
        "1 while connected to the platform's broker",
        ("uplink",),
        (((u.name,), float(u.state == "connected")) for u in now.uplinks),
    )
    yield _gauge(
        "submeter_uplink_backlog_batches",
        "Batches not yet delivered",
        ("uplink",),
        (((u.name,), u.backlog_batches) for u in now.uplinks),
    )
    yield _gauge(
        "submeter_uplink_backlog_readings",
        "Readings not yet delivered",
        ("uplink",),
        (((u.name,), u.backlog_readings) for u in now.uplinks),
    )
    yield _gauge(
        "submeter_uplink_backlog_oldest_timestamp_seconds",
        "Time of the oldest batch not yet delivered",
        ("uplink",),
        (((u.name,), None if u.backlog_oldest is None else u.backlog_oldest / 1000) for u in now.uplinks),
    )
    yield _gauge(
        "submeter_uplink_certificate_ends_timestamp_seconds",
        "When the first certificate of the uplink ends",
        ("uplink",),
        (((u.name,), None if u.certificate_ends is None else u.certificate_ends / 1000) for u in now.uplinks),
    )
    yield _counter(
        "submeter_uplink_delivered_batches",
        "Batches delivered since the start",
        ("uplink",),
        (((u.name,), u.delivered) for u in now.uplinks),
    )


def _gateway(now: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "submeter_info",
        "Always 1; its labels name the gateway",
        ("gateway", "version"),
        [((now.gateway, now.version), 1.0)],
    )
    yield _gauge("submeter_uptime_seconds", "Time since the start of the daemon", (), [((), now.uptime)])
    yield _gauge(
        "submeter_clock_synced",
        "1 when somebody vouches for the wall clock",
        (),
        [((), float(now.clock.synced))],
    )
    yield _gauge(
        "submeter_heartbeat_age_seconds",
        "Time since a part of the daemon last gave a sign of life",
        ("part",),
        (((b.name,), b.age) for b in now.beats),
    )


def _remote(now: Snapshot) -> Iterator[Metric]:
    if now.remote is not None:
        results = {"done": now.remote.done, "failed": now.remote.failed, **now.remote.refused}
        yield _counter(
            "submeter_remote_commands",
            "Commands of remote care since the start, by what became of them",
            ("result",),
            (((name,), count) for name, count in results.items()),
        )


def _verdict(now: Snapshot) -> Iterator[Metric]:
    verdict = judge(now)
    states = get_args(VerdictState)
    kinds = Counter((f.part, f.subject, f.cause, f.level) for f in verdict.findings if f.level != "good")
    yield _gauge(
        "submeter_verdict",
        "1 for the state that holds, 0 for the others",
        ("state",),
        (((s,), float(s == verdict.state)) for s in states),
    )
    yield _gauge(
        "submeter_finding",
        "How many findings of this kind there are, beside the proofs that a part is in order",
        ("part", "subject", "cause", "level"),
        ((kind, float(count)) for kind, count in kinds.items()),
    )
