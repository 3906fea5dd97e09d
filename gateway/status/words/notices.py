"""The verdict and its findings in the visitor's words: what is wrong, what to do, where to look."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.status.findings import Cause, Level, StatusFinding, StatusVerdict, why_lost
from gateway.status.snapshot import MeterView, Snapshot
from gateway.status.words import meter_notices, sentences, uplink_notices
from gateway.status.words.errors import has_words, in_full, in_words
from gateway.status.words.language import Locale
from gateway.status.words.meter_notices import unproven


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know: what is wrong, what to do about it, where to look."""

    level: Level
    text: str
    action: str = ""
    link: str = ""


def headline(verdict: StatusVerdict, now: Snapshot, f: Locale) -> Notice:
    """The one sentence at the top."""
    _ = f.gettext
    active = [meter for meter in now.meters if meter.state != "disabled"]
    if not active:
        return Notice("warn", sentences.no_meter(now, f))
    answering = sum(meter.state in {"answering", "partial"} for meter in active)
    counts = {"n": f.whole(answering), "of_them": f.of_them(answering), "all": f.whole(len(active))}
    match verdict.state:
        case "in_order":
            return Notice("good", _("Everything is in order.") + " " + _all_answer(answering, f))
        case "starting" | "delivering" if not answering:
            return Notice("busy", _("Starting: no meter has answered yet."))
        case "starting" | "delivering" if answering < len(active):
            return Notice("busy", _("Starting: %(of_them)s of %(all)s meters have answered.") % counts)
        case "starting":
            return Notice("busy", _starting(verdict, f, answering))
        case "delivering" if "delivering" not in {finding.cause for finding in verdict.findings}:
            told = _("What waits for the right time is delivered as soon as that is known.")
            return Notice("busy", f"{_all_answer(answering, f)} {told}")
        case "delivering":
            told = _("What has waited is being delivered.")
            if (at := verdict.until) is not None:
                told = _("What has waited is being delivered, until about %(time)s.") % {"time": f.moment(at)}
            return Notice("busy", f"{_all_answer(answering, f)} {told}")
        case _:
            level: Level = "bad" if verdict.state == "trouble" else "warn"
    if answering < len(active):
        return Notice(level, _not_all(active, f) % counts)
    if any(finding.cause == "bus_lent" and finding.count for finding in verdict.findings):
        return Notice(level, _("Something needs attention: not every meter is being read."))
    one, all_ = (
        _("The meter answers, but something needs attention."),
        _("All %(all)s meters answer, but something needs attention."),
    )
    return Notice(level, (one if answering == 1 else all_) % counts)


def _all_answer(count: int, f: Locale) -> str:
    # Two texts: a language without a plural has a word for all of several, and none for all of one.
    one, all_ = f.gettext("The meter answers."), f.gettext("All %(all)s meters answer.")
    return (one if count == 1 else all_) % {"all": f.whole(count)}


_HEARD: set[Cause] = {"meter_refusing", "meter_not_ready", "meter_failing", "meter_damaged"}
"""A meter that gives nothing and is not silent."""


def _not_all(active: list[MeterView], f: Locale) -> str:
    """That some meters give nothing: those that refuse answer, which silent ones do not."""
    _ = f.gettext
    why = {why_lost(meter) if meter.state == "lost" else "" for meter in active} - {""}
    giving = any(meter.state in {"answering", "partial"} for meter in active)
    single = len(active) == 1
    if not why & _HEARD:
        if single:
            return _("The meter does not answer.")
        return _("%(of_them)s of %(all)s meters answer.") if giving else _("None of the meters answers.")
    if why == {"meter_refusing"} and not any(meter.state == "starting" for meter in active):
        if single:
            return _("The meter answers, but refuses every question.")
        if not giving:
            return _("All %(all)s meters answer, but refuse every question.")
        return _("%(of_them)s of %(all)s meters give values; what else answers refuses every question.")
    if single:
        return _("The meter gives no value.")
    return (
        _("%(of_them)s of %(all)s meters give values.") if giving else _("None of the meters gives a value.")
    )


def _starting(verdict: StatusVerdict, f: Locale, answering: int) -> str:
    """What is waited for although every meter has answered. What was there before is not said to start."""
    _, awaited = f.gettext, {finding.cause for finding in verdict.findings if finding.level == "busy"}
    all_answer = _all_answer(answering, f)
    if "reconnecting" in awaited:
        return all_answer + " " + _("The connection to the platform was lost and is being made again.")
    if "connecting" in awaited:
        return _("Starting: the connection to the platform is being made.")
    if "first_delivery" in awaited:
        return _("Starting: the platform has confirmed nothing since the start.")
    if "delivery_awaited" in awaited:
        return all_answer + " " + _("The platform has not confirmed yet what has waited for it.")
    if "journal_starting" in awaited:
        return _("Starting: nothing has been stored since the start.")
    if "meter_unidentified" in awaited:
        if answering == 1:
            return _("The meter answers; whether it is still the same one is being read.")
        return _("All meters answer; whether each is still the same one is being read.")
    return all_answer + " " + _("A line is being opened.")


def notices(verdict: StatusVerdict, now: Snapshot, f: Locale) -> list[Notice]:
    """Everything that is not in order, the worst first; what only passes or is only worth knowing is left
    to its own page.
    """
    return list(dict.fromkeys(notice(each, now, f) for each in meter_notices.folded(verdict.troubles, now)))


