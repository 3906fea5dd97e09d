"""What the page says in plain sentences: is all well, what is wrong, what to do, what waits, what a power cut costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.status import causes, platforms
from gateway.status.language import Locale
from gateway.status.snapshot import BusView, FactView, MeterView, Snapshot, UplinkView
from gateway.status.words import Words, counter, headline

Level = Literal["good", "warn", "bad"]

SOON_DAYS = 3.0
"""With less room than this an outage of the platform is urgent."""
THINNED_MS = 7 * 86_400_000
"""So long after the last time a person is told that readings had to make room; the store's own section always says it."""
ON_ITS_WAY_MS = 120_000
"""Younger batches are being delivered, not waiting."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know: what is wrong, what to do about it, where to look."""

    level: Level
    text: str
    action: str = ""
    link: str = ""


def notices(now: Snapshot, f: Locale) -> list[Notice]:
    """Everything that is not in order, the worst first."""
    found = [*_lines(now, f), *_meters(now, f), *_pulses(now, f), *_storage(now, f), *_uplinks(now, f), *_machine(now, f)]
    return sorted(found, key=lambda notice: notice.level != "bad")


def verdict(now: Snapshot, found: list[Notice], f: Locale) -> Notice:
    """The one sentence at the top."""
    _, ngettext = f.gettext, f.ngettext
    active = [meter for meter in now.meters if meter.state != "disabled"]
    if not active:
        return Notice("warn", _("No meter is configured yet."))
    answering = sum(meter.state in {"answering", "partial"} for meter in active)
    counts = {"n": f.whole(answering), "all": f.whole(len(active))}
    if not found:
        if any(meter.state == "starting" for meter in active):
            return Notice("good", _("Starting: %(n)s of %(all)s meters have answered.") % counts)
        return Notice(
            "good",
            ngettext("Everything is in order. The meter answers.", "Everything is in order. All %(n)s meters answer.", answering) % counts,
        )
    level: Level = "bad" if any(notice.level == "bad" for notice in found) else "warn"
    if answering == len(active):
        return Notice(
            level,
            ngettext(
                "The meter answers, but something needs attention.", "All %(n)s meters answer, but something needs attention.", answering
            )
            % counts,
        )
    return Notice(level, _("%(n)s of %(all)s meters answer.") % counts)


def stored(now: Snapshot, f: Locale, *, page: bool = True) -> str:
    """What of the numbers is on the card; `page` adds what that means for the page."""
    _ = f.gettext
    if now.journal.newest is None:
        return _("Nothing has been stored yet.") + (" " + _("The numbers on this page are live.") if page else "")
    text = _("Stored on this gateway up to %(time)s.") % {"time": f.clock(now.journal.newest)}
    return text + (" " + _("Newer numbers on this page are live and not yet stored.") if page else "")


def power_cut(now: Snapshot, f: Locale) -> str:
    """What a power cut would cost at this moment."""
    _ = f.gettext
    if now.journal.state in {"full", "failed", "newer"}:
        text = _("If the power fails now, %(n)s readings that could not be stored are lost. The meters themselves go on counting kWh.")
        text %= {"n": f.whole(now.journal.pending)}
    else:
        text = _("If the power fails now, at most the readings of the last %(span)s are lost. The meters themselves go on counting kWh.")
        text %= {"span": f.span(now.journal.slot)}
    if any(meter.address is None for meter in now.meters):
        text += " " + _("Pulses that come while the gateway has no power are not counted.")
    return text


def room(now: Snapshot, f: Locale) -> str:
    """How long an outage of the platform may last; empty when nobody knows."""
    days = now.journal.room_days
    if days is None:
        return ""
    return _room(days, f)


def thinned(now: Snapshot, f: Locale) -> str:
    """What had to make room before it was delivered; empty when nothing had to."""
    journal = now.journal
    if not journal.thinned:
        return ""
    text = f.ngettext(
        "%(n)s undelivered reading had to make room for newer ones", "%(n)s undelivered readings had to make room for newer ones",
        journal.thinned_readings,
    ) % {"n": f.whole(journal.thinned_readings)}  # fmt: skip
    if journal.thinned_since is not None and journal.thinned_until is not None:
        span = {"since": f.moment(journal.thinned_since), "until": f.moment(journal.thinned_until)}
        text += f.gettext(" (between %(since)s and %(until)s)") % span
    return text + f.gettext(". Quarter-hour meter readings are kept the longest.")


def _room(days: float, f: Locale) -> str:
    if days < 1:
        return f.ngettext("there is room for %(n)s more hour", "there is room for %(n)s more hours", int(days * 24)) % {
            "n": f.whole(int(days * 24))
        }
    return f.ngettext("there is room for %(n)s more day", "there is room for %(n)s more days", int(days)) % {"n": f.whole(int(days))}


