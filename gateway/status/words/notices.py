"""The verdict and its findings in the visitor's words: what is wrong, what to do, where to look."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.status.snapshot import MeterView, Snapshot
from gateway.status.verdict import Level, StatusFinding, StatusVerdict
from gateway.status.words import causes, platforms, sentences
from gateway.status.words.errors import in_words
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale

_FEW = 3
"""So many names are enough to recognise what it is about."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know: what is wrong, what to do about it, where to look."""

    level: Level
    text: str
    action: str = ""
    link: str = ""


def headline(verdict: StatusVerdict, now: Snapshot, f: Locale) -> Notice:
    """The one sentence at the top."""
    _, ngettext = f.gettext, f.ngettext
    active = [meter for meter in now.meters if meter.state != "disabled"]
    if not active:
        return Notice("warn", _("No meter is configured yet."))
    answering = sum(meter.state in {"answering", "partial"} for meter in active)
    counts = {"n": f.whole(answering), "of_them": f.of_them(answering), "all": f.whole(len(active))}
    match verdict.state:
        case "in_order":
            text = ngettext(
                "Everything is in order. The meter answers.",
                "Everything is in order. All %(n)s meters answer.",
                answering,
            )
            return Notice("good", text % counts)
        case "starting" if not answering:
            return Notice("busy", _("Starting: no meter has answered yet."))
        case "starting" if answering < len(active):
            return Notice("busy", _("Starting: %(of_them)s of %(all)s meters have answered.") % counts)
        case "starting":
            return Notice("busy", _("Starting: the connection to the platform is being made."))
        case "delivering" if verdict.until is not None:
            text = _("All meters answer. What has waited is being delivered, until about %(time)s.")
            return Notice("busy", text % {"time": f.moment(verdict.until)})
        case "delivering":
            return Notice("busy", _("All meters answer. What has waited is being delivered."))
        case _:
            level: Level = "bad" if verdict.state == "trouble" else "warn"
    if answering < len(active):
        text = _("%(of_them)s of %(all)s meters answer.") if answering else _("None of the meters answers.")
        return Notice(level, text % counts)
    text = ngettext(
        "The meter answers, but something needs attention.",
        "All %(n)s meters answer, but something needs attention.",
        answering,
    )
    return Notice(level, text % counts)


def notices(verdict: StatusVerdict, now: Snapshot, f: Locale) -> list[Notice]:
    """Everything that is not in order, the worst first; what only passes or is only worth knowing is left
    to its own page.
    """
    return list(dict.fromkeys(notice(finding, now, f) for finding in verdict.troubles))


def notice(finding: StatusFinding, now: Snapshot, f: Locale) -> Notice:
    """A finding in words."""
    match finding.part:
        case "meter":
            text, action = _meter(finding, now, f)
            return Notice(finding.level, text, action, f"/meter/{finding.subject}")
        case "bus":
            text, action = _bus(finding, now, f)
        case "journal":
            text, action = _journal(finding, now, f)
        case "uplink":
            text, action = _uplink(finding, now, f)
        case "clock" | "gateway":
            text, action = _gateway(finding, now, f)
    return Notice(finding.level, text, action, "/system")


