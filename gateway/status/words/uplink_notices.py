"""What is found of the platforms in the visitor's words: what is wrong, why, what to do."""

from __future__ import annotations

from gateway.status.findings import Cause, StatusFinding
from gateway.status.snapshot import Snapshot, UplinkView
from gateway.status.words import platforms, sentences
from gateway.status.words.language import Locale
from gateway.status.words.meter_notices import unproven

_FEW = 3
"""Topics are named, not listed."""
_WELL: set[Cause] = {
    "delivered",
    "connecting",
    "reconnecting",
    "first_delivery",
    "delivery_awaited",
    "delivering",
    "held_for_clock",
}
Said = tuple[str, str, str]
"""What is wrong, why, what to do."""


def uplink(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    """What is found of one platform."""
    view = next((view for view in now.uplinks if view.name == finding.subject), None)
    if view is None:
        return unproven(finding.subject, f)
    waits = sentences.uplink(now, view, f)
    if finding.cause in _WELL:
        return waits, ""
    said = (
        _not_connected(finding, view, f) or _not_accepted(finding, view, f) or _certificate(finding, view, f)
    )
    if said is None:
        return unproven(view.called, f)
    *told, action = said
    return " ".join(part for part in (*told, waits) if part), action


def _not_connected(finding: StatusFinding, view: UplinkView, f: Locale) -> Said | None:
    _, name = f.gettext, {"name": view.called}
    cause = finding.details[0] if finding.details else ""
    why, action = platforms.why(cause, f), platforms.action(cause, f)
    match finding.cause:
        case "refused" if view.state == "refused":
            text = _("There is no connection to the platform %(name)s.") % name
            return text, why, action or _operator(f)
        case "id_taken":
            text = _("Another gateway uses the name of this one at the platform %(name)s.")
            if cause == "taken_over_perhaps":
                text = _("There is no lasting connection to the platform %(name)s.")
            else:
                why = ""
            return text % name, why, _("Each gateway needs an id of its own: tell the maintenance firm.")
        case "unreachable":
            text = _("The platform %(name)s is not reachable.") % name
            kept = _(
                "Readings are kept here meanwhile. If this lasts, check the building's internet connection."
            )
            return text, why, action or kept
        case "stopped":
            text = _("Nothing is delivered to the platform %(name)s any more.") % name
            return text, "", _("Restart the gateway; its log says why.")
    return None


def _not_accepted(finding: StatusFinding, view: UplinkView, f: Locale) -> Said | None:
    _, name = f.gettext, {"name": view.called}
    silent = {"consumer": ", ".join(view.silent) or view.name, **name}
    cause = finding.details[0] if finding.details else ""
    match finding.cause:
        case "refused":
            text = _("The platform %(name)s does not take what this gateway sends.") % name
            mend = platforms.action(cause, f) or _operator(f)
            again = _("It is tried again by itself, within five minutes.")
            return text, platforms.why(cause, f), f"{mend} {again}"
        case "batches_set_aside":
            text = f.ngettext(
                "%(n)s batch is not taken by the broker of the platform %(name)s; the others go on.",
                "%(n)s batches are not taken by the broker of the platform %(name)s; the others go on.",
                view.set_aside,
            ) % {"n": f.whole(view.set_aside), **name}
            return text, platforms.why(cause, f), platforms.action(cause, f) or _operator(f)
        case "no_subscriber":
            text = _("Nobody listens at the platform %(name)s: its broker passes the readings to nobody.")
            action = _(
                "Tell the platform's operator: the program behind the broker is not connected, or may "
                "not read."
            )
            return text % name, "", action
        case "topic_refused":
            text = _("The broker of the platform %(name)s does not allow everything that this gateway needs.")
            topics = {"topics": ", ".join(finding.details[:_FEW])}
            return (
                text % name,
                "",
                _("Tell the platform's operator: the access list lacks %(topics)s.") % topics,
            )
        case "message_left_out":
            text = _(
                "What this gateway says of itself beside the readings (%(topics)s) is larger than the broker "
                "of the platform %(name)s allows, and is left out."
            ) % {"topics": ", ".join(finding.details[:_FEW]), **name}
            return text, "", platforms.action("too_large", f)
        case "no_receipt" if view.silent and len(view.silent) < view.consumers:
            text = _("%(consumer)s at the platform %(name)s confirms nothing; the others do.")
            return text % silent, "", _operator(f)
        case "no_receipt":
            text = _(
                "The program behind the broker of the platform %(name)s confirms nothing (%(consumer)s)."
            )
            return text % silent, "", _operator(f)
        case "not_delivered":
            text = _("The broker of the platform %(name)s is connected and takes nothing.") % name
            return text, "", _operator(f)
    return None


def _certificate(finding: StatusFinding, view: UplinkView, f: Locale) -> Said | None:
    _, words = f.gettext, {"name": view.called, "day": f.day(f.day_of(finding.at or 0), year=True)}
    ask = _("Tell the platform's operator: the gateway needs a new certificate (submeter enroll).")
    match finding.cause:
        case "certificate_ends":
            return _("A certificate for the platform %(name)s ends on %(day)s.") % words, "", ask
        case "certificate_ended":
            return _("A certificate for the platform %(name)s ended on %(day)s.") % words, "", ask
    return None


def _operator(f: Locale) -> str:
    return f.gettext("Tell the platform's operator. The readings stay on this gateway meanwhile.")