def uplink(now: Snapshot, view: UplinkView, f: Locale) -> str:
    """How delivery to one platform stands."""
    _, ngettext = f.gettext, f.ngettext
    count, oldest = view.backlog_readings, view.backlog_oldest
    waiting = ngettext("%(n)s reading", "%(n)s readings", count) % {"n": f.whole(count)}
    if view.backlog_batches == 0:
        if view.state != "connected":
            return _("Nothing is waiting.")
        if view.receipts and view.last_receipt is not None:
            return _("Everything stored has been delivered; the platform confirmed it at %(time)s.") % {"time": f.clock(view.last_receipt)}
        return _("Everything stored has been delivered.")
    if view.state == "connected" and (oldest is None or now.taken - oldest <= ON_ITS_WAY_MS):
        return _("The newest %(readings)s are on their way; everything older has been delivered.") % {"readings": waiting}
    if view.state == "connected" and view.held >= view.backlog_batches:
        return _("%(readings)s are held back until the clock is right.") % {"readings": waiting}
    since = f.since(oldest) if oldest is not None else ""
    if view.state == "connected":
        return _("%(readings)s waiting %(since)s are being delivered.") % {"readings": waiting, "since": since}
    days = now.journal.room_days
    if days is None:
        return ngettext("%(n)s reading has been waiting %(since)s.", "%(n)s readings have been waiting %(since)s.", count) % {
            "n": f.whole(count),
            "since": since,
        }
    text = ngettext("%(n)s reading has been waiting %(since)s; %(room)s.", "%(n)s readings have been waiting %(since)s; %(room)s.", count)
    return text % {"n": f.whole(count), "since": since, "room": _room(days, f)}


def bus(view: BusView, f: Locale) -> str:
    """How a line is doing: traffic, errors, turn-around, load."""
    _, ngettext = f.gettext, f.ngettext
    if view.state == "down":
        reason = causes.why(view.cause, f) or view.error
        return Words(f).bus_state("down") + (f": {reason}" if reason else "")
    if not view.requests:
        return Words(f).bus_state("idle")
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
    return ", ".join(parts)


def facts(known: tuple[FactView, ...], f: Locale) -> str:
    """What was learnt about a line or a meter, or is configured, as keys of the configuration, each with its time."""
    _ = f.gettext
    return ", ".join(f"{fact.name}: {fact.value} ({_('configured') if fact.since is None else f.since(fact.since)})" for fact in known)


def _lines(now: Snapshot, f: Locale) -> Iterator[Notice]:
    _ = f.gettext
    for view in now.buses:
        members = [meter for meter in now.meters if meter.bus == view.name and meter.state != "disabled"]
        if view.state == "down" and not view.error:
            continue  # being opened for the first time
        if view.state == "down":
            text = _("The line %(name)s cannot be opened (%(where)s).") % {"name": view.name, "where": view.where}
            reason = causes.why(view.cause, f)
            text = f"{text.removesuffix('.')}: {reason}." if reason else text
            yield Notice("bad", text, causes.action(view.cause, f), "/system")
        elif _all_lost(members):
            action = _("Check the data cable where it leaves the gateway, and the power of the converter.")
            yield Notice(
                "bad",
                _("None of the %(n)s meters on the line %(name)s answers.") % {"n": f.whole(len(members)), "name": view.name},
                action,
                "/system",
            )


def _all_lost(members: list[MeterView]) -> bool:
    return len(members) > 1 and all(meter.state == "lost" for meter in members)


def _meters(now: Snapshot, f: Locale) -> Iterator[Notice]:
    _, ngettext = f.gettext, f.ngettext
    words = Words(f)
    down = {view.name for view in now.buses if view.state == "down"}
    down |= {view.name for view in now.buses if _all_lost([m for m in now.meters if m.bus == view.name and m.state != "disabled"])}
    for meter in now.meters:
        link = f"/meter/{meter.id}"
        if meter.state == "lost" and meter.bus not in down:
            action = _("Check that the meter has power and that its data cable is firm. The others go on being read.")
            yield Notice("bad", f"{meter.label}: {words.meter_state(meter)}.", action, link)
        elif meter.state == "partial" and (absent := sum(view.value is None or bool(view.absent) for view in meter.values)):
            text = ngettext("%(meter)s: %(n)s of its values is missing.", "%(meter)s: %(n)s of its values are missing.", absent)
            yield Notice("warn", text % {"meter": meter.label, "n": f.whole(absent)}, "", link)
        elif meter.state == "answering" and (main := headline(meter) or counter(meter)) is not None and main.quality == "stale":
            yield Notice("warn", _("%(meter)s: its numbers are old (%(age)s).") % {"meter": meter.label, "age": f.ago(main.age)}, "", link)
        suspects = [view for view in meter.values if view.suspect and "too_fast" not in meter.remarks]
        if suspects and meter.state in {"answering", "partial"}:
            text = _("%(meter)s: some values are doubtful (%(which)s).")
            which = ", ".join(words.quantity(view.quantity) for view in suspects[:3]) + ("…" if len(suspects) > 3 else "")  # noqa: PLR2004 - enough to recognise
            yield Notice("warn", text % {"meter": meter.label, "which": which}, _("Has the meter been replaced or rewired?"), link)


