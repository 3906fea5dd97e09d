"""What the page says in plain sentences: what is stored, what waits, how a line does, what a power cut
costs.
"""

from __future__ import annotations

from gateway.status.snapshot import BusView, FactView, Snapshot, UplinkView
from gateway.status.uplink_findings import bound
from gateway.status.verdict import lost_lately, thinned_lately
from gateway.status.words import causes
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale

_SHORT_MS = 600_000
"""The ends of a shorter time are told with their seconds."""
_MOST_RANGES = 3
"""Ranges of registers that are told one by one."""


def stored(now: Snapshot, f: Locale, *, page: bool = True) -> str:
    """What of the numbers is on the card; `page` adds what that means for the page."""
    _ = f.gettext
    if now.journal.unopened:
        return _("What is stored on this gateway cannot be read at the moment.")
    if now.journal.newest is None:
        return _("Nothing has been stored yet.") + (
            " " + _("The numbers on this page are live.") if page else ""
        )
    text = _("Stored on this gateway up to %(time)s.") % {"time": f.clock(now.journal.newest)}
    return text + (" " + _("Newer numbers on this page are live and not yet stored.") if page else "")


def no_meter(now: Snapshot, f: Locale) -> str:
    """Why none is read."""
    _ = f.gettext
    return _("Every meter is switched off.") if now.meters else _("No meter is configured yet.")


def power_cut(now: Snapshot, f: Locale) -> str:
    """What a power cut would cost at this moment."""
    _ = f.gettext
    if now.journal.state in {"full", "failed", "newer"} and now.journal.pending:
        text = f.ngettext(
            "If the power fails now, %(n)s reading that could not be stored is lost. The meters "
            "themselves go on counting kWh.",
            "If the power fails now, %(n)s readings that could not be stored are lost. The meters "
            "themselves go on counting kWh.",
            now.journal.pending,
        )
        text %= {"n": f.whole(now.journal.pending)}
    else:
        text = _(
            "If the power fails now, at most the readings of the last %(span)s are lost. The meters "
            "themselves go on counting kWh."
        )
        text %= {"span": f.span(now.journal.slot)}
    if any(meter.address is None for meter in now.meters):
        text += " " + _("Pulses that come while the gateway has no power are not counted.")
    return text


def room(now: Snapshot, f: Locale) -> str:
    """How long an outage of the platform may last; empty when nobody knows."""
    days = now.journal.room_days
    if days is None:
        return ""
    basis = now.journal.room_basis
    if days <= 0 or not basis:
        return _room(days, f)
    return f.gettext("%(room)s at the pace of the last %(span)s") % {
        "room": _room(days, f),
        "span": f.span(basis),
    }


def thinned(now: Snapshot, f: Locale) -> str:
    """What had to make room before it was delivered; empty when nothing had to."""
    journal = now.journal
    if not journal.thinned:
        return ""
    text = f.ngettext(
        "%(n)s undelivered reading had to make room for newer ones",
        "%(n)s undelivered readings had to make room for newer ones",
        journal.thinned_readings,
    ) % {"n": f.whole(journal.thinned_readings)}
    if journal.thinned_since is not None and journal.thinned_until is not None:
        span = {"since": f.moment(journal.thinned_since), "until": f.moment(journal.thinned_until)}
        text += f.gettext(" (between %(since)s and %(until)s)") % span
    return text + f.gettext(". Quarter-hour meter readings are kept the longest.")


def lost(now: Snapshot, f: Locale) -> str:
    """What went for good with a damaged or missing file; empty when nothing did."""
    journal = now.journal
    if not journal.lost:
        return ""
    since, until = journal.lost_since, journal.lost_until
    short = since is not None and until is not None and until - since < _SHORT_MS
    told = f.clock if short else f.moment
    words = {
        "n": f.whole(journal.lost),
        "since": told(since) if since is not None else "",
        "until": told(until) if until is not None else "",
    }
    match since, until:
        case None, None:
            span = ""
        case _, None:
            span = f.gettext(" (after %(since)s)")
        case None, _:
            span = f.gettext(" (before %(until)s)")
        case _:
            span = f.gettext(" (between %(since)s and %(until)s)")
    text = f.ngettext(
        "%(n)s stored batch%(span)s could not be read back: its readings of all meters are lost for good.",
        "%(n)s stored batches%(span)s could not be read back: their readings of all meters are lost for "
        "good.",
        journal.lost,
    )
    return text % {**words, "span": span % words}


