"""The receiver's report in words: a sentence for all, and a paragraph for each epoch of each gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.cli.language import _, locale, ngettext
from gateway.cli.prose import said
from gateway.common.text import visible

if TYPE_CHECKING:
    from gateway.receiver import Counts


def lines(report: dict[str, Any]) -> list[str]:
    """The report of gateway.receiver.build_report, for people."""
    told = said(sentence(report))
    for gateway in report["gateways"]:
        state = _("online") if gateway["online"] else _("offline")
        heard = _(", heard %(time)s") % {"time": gateway["heard"]} if gateway["heard"] else ""
        waiting = "" if gateway["backlog"] is None else _(", %(n)s waiting there") % {"n": gateway["backlog"]}
        told += ["", *said(visible(f"{gateway['gateway']}: {state}{heard}{waiting}"))]
        told += _forks(gateway)
        told += _days(gateway)
        for epoch in gateway["epochs"]:
            told += _epoch(epoch)
    for row in report["refused"]:
        text = _("refused: %(gateway)s: %(reason)s × %(count)s, last %(at)s: %(example)s")
        told += ["", *said(visible(text % {**row, "gateway": row["gateway"] or _("unknown sender")}))]
    return told


def ended(database: str, counts: Counts) -> str:
    """What a receiver did from its start to its end."""
    refused = counts.refused.total()
    parts = {
        "batches": ngettext("%(n)s batch", "%(n)s batches", counts.batches) % {"n": counts.batches},
        "values": ngettext("%(n)s value", "%(n)s values", counts.values) % {"n": counts.values},
        "commits": ngettext("%(n)s commit", "%(n)s commits", counts.commits) % {"n": counts.commits},
        "duplicates": ngettext("%(n)s duplicate", "%(n)s duplicates", counts.duplicates)
        % {"n": counts.duplicates},
        "conflicts": ngettext("%(n)s conflict", "%(n)s conflicts", counts.conflicts)
        % {"n": counts.conflicts},
        "refused": ngettext("%(n)s message", "%(n)s messages", refused) % {"n": refused},
        "receipts": ngettext("%(n)s receipt", "%(n)s receipts", counts.receipts) % {"n": counts.receipts},
        "replays": ngettext("%(n)s replay", "%(n)s replays", counts.replays) % {"n": counts.replays},
    }
    text = _(
        "%(file)s: stored %(batches)s with %(values)s in %(commits)s, ignored %(duplicates)s, met "
        "%(conflicts)s, refused %(refused)s, sent %(receipts)s and %(replays)s"
    )
    return text % {"file": database, **parts}


def sentence(report: dict[str, Any]) -> str:
    """The report in one line."""
    total = report["totals"]
    held = _(
        "%(batches)s with %(readings)s of %(gateways)s; %(missing)s missing, %(explained)s explained, "
        "%(conflicts)s in conflict, "
        "%(duplicates)s ignored"
    )
    return held % {
        "batches": _batches(total["batches"]),
        "readings": _readings(total["readings"]),
        "gateways": _gateways(len(report["gateways"])),
        "missing": total["missing"],
        "explained": total["explained"],
        "conflicts": total["conflicts"],
        "duplicates": ngettext("%(n)s duplicate", "%(n)s duplicates", total["duplicates"])
        % {"n": total["duplicates"]},
    }


MOST_FORKS = 5


def _forks(gateway: dict[str, Any]) -> list[str]:
    """Epochs that follow the same one."""
    told = []
    for fork in gateway["forks"][:MOST_FORKS]:
        one, other = fork["epochs"]
        text = _(
            "%(one)s and %(other)s both follow %(previous)s: two machines with this identity, or one that "
            "was restored from a backup; last heard %(time)s"
        )
        what = {"one": one, "other": other, "previous": fork["previous"], "time": fork["last_received"]}
        told += said(visible(text % what), "  ")
    return told


MOST_DAYS = 10
"""Days that are named one by one, the newest ones; of a day its registers are named."""


def _days(gateway: dict[str, Any]) -> list[str]:
    """Energy of the days that the gateway has vouched for, by meter; and that of which it has not yet."""
    days = gateway["days"]
    counts = [
        text % {"n": locale().whole(n)}
        for state, text in (
            ("complete", _("%(n)s complete")),
            ("incomplete", _("%(n)s incomplete")),
            ("contradicted", _("%(n)s contradicted")),
        )
        if (n := sum(day["state"] == state for day in days))
    ]
    told = said(_("energy, days of a meter: %(what)s") % {"what": ", ".join(counts)}, "  ") if counts else []
    if without := gateway["intervals_without_manifest"]:
        text = ngettext(
            "%(n)s interval is of a day whose manifest has not come: nothing says yet whether all are here",
            "%(n)s intervals are of days whose manifest has not come: nothing says yet whether all are here",
            without,
        )
        told += said(text % {"n": locale().whole(without)}, "    ")
    wrong = sorted((day for day in days if day["state"] != "complete"), key=lambda day: day["day"])
    for day in reversed(wrong[-MOST_DAYS:]):
        parts = [
            _day_part(quantity, part)
            for quantity, part in day["quantities"].items()
            if part["state"] != "complete"
        ]
        told += said(visible(f"{day['day']} {day['meter']}: {'; '.join(parts)}"), "    ")
    if len(wrong) > MOST_DAYS:
        more = len(wrong) - MOST_DAYS
        text = ngettext("and %(n)s more day", "and %(n)s more days", more)
        told += said(text % {"n": locale().whole(more)}, "    ")
    for row in gateway["contradictions"][:MOST_DAYS]:
        text = _(
            "%(meter)s %(quantity)s from %(start)s, version %(version)s: %(value)s (%(quality)s) and "
            "%(other_value)s (%(other_quality)s)"
        )
        told += said(visible(text % row), "    ")
    return told


def _day_part(quantity: str, part: dict[str, Any]) -> str:
    if part["state"] == "contradicted":
        return _("%(quantity)s contradicted") % {"quantity": quantity}
    return _("%(quantity)s %(held)s of %(count)s intervals") % {"quantity": quantity, **part}


def _epoch(epoch: dict[str, Any]) -> list[str]:
    start = epoch["lowest"] if epoch["first"] is None else epoch["first"]
    seqs = _("none yet") if epoch["highest"] is None else f"{start}–{epoch['highest']}"
    told = said(f"{epoch['epoch']}  {seqs}", "  ")
    stored = [f"{_batches(epoch['batches'])}, {_readings(epoch['readings'])}"]
    stored += [_("%(n)s came again") % {"n": epoch["duplicates"]}] if epoch["duplicates"] else []
    if epoch["conflicts"]:
        named = _ranges([[seq, seq] for seq in epoch["conflict_seqs"]])
        stored.append(_("%(n)s in conflict") % {"n": epoch["conflicts"]} + named)
    told += said(_("stored: %(what)s") % {"what": ", ".join(stored)}, "    ")
    absent = (
        [_("%(n)s missing") % {"n": epoch["missing"]} + _ranges(epoch["missing_ranges"])]
        if epoch["missing"]
        else [_("none missing")]
    )
    if epoch["explained"]:
        reasons = ", ".join(
            _reason(reason)
            for reason in sorted({reason for *_range, reason in epoch["explanations"]} or {"later"})
        )
        absent.append(
            _("%(n)s explained") % {"n": epoch["explained"]}
            + f"{_ranges(epoch['explained_ranges'])}: {reasons}"
        )
    if epoch["beginning_unknown"]:
        absent.append(_("beginning unknown") + _ranges(epoch["beginning_unknown"]))
    told += said(_("not stored: %(what)s") % {"what": "; ".join(absent)}, "    ")
    since, until = (
        (epoch[key] or "–").split(".")[0].replace("T", " ") for key in ("first_time", "last_time")
    )
    told += said(_("from %(since)s to %(until)s (UTC)") % {"since": since, "until": until}, "    ")
    clock = ", ".join(f"{count} {_clock(state)}" for state, count in epoch["clock"].items() if count)
    return told + (said(_("clock: %(what)s") % {"what": clock}, "    ") if clock else [])


def _batches(count: int) -> str:
    return ngettext("%(n)s batch", "%(n)s batches", count) % {"n": locale().whole(count)}


def _readings(count: int) -> str:
    return ngettext("%(n)s reading", "%(n)s readings", count) % {"n": locale().whole(count)}


def _gateways(count: int) -> str:
    return ngettext("%(n)s gateway", "%(n)s gateways", count) % {"n": locale().whole(count)}


def _reason(reason: str) -> str:
    """Why a number is not held, in words; the word itself when it is none of the contract's."""
    known = {
        "thinned": _("thinned"),
        "damaged": _("damaged"),
        "delivered": _("delivered"),
        "unknown": _("unknown"),
        "later": _("by a later epoch"),
    }
    return known.get(reason, reason)


def _clock(state: str) -> str:
    return {"synced": _("synced"), "anchored": _("anchored"), "unsynced": _("unsynced")}.get(state, state)


def _ranges(ranges: list[list[int]], most: int = 5) -> str:
    shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges[:most])
    more = _(" and %(n)s more ranges") % {"n": len(ranges) - most} if len(ranges) > most else ""
    return f" ({shown}{more})"
