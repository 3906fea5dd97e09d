"""What the platform holds, as a plain dict for JSON and as a table for people."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.model import Ranges
from gateway.receiver.ledger import EpochLedger, GatewayLedger, Links, Missing
from gateway.receiver.store import Store

if TYPE_CHECKING:
    from rich.console import RenderableType

_COUNTS = ("batches", "readings", "values", "duplicates", "conflicts", "missing", "explained")


def build(path: Path) -> dict[str, Any]:
    """The whole report of a database that may be in use. Raises JournalError. Times are ISO 8601, UTC."""
    store = Store(path, readonly=True)
    try:
        with store.snapshot():
            gateways = [_gateway(store, name) for name in store.gateways()]
            totals = {key: sum(epoch[key] for g in gateways for epoch in g["epochs"]) for key in _COUNTS}
            refused = [_refused(row) for row in store.all_refused()]
    finally:
        store.close()
    return {"database": str(path), "totals": totals, "gateways": gateways, "refused": refused}


def _gateway(store: Store, name: str) -> dict[str, Any]:
    ledger = store.ledger(name)
    missing, links = ledger.missing(), ledger.links()
    totals = {row["epoch"]: row for row in store.rows("epoch", name)}
    reasons = store.rows("explained", name)
    state = next(iter(store.rows("state", name)), {})
    replays = store.rows("replay", name)
    names = sorted({*ledger.epochs, *missing}, key=lambda key: (totals.get(key, {}).get("first_received") or 0, key))
    return {
        "gateway": name,
        "online": bool(state.get("online")),
        "version": state.get("version"),
        "backlog": state.get("backlog"),
        "heard": _time(state.get("at")),
        "descriptions": len(store.rows("meters", name)),
        "replays": {"asked": len(replays), "answered": sum(row["answered"] is not None for row in replays)},
        "epochs": [_epoch(key, ledger, missing.get(key, Missing()), totals.get(key, {}), reasons, links=links) for key in names],
    }


def _epoch(
    name: str, whole: GatewayLedger, missing: Missing, totals: dict[str, Any], reasons: list[dict[str, Any]], *, links: Links
) -> dict[str, Any]:
    ledger = whole.epochs.get(name, EpochLedger())
    ranges = list(ledger.held)
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
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def render(report: dict[str, Any]) -> RenderableType:
    """The report as tables with a sentence on top."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only a report for people needs it
    from rich.console import Group  # noqa: PLC0415 - likewise
    from rich.markup import escape  # noqa: PLC0415 - likewise
    from rich.table import Table  # noqa: PLC0415 - likewise

    parts: list[RenderableType] = [f"[bold]{escape(sentence(report))}[/bold]"]
    for gateway in report["gateways"]:
        heard = f", heard {gateway['heard']}" if gateway["heard"] else ""
        waiting = "" if gateway["backlog"] is None else f", {gateway['backlog']} waiting there"
        head = f"{gateway['gateway']} · {'online' if gateway['online'] else 'offline'}{heard}{waiting}"
        table = Table(title=escape(head), title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_lines=True, pad_edge=False)
        for column in ("epoch and seqs", "stored", "not stored", "from, to (UTC)"):
            # Epochs and times are to be read and copied whole, on 80 columns too; a long list of ranges may fold.
            table.add_column(column, no_wrap=column != "not stored", min_width=18 if column == "not stored" else None, overflow="fold")
        for epoch in gateway["epochs"]:
            table.add_row(*(escape(cell) for cell in _cells(epoch)))
        parts.append(table)
    for row in report["refused"]:
        line = f"refused: {row['gateway'] or 'unknown sender'}: {row['reason']} × {row['count']}, last {row['at']}: {row['example']}"
        parts.append(escape(line))
    return Group(*parts)


def sentence(report: dict[str, Any]) -> str:
    """The report in one line."""
    total = report["totals"]
    gateways = _count(len(report["gateways"]), "gateway", "gateways")
    return (
        f"{_count(total['batches'], 'batch', 'batches')} with {_count(total['readings'], 'reading', 'readings')} of {gateways}; "
        f"{total['missing']} missing, {total['explained']} explained, {total['conflicts']} in conflict, "
        f"{_count(total['duplicates'], 'duplicate', 'duplicates')} ignored"
    )


def _cells(epoch: dict[str, Any]) -> list[str]:
    start = epoch["lowest"] if epoch["first"] is None else epoch["first"]
    name = [epoch["epoch"], "none yet" if epoch["highest"] is None else f"{start}–{epoch['highest']}"]
    stored = [_count(epoch["batches"], "batch", "batches"), _count(epoch["readings"], "reading", "readings")]
    stored += [f"{epoch['duplicates']} came again"] if epoch["duplicates"] else []
    stored += [f"{epoch['conflicts']} in conflict"] if epoch["conflicts"] else []
    absent = [f"{epoch['missing']} missing" + _ranges(epoch["missing_ranges"])] if epoch["missing"] else ["none missing"]
    if epoch["explained"]:
        reasons = sorted({reason for *_, reason in epoch["explanations"]} or {"by a later epoch"})
        absent.append(f"{epoch['explained']} explained{_ranges(epoch['explained_ranges'])}: {', '.join(reasons)}")
    if epoch["beginning_unknown"]:
        absent.append(f"beginning unknown{_ranges(epoch['beginning_unknown'])}")
    times = [(epoch[key] or "–").split(".")[0].replace("T", " ") for key in ("first_time", "last_time")]
    clock = [f"{count} {state}" for state, count in epoch["clock"].items() if count]
    return ["\n".join(cell) for cell in (name, stored, absent, [*times, *clock])]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _ranges(ranges: list[list[int]], most: int = 5) -> str:
    shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges[:most])
    more = f" and {len(ranges) - most} more ranges" if len(ranges) > most else ""
    return f" ({shown}{more})"