def _room(days: float, f: Locale) -> str:
    if days <= 0:
        return f.gettext("there is no room left")
    if days * 24 < 1:
        return f.gettext("there is room for less than an hour")
    if days < 1:
        return f.ngettext(
            "there is room for %(n)s more hour", "there is room for %(n)s more hours", int(days * 24)
        ) % {"n": f.whole(int(days * 24))}
    return f.ngettext("there is room for %(n)s more day", "there is room for %(n)s more days", int(days)) % {
        "n": f.whole(int(days))
    }


def uplink(now: Snapshot, view: UplinkView, f: Locale) -> str:
    """How delivery to one platform stands."""
    ngettext = f.ngettext
    count, oldest = view.backlog_readings, view.backlog_oldest
    if view.backlog_batches == 0:
        return _nothing_waits(now, view, f)
    if count == 0:
        text = ngettext(
            "%(n)s batch of events without readings waits to be delivered.",
            "%(n)s batches of events without readings wait to be delivered.",
            view.backlog_batches,
        )
        return text % {"n": f.whole(view.backlog_batches)}
    if view.state == "connected" and view.held >= view.backlog_batches:
        text = ngettext(
            "%(n)s reading is held back until the clock is right.",
            "%(n)s readings are held back until the clock is right.",
            count,
        )
        return text % {"n": f.whole(count)}
    recent = oldest is None or abs(now.taken - oldest) <= bound(now, view.late_after)
    if view.state == "connected" and recent:
        if less_than_all(now) or view.skipped or view.salvaged or view.set_aside:
            text = ngettext(
                "The newest reading is on its way.", "The newest %(n)s readings are on their way.", count
            )
            return text % {"n": f.whole(count)}
        text = ngettext(
            "The newest reading is on its way; everything older has been delivered.",
            "The newest %(n)s readings are on their way; everything older has been delivered.",
            count,
        )
        return text % {"n": f.whole(count)}
    # Of a time to come was what waited when the clock was set back.
    since = f.since(oldest) if oldest is not None and oldest <= now.taken else ""
    if view.state == "connected" and view.done_at is not None:
        text = ngettext(
            "%(n)s reading waiting %(since)s is being delivered, until about %(time)s.",
            "%(n)s readings waiting %(since)s are being delivered, until about %(time)s.",
            count,
        )
        return _joined(text % {"n": f.whole(count), "since": since, "time": f.moment(view.done_at)}, since)
    days = now.journal.room_days
    if days is None:
        text = ngettext(
            "%(n)s reading has been waiting %(since)s.", "%(n)s readings have been waiting %(since)s.", count
        )
        return _joined(text % {"n": f.whole(count), "since": since}, since)
    text = ngettext(
        "%(n)s reading has been waiting %(since)s; %(room)s.",
        "%(n)s readings have been waiting %(since)s; %(room)s.",
        count,
    )
    return _joined(text % {"n": f.whole(count), "since": since, "room": _room(days, f)}, since)


def _joined(text: str, since: str) -> str:
    """A sentence without the blanks that a time leaves which is not known."""
    return text if since else " ".join(text.split()).replace(" ;", ";").replace(" .", ".")


def less_than_all(now: Snapshot) -> bool:
    """Whether something was lost of late, or had to make room, so that not everything can be delivered."""
    return lost_lately(now) or thinned_lately(now)