def _pulses(now: Snapshot, f: Locale) -> Iterator[Notice]:
    _ = f.gettext
    for meter in now.meters:
        link, name = f"/meter/{meter.id}", {"meter": meter.label}
        if "too_fast" in meter.remarks:
            action = _("Pulses are missing. Tell the maintenance firm: the limits do not fit this meter, or its cable is disturbed.")
            yield Notice("warn", _("%(meter)s: its pulses come faster than they can be counted.") % name, action, link)
        if "register_unsure" in meter.remarks:
            action = _("Read the display and set it: submeter pulses set %(id)s VALUE") % {"id": meter.id}
            yield Notice("warn", _("%(meter)s: its register may differ from the meter's display.") % name, action, link)


def _storage(now: Snapshot, f: Locale) -> Iterator[Notice]:
    _, ngettext = f.gettext, f.ngettext
    journal = now.journal
    if journal.state in {"full", "failed"}:
        text = _("There is no room left to store readings.") if journal.state == "full" else _("Readings cannot be stored.")
        yield Notice("bad", text, _("Tell the maintenance firm today: the memory card is full or worn out."), "/system")
    if journal.state == "newer":
        text = _("The readings stored on this gateway were written by a newer version of its program; new ones wait in memory.")
        yield Notice("bad", text, _("Tell the maintenance firm today: install the newer version again."), "/system")
    if journal.thinned_at is not None and now.taken - journal.thinned_at < THINNED_MS:
        yield Notice("warn", thinned(now, f), _("The platform must be reachable again, or the store on this gateway be larger."), "/system")
    if journal.state == "salvaging":
        yield Notice("warn", _("A damaged data file is being read back; new readings are stored as usual."), "", "/system")
    if journal.not_taken:
        text = ngettext(
            "%(n)s reading could not be stored and is lost.", "%(n)s readings could not be stored and are lost.", journal.not_taken
        )
        yield Notice("bad", text % {"n": f.whole(journal.not_taken)}, "", "/system")


def _uplinks(now: Snapshot, f: Locale) -> Iterator[Notice]:
    _ = f.gettext
    days = now.journal.room_days
    urgent = days is not None and days < SOON_DAYS
    for view in now.uplinks:
        reason, mend = platforms.why(view.cause, f), platforms.action(view.cause, f)
        told = " ".join(part for part in (reason, uplink(now, view, f)) if part)
        if view.state == "refused":
            text = _("The platform %(name)s refuses this gateway.") % {"name": view.name}
            yield Notice("bad", f"{text} {told}", mend or _("Tell the platform's operator."), "/system")
        elif view.state == "taken over":
            text = _("Another gateway uses the name of this one at the platform %(name)s.") % {"name": view.name}
            yield Notice(
                "bad", f"{text} {uplink(now, view, f)}", _("Each gateway needs an id of its own: tell the maintenance firm."), "/system"
            )
        elif view.state != "connected" and view.backlog_batches and not _just_begun(now, view):
            text = _("The platform %(name)s is not reachable.") % {"name": view.name}
            action = _("Readings are kept here meanwhile. If this lasts, check the building's internet connection.")
            yield Notice("bad" if urgent else "warn", f"{text} {told}", mend or action, "/system")
        for what, todo in platforms.troubles(view, f):
            yield Notice("warn", what, todo, "/system")


def _just_begun(now: Snapshot, view: UplinkView) -> bool:
    # A link that is being made for the first seconds is no news.
    return view.state in {"idle", "connecting"} and view.since is not None and now.taken - view.since < ON_ITS_WAY_MS


def _machine(now: Snapshot, f: Locale) -> Iterator[Notice]:
    _ = f.gettext
    if not now.clock.synced:
        action = _("Times on this page may be wrong. They are put right as soon as the time is known.")
        yield Notice("warn", _("The gateway does not know the right time yet."), action, "/system")
    for beat in now.beats:
        if not beat.alive:
            yield Notice(
                "bad",
                _("A part of the gateway has stopped: %(name)s.") % {"name": beat.name},
                _("It restarts by itself within minutes."),
                "/system",
            )
    for line in now.problems:
        yield Notice("warn", line, "", "/system")