def notice(finding: StatusFinding, now: Snapshot, f: Locale) -> Notice:
    """A finding as a notice: what is wrong, what to do, where to look."""
    match finding.part:
        case "meter":
            text, action = meter_notices.meter(finding, now, f)
            return Notice(finding.level, text, action, f"/meter/{finding.subject}")
        case "bus":
            text, action = meter_notices.bus(finding, now, f)
        case "journal":
            text, action = _journal(finding, now, f)
        case "uplink":
            text, action = uplink_notices.uplink(finding, now, f)
        case "clock" | "gateway":
            text, action = _gateway(finding, now, f)
    return Notice(finding.level, text, action, "/system")


def _journal(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    _, ngettext = f.gettext, f.ngettext
    firm = _("Tell the maintenance firm today: the memory card is full or worn out.")
    perhaps = _("Tell the maintenance firm: the memory card may be full or worn out; the log says more.")
    match finding.cause:
        case "journal_full":
            return _("There is no room left to store readings."), firm
        case "journal_failed":
            return _barred(now, f) or (_("Readings cannot be stored."), firm)
        case "journal_newer":
            text = _(
                "The readings stored on this gateway were written by a newer version of its program; new "
                "ones wait in memory."
            )
            return text, _("Tell the maintenance firm today: install the newer version again.")
        case "journal_late":
            since = f.since(finding.at) if finding.at is not None else ""
            text = _("Nothing has been stored %(since)s although meters answer.") % {"since": since}
            return " ".join(text.split()), perhaps
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
            barred = _barred(now, f)
            return text % {"n": f.whole(finding.count)}, barred[1] if barred else perhaps
        case "batches_lost":
            return sentences.lost(now, f), _(
                "The meters themselves go on counting kWh. If it happens again, have the memory card "
                "exchanged; submeter journal status names the damaged file."
            )
        case "readings_thinned":
            return sentences.thinned(now, f), _(
                "The platform must be reachable again, or the store on this gateway be larger."
            )
        case "room_short":
            room = sentences.room(now, f)
            away = any(view.state != "connected" or view.cause for view in now.uplinks)
            text = (
                _("The store on this gateway is getting full: %(room)s.")
                if away
                else _("The store on this gateway is getting full: if the platform were away now, %(room)s.")
            ) % {"room": room}
            return text, _(
                "Make the store larger (`journal.budget`), make room on the memory card, or read less often."
            )
        case "journal_storing" | "journal_starting":
            return sentences.stored(now, f, page=False), ""
    return unproven(_("the store"), f)


def _barred(now: Snapshot, f: Locale) -> tuple[str, str] | None:
    """A store that the service may not write is no broken card: whose it is, and what gives it back."""
    _ = f.gettext
    if now.journal.cause != "permission":
        return None
    what, _arrow, mend = now.journal.error.partition(" → ")
    why, give_back = in_full(what, f), in_full(mend, f)
    text = _("Readings cannot be stored: %(why)s.") if why else _("Readings cannot be stored.")
    action = _("Tell the maintenance firm: %(what)s.")
    return text % {"why": why}, action % {"what": give_back or "sudo chown -R submeter: journal.directory"}


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
            add = _("Add one to the configuration: submeter check says what it needs.")
            turn = _("In the configuration: enabled: yes at each that is to be read, then submeter reload.")
            return sentences.no_meter(now, f), turn if now.meters else add
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
            own = finding.details[0]
            if not has_words(own, f):
                text = _("The gateway reports a trouble with its configuration, a line or an input.")
                return text, _("The technical details have its words.")
            what, _arrow, action = in_words(own, f).partition(" → ")
            return what, action
        case "history_failed":
            return _history(finding, now, f)
        case "undervoltage":
            return _(
                "The gateway's supply voltage is too low: it may stop, and its memory card may suffer."
            ), _("Use the power supply that the maker of the board names, and a short cable.")
        case "upgrade_on_trial" | "upgrade_taken_back" | "upgrade_failed":
            return _upgrade(finding, f)
        case "clock_right":
            return _("The clock is right."), ""
        case "alive":
            return _("%(name)s is alive.") % {"name": finding.subject}, ""
    return unproven(finding.subject or finding.part, f)


def _history(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    """The reason and what to do stand in the error, where it has words."""
    _ = f.gettext
    what, _arrow, mend = "".join(finding.details).partition(" → ")
    why = in_full(what, f)
    text = _("The energy of quarter hours cannot be kept.")
    if why:
        text = _("The energy of quarter hours cannot be kept: %(why)s.") % {"why": why}
    if now.journal.state in {"ok", "salvaging"}:
        text += " " + _("Readings are stored and sent as usual.")
    if action := in_full(mend, f):
        return text, _("Tell the maintenance firm: %(what)s.") % {"what": action}
    return text, _("Tell the maintenance firm: the gateway's log says why.")


def _upgrade(finding: StatusFinding, f: Locale) -> tuple[str, str]:
    _ = f.gettext
    versions = {"before": finding.details[0] or "?", "after": finding.details[1] or "?"}
    match finding.cause:
        case "upgrade_on_trial":
            text = _("Version %(after)s is on trial: if it does not stay ready, %(before)s comes back.")
            return text % versions, ""
        case "upgrade_taken_back":
            text = _("Version %(after)s did not stay ready: %(before)s runs again, with all that was stored.")
            action = _(
                "Tell the maintenance firm: the log of submeter-upgrade and of submeter-gateway says why."
            )
            return text % versions, action
        case _:
            text = _("The upgrade from version %(before)s failed.") % versions
            action = _("Tell the maintenance firm: journalctl -u submeter-upgrade -u submeter-install")
            return text, action