def _nothing_waits(now: Snapshot, view: UplinkView, f: Locale) -> str:
    """What is to be said where nothing waits."""
    _, ngettext = f.gettext, f.ngettext
    if now.journal.unopened:
        return _("What waits for this platform cannot be read at the moment.")
    if view.state != "connected":
        return _("Nothing is waiting.")
    if view.salvaged:
        text = ngettext(
            "%(n)s batch from a damaged file is being delivered.",
            "%(n)s batches from a damaged file are being delivered.",
            view.salvaged,
        )
        return text % {"n": f.whole(view.salvaged)}
    if view.skipped:
        text = ngettext(
            "Everything that this platform takes has been delivered; %(n)s reading was left out.",
            "Everything that this platform takes has been delivered; %(n)s readings were left out.",
            view.skipped,
        )
        return text % {"n": f.whole(view.skipped)}
    if lost_lately(now):
        return _("What could be read back of a damaged file has been delivered, and everything since.")
    if thinned_lately(now):
        return _("Everything that is still stored has been delivered.")
    if view.receipts and view.last_receipt is not None:
        return _("Everything stored has been delivered; the platform confirmed it at %(time)s.") % {
            "time": f.clock(view.last_receipt)
        }
    return _("Everything stored has been delivered.")


def bus(view: BusView, f: Locale) -> str:
    """How a line is doing: traffic, errors, turn-around, load."""
    _, ngettext = f.gettext, f.ngettext
    if view.state == "down":
        reason = causes.why(view.cause, f) or (view.error if f.language == "en" else "")
        return Words(f).bus_state("down") + (f": {reason}" if reason else "")
    if view.state == "lent" or not view.requests:
        return Words(f).bus_state(view.state if view.state == "lent" else "idle")
    errors = view.timeouts + view.bad_frames + view.exceptions
    parts = [
        ngettext("%(n)s request", "%(n)s requests", view.requests) % {"n": f.whole(view.requests)},
        ngettext("%(n)s error (%(part)s)", "%(n)s errors (%(part)s)", errors)
        % {"n": f.whole(errors), "part": f.percent(errors / view.requests, 1)},
    ]
    if view.turnaround is not None:
        parts.append(_("meters answer after %(ms)s ms") % {"ms": f.whole(view.turnaround)})
    if view.load is not None:
        parts.append(_("busy %(part)s of the time") % {"part": f.percent(view.load)})
    text = ", ".join(parts)
    return f"{text} ({f.since(view.counted_since)})" if view.counted_since is not None else text


def batches(count: int, f: Locale) -> str:
    """So many batches."""
    return f.ngettext("%(n)s batch", "%(n)s batches", count) % {"n": f.whole(count)}


def readings(count: int, f: Locale) -> str:
    """So many readings."""
    return f.ngettext("%(n)s reading", "%(n)s readings", count) % {"n": f.whole(count)}


def facts(known: tuple[FactView, ...], f: Locale) -> str:
    """What was learnt about a line or a meter, or is configured, as keys of the configuration, each with
    its time.
    """
    _ = f.gettext
    since = [_("configured") if fact.since is None else f.since(fact.since) for fact in known]
    return ", ".join(
        f"{fact.name}: {_fact(fact, f)} ({when})" for fact, when in zip(known, since, strict=True)
    )


def is_folded(fact: FactView) -> bool:
    """Whether a fact has more ranges of registers than are told one by one."""
    return fact.name == "skip" and fact.value.count(":") > _MOST_RANGES


def _fact(fact: FactView, f: Locale) -> str:
    """Its value as a key of the configuration; many ranges of registers as the values that are in them."""
    if not is_folded(fact):
        return fact.value
    if not fact.values:
        count = fact.value.count(":")
        return f.ngettext("%(n)s range of registers", "%(n)s ranges of registers", count) % {
            "n": f.whole(count)
        }
    which = Words(f).some(fact.values)
    text = f.ngettext(
        "%(n)s value in no read (%(which)s)", "%(n)s values in no read (%(which)s)", len(fact.values)
    )
    return text % {"n": f.whole(len(fact.values)), "which": which}