def _meter(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    _, ngettext = f.gettext, f.ngettext
    meter = now.meter(finding.subject)
    label = meter.label if meter else finding.subject
    names = {"meter": label, "n": f.whole(finding.count), "which": _listed(finding.details, f)}
    where = _where(meter, now)
    others = _("The others go on being read.")
    match finding.cause:
        case "meter_silent":
            what = _("no answer")
            action = _("Check that the meter has power and that its data cable is firm.") + f" {others}"
            return f"{label}{where}: {_since(what, finding, f)}.", action
        case "meter_damaged":
            what = _("its answers arrive damaged")
            action = _(
                "It answers, but nobody can read it: look for two meters with one address, a wrong baud "
                "rate or parity, "
                "swapped wires A and B, or a missing terminator."
            )
            return f"{label}{where}: {_since(what, finding, f)}.", f"{action} {others}"
        case "meter_refusing":
            what = _("it refuses every question")
            action = _(
                "Check that its table and its address in the configuration belong to this meter: submeter "
                "drivers try."
            )
            return f"{label}{where}: {_since(what, finding, f)}.", f"{action} {others}"
        case "meter_unreachable":
            what = _("its converter cannot reach it")
            action = _(
                "The converter answers, the meter behind it does not: check the meter's power, its address "
                "and the line between them."
            )
            return f"{label}{where}: {_since(what, finding, f)}.", f"{action} {others}"
        case "meter_not_polled":
            return _("%(meter)s: it has not been read yet.") % names, _(
                "If this lasts, the interval is too long or the line is too busy."
            )
        case "other_model":
            read, wanted = finding.details
            text = _(
                "%(meter)s: it may be another model than its table (register %(read)s, expected %(wanted)s)."
            ) % {
                "meter": f"{label}{where}",
                "read": read,
                "wanted": wanted,
            }
            return text, _(
                "Compare driver in the configuration with the name plate: submeter drivers try says what "
                "fits."
            )
        case "meter_changed":
            old, new = finding.details
            text = _(
                "%(meter)s: another meter answers in its place (serial number %(new)s, before it %(old)s)."
            ) % {
                "meter": f"{label}{where}",
                "new": new,
                "old": old,
            }
            action = _(
                'If it was replaced: write serial: "%(new)s" at the meter and reload (see Replacing a '
                "meter in the documentation). "
                "If nobody replaced it, check its address and cable."
            )
            return text, action % {"new": new}
        case "table_doubtful":
            text = ngettext(
                "%(meter)s: it refuses %(n)s of the values of its table (%(which)s).",
                "%(meter)s: it refuses %(n)s of the values of its table (%(which)s).",
                finding.count,
            )
            return text % names, _(
                "This is probably the wrong table for this meter: submeter drivers try tells which one fits."
            )
        case "main_values_missing":
            action = _("Its energy or power is what counts: if this lasts, tell the maintenance firm.")
            return _("%(meter)s: what it is there for is missing: %(which)s.") % names, action
        case "values_missing":
            text = ngettext(
                "%(meter)s: %(n)s of its values is missing (%(which)s).",
                "%(meter)s: %(n)s of its values are missing (%(which)s).",
                finding.count,
            )
            return text % names, _("If this lasts, tell the maintenance firm: it read them before.")
        case "values_refused":
            text = ngettext(
                "%(meter)s: it does not have %(n)s value of its table (%(which)s).",
                "%(meter)s: it does not have %(n)s values of its table (%(which)s).",
                finding.count,
            )
            return text % names, ""
        case "values_old":
            return _("%(meter)s: its numbers are old (%(age)s).") % {
                "meter": label,
                "age": f.ago(finding.count),
            }, _("If this lasts, the interval is too short for its line: submeter plan says which one fits.")
        case "values_doubtful":
            text = _("%(meter)s: some values are doubtful (%(which)s).") % names
            return text, _("Has the meter been replaced or rewired? If not, tell the maintenance firm.")
        case "pulses_too_fast":
            action = _(
                "Pulses are missing. Tell the maintenance firm: the limits do not fit this meter, or its "
                "cable is disturbed."
            )
            return _("%(meter)s: its pulses come faster than they can be counted.") % names, action
        case "register_unsure":
            action = _("Read the display and set it: submeter pulses set %(id)s VALUE") % {
                "id": finding.subject
            }
            return _("%(meter)s: its register may differ from the meter's display.") % names, action
        case "meter_whole" | "meter_starting" | "meter_on_lost_bus":
            return f"{label}: {Words(f).meter_state(meter)}." if meter else label, ""
    return _unproven(label, f)


def _bus(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    _ = f.gettext
    view = next((bus for bus in now.buses if bus.name == finding.subject), None)
    name = view.called if view else finding.subject
    counts = {"n": f.whole(finding.count), "name": name}
    match finding.cause:
        case "bus_down":
            cause = finding.details[0] if finding.details else ""
            text = _("The line %(name)s cannot be opened (%(where)s)") % {
                "name": name,
                "where": view.where if view else "",
            }
            reason = causes.why(cause, f)
            return f"{text}: {reason}." if reason else f"{text}.", causes.action(cause, f)
        case "bus_silent":
            action = _(
                "Check the data cable where it leaves the gateway, the power of the converter, and the "
                "baud rate and parity of the line."
            )
            return _("None of the %(n)s meters on the line %(name)s answers.") % counts, action
        case "bus_damaged":
            action = _(
                "Check the baud rate and parity of the line, that A and B are not swapped, and the "
                "terminators at both ends."
            )
            return _("Every answer on the line %(name)s arrives damaged (%(n)s meters).") % counts, action
        case "bus_open" | "bus_unused" | "bus_opening":
            return f"{name}: {Words(f).bus_state(view.state)}." if view else name, ""
    return _unproven(name, f)


def _journal(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    _, ngettext = f.gettext, f.ngettext
    firm = _("Tell the maintenance firm today: the memory card is full or worn out.")
    match finding.cause:
        case "journal_full":
            return _("There is no room left to store readings."), firm
        case "journal_failed":
            return _("Readings cannot be stored."), _permission(now, f) or firm
        case "journal_newer":
            text = _(
                "The readings stored on this gateway were written by a newer version of its program; new "
                "ones wait in memory."
            )
            return text, _("Tell the maintenance firm today: install the newer version again.")
        case "journal_late":
            since = f.since(finding.at) if finding.at is not None else ""
            text = _("Nothing has been stored %(since)s although meters answer.") % {"since": since}
            return " ".join(text.split()), firm
        case "journal_salvaging":
            return _("A damaged data file is being read back; new readings are stored as usual."), _(
                "Nothing to do: it ends by itself."
            )
        case "readings_lost":
            text = ngettext(
                "%(n)s reading could not be stored and is lost.",
                "%(n)s readings could not be stored and are lost.",
                finding.count,
            )
            return text % {"n": f.whole(finding.count)}, firm
        case "readings_thinned":
            return sentences.thinned(now, f), _(
                "The platform must be reachable again, or the store on this gateway be larger."
            )
        case "room_short":
            room = sentences.room(now, f)
            text = _(
                "The store on this gateway is getting full: if the platform were away now, %(room)s."
            ) % {"room": room}
            return text, _(
                "Make the store larger (journal.budget), make room on the memory card, or read less often."
            )
        case "journal_storing" | "journal_starting":
            return sentences.stored(now, f, page=False), ""
    return _unproven(_("the store"), f)


def _permission(now: Snapshot, f: Locale) -> str:
    if now.journal.cause != "permission":
        return ""
    return f.gettext(
        "Tell the maintenance firm: its folder belongs to another user (sudo chown -R submeter: and the "
        "folder's name)."
    )


def _uplink(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    _ = f.gettext
    view = next((uplink for uplink in now.uplinks if uplink.name == finding.subject), None)
    if view is None:
        return _unproven(finding.subject, f)
    name, waits = {"name": view.called}, sentences.uplink(now, view, f)
    cause = finding.details[0] if finding.details else ""
    operator = _("Tell the platform's operator. The readings stay on this gateway meanwhile.")
    why = ""
    match finding.cause:
        case "refused" if view.state == "refused":
            text, why = _("There is no connection to the platform %(name)s.") % name, platforms.why(cause, f)
            action = platforms.action(cause, f) or operator
        case "refused":
            text, why = (
                _("The platform %(name)s does not take what this gateway sends.") % name,
                platforms.why(cause, f),
            )
            action = platforms.action(cause, f) or operator
        case "id_taken":
            text = _("Another gateway uses the name of this one at the platform %(name)s.") % name
            action = _("Each gateway needs an id of its own: tell the maintenance firm.")
        case "unreachable":
            text, why = _("The platform %(name)s is not reachable.") % name, platforms.why(cause, f)
            action = platforms.action(cause, f) or _(
                "Readings are kept here meanwhile. If this lasts, check the building's internet connection."
            )
        case "stopped":
            text, action = (
                _("Nothing is delivered to the platform %(name)s any more.") % name,
                _("Restart the gateway; its log says why."),
            )
        case "batches_set_aside":
            text = f.ngettext(
                "%(n)s batch is not taken by the broker of the platform %(name)s; the others go on.",
                "%(n)s batches are not taken by the broker of the platform %(name)s; the others go on.",
                view.set_aside,
            ) % {"n": f.whole(view.set_aside), **name}
            action = _("Tell the platform's operator: the broker must allow larger messages.")
        case "no_subscriber":
            text = (
                _("Nobody listens at the platform %(name)s: its broker passes the readings to nobody.") % name
            )
            action = _(
                "Tell the platform's operator: the program behind the broker is not connected, or may not "
                "read."
            )
        case "topic_refused":
            text = (
                _("The broker of the platform %(name)s does not allow everything that this gateway needs.")
                % name
            )
            action = _("Tell the platform's operator: the access list lacks %(topics)s.") % {
                "topics": ", ".join(finding.details[:_FEW])
            }
        case "no_receipt" if view.silent and len(view.silent) < view.consumers:
            text = _("%(consumer)s at the platform %(name)s confirms nothing; the others do.") % {
                "consumer": ", ".join(view.silent),
                **name,
            }
            action = operator
        case "no_receipt":
            text = _(
                "The program behind the broker of the platform %(name)s confirms nothing (%(consumer)s)."
            )
            text %= {"consumer": ", ".join(view.silent) or view.name, **name}
            action = operator
        case "not_delivered":
            text, action = (
                _("The broker of the platform %(name)s is connected and takes nothing.") % name,
                operator,
            )
        case "delivered" | "connecting" | "first_delivery" | "delivering" | "held_for_clock":
            return waits, ""
        case _:
            return _unproven(view.called, f)
    return " ".join(part for part in (text, why, waits) if part), action


def _gateway(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    _, ngettext = f.gettext, f.ngettext
    match finding.cause:
        case "clock_unset":
            action = _(
                "Let the gateway reach a time server (NTP, UDP port 123), or give it a clock of its own; "
                "timedatectl shows how it is. "
                "Until then readings wait %(hold)s for the right time, and are then sent marked as of an "
                "unset clock; they are put right "
                "as soon as the time is known."
            ) % {"hold": f.span(now.clock.hold)}
            return _("The gateway does not know the right time yet."), action
        case "part_stopped":
            text = _("A part of the gateway has stopped: %(name)s.") % {"name": finding.subject}
            return text, _("It restarts by itself within minutes.")
        case "no_meters":
            return _("No meter is configured yet."), _(
                "Add one to the configuration: submeter check says what it needs."
            )
        case "reload_refused":
            text = ngettext(
                "The new configuration was not taken over: it has %(n)s mistake. The one before it goes on.",
                "The new configuration was not taken over: it has %(n)s mistakes. The one before it goes on.",
                finding.count,
            )
            return text % {"n": f.whole(finding.count)}, _(
                "submeter check names each mistake with its line; then submeter reload."
            )
        case "mistakes":
            text = ngettext(
                "The configuration runs, but a reload would refuse it for %(n)s mistake.",
                "The configuration runs, but a reload would refuse it for %(n)s mistakes.",
                finding.count,
            )
            return text % {"n": f.whole(finding.count)}, _(
                "submeter check names each mistake with its line; then submeter reload."
            )
        case "told_by_daemon":
            (own,) = finding.details
            said = in_words(own, f)
            if said == own and f.language != "en":  # a sentence that the catalogue does not have
                text = _("The gateway reports a trouble with its configuration, a line or an input.")
                return text, own
            what, _arrow, action = said.partition(" → ")
            return what, action
        case "clock_right":
            return _("The clock is right."), ""
        case "alive":
            return _("%(name)s is alive.") % {"name": finding.subject}, ""
    return _unproven(finding.subject or finding.part, f)


def _unproven(what: str, f: Locale) -> tuple[str, str]:
    return f.gettext("It is not known how %(what)s is.") % {"what": what}, f.gettext(
        "Look at its page; the gateway's log may say more."
    )


def _since(text: str, finding: StatusFinding, f: Locale) -> str:
    if finding.at is None:
        return text
    # Each language has its order.
    return f.gettext("%(what)s %(since)s") % {"what": text, "since": f.since(finding.at)}


def _where(meter: MeterView | None, now: Snapshot) -> str:
    """Line and address, for whoever goes there."""
    if meter is None or meter.address is None or not meter.bus:
        return ""
    line = next((bus.called for bus in now.buses if bus.name == meter.bus), meter.bus)
    return f" ({line}, {meter.address})"


def _listed(names: tuple[str, ...], f: Locale) -> str:
    words = Words(f)
    return ", ".join(words.quantity(name) for name in names[:_FEW]) + ("…" if len(names) > _FEW else "")
