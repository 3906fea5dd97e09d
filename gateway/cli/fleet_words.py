"""A fleet in words: how it stands, how it ended, and what the platform holds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.cli.language import _, in_words, locale
from gateway.cli.prose import said
from gateway.common.text import visible

if TYPE_CHECKING:
    from gateway.demo.fleet import Fleet, FleetLedger, FleetVerdict, Progress


def standing(now: Progress) -> str:
    """How it stands, in a line; another one says why nobody is online."""
    words = locale()
    parts = [
        _("%(n)s online") % {"n": words.whole(now.online)},
        _("%(n)s values/s") % {"n": words.whole(now.rate)},
        _("%(n)s open") % {"n": words.whole(now.open)},
    ]
    if now.delay is not None:
        parts.append(_("19 of 20 receipted within {span} s").format(span=words.number(now.delay, 2)))
    told = f"{words.whole(now.seconds):>4} s: {', '.join(parts)}"
    if now.trouble:
        told += "\n" + _("nobody is online: %(why)s") % {"why": in_words(now.trouble)}
    return told


def ended(fleet: Fleet, ledger: FleetLedger) -> list[str]:
    """What came of a run."""
    words = locale()
    delays = [fleet.delays.percentile(share) for share in (0.5, 0.95, 1.0)]
    told = said(
        _(
            "%(batches)s batches with %(values)s values of %(gateways)s gateways; sent %(sent)s times; "
            "%(open)s without receipt"
        )
        % {
            "batches": words.whole(ledger.taken),
            "values": words.whole(_values(ledger)),
            "gateways": words.whole(len(ledger.accounts)),
            "sent": words.whole(ledger.sent),
            "open": words.whole(ledger.open),
        }
    )
    if None not in delays:
        half, most, longest = (words.number(delay or 0.0, 2) for delay in delays)
        told += said(
            _("receipts: half within {half} s, 19 of 20 within {most} s, the last after {longest} s").format(
                half=half, most=most, longest=longest
            )
        )
    if fleet.late > fleet.plan.interval:
        told += said(
            _(
                "this machine was too slow: readings were taken up to {late} s late → take fewer gateways"
            ).format(late=words.number(fleet.late, 1))
        )
    return told


def ended_json(fleet: Fleet, ledger: FleetLedger) -> dict[str, Any]:
    """The same for programs; delays in seconds."""
    delays = fleet.delays
    return {
        "gateways": len(ledger.accounts),
        "batches": ledger.taken,
        "values": _values(ledger),
        "sent": ledger.sent,
        "open": ledger.open,
        "seconds": (ledger.ended - ledger.started) / 1000,
        "late": fleet.late,
        "delay": {
            "p50": delays.percentile(0.5),
            "p95": delays.percentile(0.95),
            "max": delays.percentile(1.0),
        },
    }


def _values(ledger: FleetLedger) -> int:
    return ledger.taken * ledger.plan.meters * ledger.plan.values


def verdict_lines(verdict: FleetVerdict) -> list[str]:
    """What the platform holds of what was taken."""
    words = locale()
    told = said(
        _("%(stored)s of %(taken)s batches of %(gateways)s gateways are stored; %(waiting)s wait")
        % {name: words.whole(getattr(verdict, name)) for name in ("stored", "taken", "gateways", "waiting")}
    )
    wrong = [
        text % {"n": words.whole(count)}
        for count, text in (
            (verdict.lost, _("%(n)s lost: receipted, and not there")),
            (verdict.twice, _("%(n)s twice")),
            (verdict.short, _("%(n)s with readings that are missing")),
            (verdict.changed, _("%(n)s with other content")),
            (verdict.foreign, _("%(n)s that were never taken")),
            (verdict.conflicts, _("%(n)s in conflict")),
        )
        if count
    ]
    if not wrong:
        return told + said(_("none lost, none twice, none changed"))
    for line in [*wrong, *map(visible, verdict.problems)]:
        told += said(line, "  ")
    return told
