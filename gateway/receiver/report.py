"""What the platform holds, as a plain dict."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.model import Ranges
from gateway.receiver.fleet.problems import forks
from gateway.receiver.ledger import EpochLedger, GatewayLedger, Links, Missing
from gateway.receiver.store import Store, open_store
from gateway.receiver.store.intervals import COMPLETE, STATES

_COUNTS = ("batches", "readings", "values", "duplicates", "conflicts", "missing", "explained")
MAX_CONTRADICTIONS = 1000
"""Intervals with two values that a report names, the newest ones."""


def build(path: Path | str) -> dict[str, Any]:
    """The whole report of a database that may be in use. Raises JournalError. Times are ISO 8601, UTC."""
    store = open_store(path, readonly=True)
    try:
        with store.snapshot():
            gateways = [_gateway(store, name) for name in store.gateways()]
            totals = {key: sum(epoch[key] for g in gateways for epoch in g["epochs"]) for key in _COUNTS}
            for state in STATES:
                totals[f"days_{state}"] = sum(day["state"] == state for g in gateways for day in g["days"])
            totals["forks"] = sum(len(g["forks"]) for g in gateways)
            refused = [_refused(row) for row in store.all_refused()]
    finally:
        store.close()
    return {"database": store.name, "totals": totals, "gateways": gateways, "refused": refused}


def _gateway(store: Store, name: str) -> dict[str, Any]:
    ledger = store.ledger(name)
    missing, links = ledger.missing(), ledger.links()
    totals = {row["epoch"]: row for row in store.rows("epoch", name)}
    reasons = store.rows("explained", name)
    state = next(iter(store.rows("state", name)), {})
    replays = store.rows("replay", name)
    intervals, days = store.intervals.count(name), _days(store, name, whole_stream=not missing)
    vouched = sum(part["held"] for day in days for part in day["quantities"].values())
    names = sorted(
        {*ledger.epochs, *missing}, key=lambda key: (totals.get(key, {}).get("first_received") or 0, key)
    )
    return {
        "gateway": name,
        "online": bool(state.get("online")),
        "version": state.get("version"),
        "backlog": state.get("backlog"),
        "heard": _time(state.get("at")),
        "descriptions": len(store.rows("meters", name)),
        "replays": {"asked": len(replays), "answered": sum(row["answered"] is not None for row in replays)},
        "intervals": intervals,
        "intervals_without_manifest": max(0, intervals - vouched),
        "days": days,
        "forks": _forks(totals),
        "contradictions": [
            {**row, "start": _time(row["start"])}
            for row in store.intervals.contradictions(name, MAX_CONTRADICTIONS)
        ],
        "epochs": [
            _epoch(key, ledger, missing.get(key, Missing()), totals.get(key, {}), reasons, links=links)
            for key in names
        ],
    }


def _forks(totals: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Epochs that follow the same one: a copy of the gateway runs, or it was restored from a backup."""
    columns = ("epoch", "previous", "reason", "last_received")
    found = forks([[row[name] for name in columns] for row in totals.values()])
    return [
        {"previous": previous, "epochs": [one, other], "last_received": _time(at)}
        for previous, one, other, at in found
    ]


def _days(store: Store, name: str, *, whole_stream: bool) -> list[dict[str, Any]]:
    """Of each meter and day that a manifest names: the worst of its registers, and each of them."""
    days: dict[tuple[str, str], dict[str, Any]] = {}
    for one in store.intervals.verdicts(name, whole_stream=whole_stream):
        day = days.setdefault(
            (one.meter, one.day), {"meter": one.meter, "day": one.day, "state": COMPLETE, "quantities": {}}
        )
        day["state"] = max(day["state"], one.state, key=STATES.index)
        day["quantities"][one.quantity] = {
            "state": one.state,
            "version": one.version,
            "count": one.count,
            "held": one.stored,
        }
    return list(days.values())


def _epoch(
    name: str,
    whole: GatewayLedger,
    missing: Missing,
    totals: dict[str, Any],
    reasons: list[dict[str, Any]],
    *,
    links: Links,
) -> dict[str, Any]:
    ledger = whole.epochs.get(name, EpochLedger())
    ranges = list(ledger.stored)
    told = [[row["first"], row["last"], row["reason"]] for row in reasons if row["epoch"] == name]
    explained = Ranges(sorted(whole.explanations(name, links))).without(ranges)
    return {
        "epoch": name,
        "first": ledger.first,
        "lowest": ranges[0][0] if ranges else None,
        "highest": ranges[-1][1] if ranges else None,
        "previous": ledger.previous,
        "reason": totals.get("reason"),
        **{key: totals.get(key) or 0 for key in ("batches", "readings", "values", "duplicates", "conflicts")},
        "conflict_seqs": [seq for first, last in ledger.conflicts for seq in range(first, last + 1)],
        "missing": missing.certain.count,
        "missing_ranges": [list(pair) for pair in missing.certain],
        "beginning_unknown": [list(pair) for pair in missing.beginning],
        "explained": explained.count,
        "explained_ranges": [list(pair) for pair in explained],
        "explanations": told,
        "clock": {key: totals.get(key) or 0 for key in ("synced", "anchored", "unsynced")},
        "first_time": _time(totals.get("first_t")),
        "last_time": _time(totals.get("last_t")),
        "last_received": _time(totals.get("last_received")),
    }


def _refused(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "at": _time(row["at"])}


def _time(ms: int | None) -> str | None:
    if ms is None:
        return None
    try:
        return (
            datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
