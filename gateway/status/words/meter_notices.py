"""What is found of meters and lines, in the visitor's words: what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.errors import MEND_FAILING
from gateway.status.findings import MeterCause, StatusFinding, why_refused
from gateway.status.snapshot import MeterView, Snapshot
from gateway.status.words import causes
from gateway.status.words.errors import in_full, in_words
from gateway.status.words.labels import LOST_WORDS, Words
from gateway.status.words.language import N_, Locale

Counted = Callable[[Callable[[str, str, int], str], int], str]


_LOST_ACTIONS = {
    "meter_silent": N_("Check that the meter has power and that its data cable is firm."),
    "meter_damaged": N_(
        "It answers, but nobody can read it: look for two meters with one address, a wrong baud rate or "
        "parity, swapped wires A and B, or a missing terminator."
    ),
    "meter_refusing": N_(
        "It answers, so its power and its cable are right: check that its table and its address in the "
        "configuration belong to this meter: submeter drivers try --meter %(id)s."
    ),
    "meter_not_ready": N_(
        "It is asked again by itself. If this lasts: take other masters off it, give it a longer "
        "interval or pause: 300ms in the configuration, or restart it."
    ),
    "meter_failing": N_(
        "It answers, so its power and its cable are right: %(failing)s: submeter drivers try --meter %(id)s."
    ),
    "meter_unreachable": N_(
        "The converter answers, the meter behind it does not: check the meter's power, its address and "
        "the line between them."
    ),
}
"""What to do about a meter that gives nothing."""

_COUNTED: dict[str, tuple[Counted, str]] = {
    "table_doubtful": (
        lambda ngettext, count: ngettext(
            "%(meter)s: it refuses %(n)s of the values of its table (%(which)s).",
            "%(meter)s: it refuses %(n)s of the values of its table (%(which)s).",
            count,
        ),
        N_(
            "This is probably the wrong table for this meter: submeter drivers try --meter %(id)s tells "
            "which one fits."
        ),
    ),
    "values_impossible": (
        lambda ngettext, count: ngettext(
            "%(meter)s: %(n)s of its values is beyond what is possible (%(which)s).",
            "%(meter)s: %(n)s of its values are beyond what is possible (%(which)s).",
            count,
        ),
        N_(
            "Its word order or its table is probably wrong: submeter drivers try --meter %(id)s tells which "
            "one fits."
        ),
    ),
    "values_missing": (
        lambda ngettext, count: ngettext(
            "%(meter)s: %(n)s of its values is missing (%(which)s).",
            "%(meter)s: %(n)s of its values are missing (%(which)s).",
            count,
        ),
        N_("If this lasts, tell the maintenance firm: it read them before."),
    ),
    "values_not_ready": (
        lambda ngettext, count: ngettext(
            "%(meter)s: for %(n)s of its values it is busy, or not ready yet (%(which)s).",
            "%(meter)s: for %(n)s of its values it is busy, or not ready yet (%(which)s).",
            count,
        ),
        N_(
            "It is asked again by itself. If this lasts: take other masters off it, give it a longer "
            "interval or pause: 300ms in the configuration, or restart it."
        ),
    ),
    "values_refused": (
        lambda ngettext, count: ngettext(
            "%(meter)s: it does not have %(n)s value of its table (%(which)s).",
            "%(meter)s: it does not have %(n)s values of its table (%(which)s).",
            count,
        ),
        "",
    ),
}
"""So many values of a meter."""

_NAME_PLATE = N_(
    "submeter drivers try --meter %(id)s tells which one fits. If the name plate says that the table is "
    "right, write `identity: no` at the meter and reload."
)
_PLAIN = {
    "meter_not_polled": (
        N_("%(meter)s: it has not been read yet."),
        N_("If this lasts, the interval is too long or the line is too busy."),
    ),
    "other_model": (
        N_(
            "%(meter)s: it says that it is another model than its table %(table)s is for (register %(read)s, "
            "expected %(wanted)s): probably the wrong table."
        ),
        _NAME_PLATE,
    ),
    "identity_refused": (
        N_(
            "%(meter)s: it does not have the register by which meters of its table %(table)s are known "
            "(%(read)s): probably the wrong table."
        ),
        _NAME_PLATE,
    ),
    "meter_changed": (
        N_("%(meter)s: another meter answers in its place (serial number %(new)s, before it %(old)s)."),
        N_(
            'If it was replaced: write `serial: "%(new)s"` at the meter and reload (see Replacing a meter in '
            "the documentation). If nobody replaced it, check its address and cable."
        ),
    ),
    "meter_unidentified": (
        N_(
            "%(meter)s: its serial number has to be read again before it is known whether it is still the "
            "same meter."
        ),
        N_(
            "Nothing to do: it is asked with its next poll. If this lasts, another meter may be in its "
            "place: check its serial number and its address."
        ),
    ),
    "meter_being_swapped": (
        N_("%(meter)s: it is being exchanged, and its readings are not taken meanwhile."),
        N_("When the new meter is wired: submeter swap %(id)s. If it stays: submeter swap %(id)s --cancel"),
    ),
    "main_values_missing": (
        N_("%(meter)s: what it is there for is missing: %(which)s."),
        N_("Its energy or power is what counts: if this lasts, tell the maintenance firm."),
    ),
    "values_old": (
        N_("%(meter)s: its numbers are old (%(age)s)."),
        N_("If this lasts, the interval is too short for its line: submeter plan says which one fits."),
    ),
    "values_doubtful": (
        N_("%(meter)s: some values are doubtful (%(which)s)."),
        N_("Has the meter been replaced or rewired? If not, tell the maintenance firm."),
    ),
    "pulses_too_fast": (
        N_("%(meter)s: its pulses come faster than they can be counted."),
        N_(
            "Pulses are missing. Tell the maintenance firm: the limits do not fit this meter, or its cable "
            "is disturbed."
        ),
    ),
    "register_still": (
        N_(
            "%(meter)s: its register has stood still for three quarter hours or more, although there is "
            "power."
        ),
        N_(
            "Look at its display twice, some minutes apart. If it counts there, its table is wrong: submeter "
            "drivers try --meter %(id)s. If it does not, switch the meter off and on, or have it exchanged."
        ),
    ),
    "register_unsteady": (
        N_("%(meter)s: a register goes back and forth (%(which)s). What it says when it falls is doubtful."),
        N_(
            "Look at its display for a minute. If it goes back there, too, have the meter looked at; if it "
            "does not, its table may read two registers that change one after the other: submeter drivers "
            "try --meter %(id)s"
        ),
    ),
    "register_unsure": (
        N_("%(meter)s: its register may differ from the meter's display."),
        N_("Read the display and set it: submeter pulses set %(id)s VALUE"),
    ),
}
"""Whatever else is wrong with a meter."""
_NAMED = {"in_use", "permission"}
"""Causes of which the error says more: a program, a group, a service."""
_PLACED = {"other_model", "identity_refused", "meter_changed", "meter_unidentified"}
"""Whoever reads it goes there: line and address stand behind the name."""


def meter(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    """What is found of one meter."""
    _, cause = f.gettext, finding.cause
    view = now.meter(finding.subject)
    label = view.label if view else finding.subject
    if cause in _LOST_ACTIONS:
        told = _mend_lost(cause, finding.subject, f)
        if len(now.meters) > 1:
            told += " " + _("The others go on being read.")
        return f"{label}{_where(view, now)}: {_since(_(LOST_WORDS[cause]), finding, f)}.", told
    values = {
        "meter": label + (_where(view, now) if cause in _PLACED else ""),
        "n": f.whole(finding.count),
        "which": Words(f).some(finding.details),
        "id": finding.subject,
        "table": view.driver if view else "",
    }
    if cause in _COUNTED:
        counted, action = _COUNTED[cause]
        return counted(f.ngettext, finding.count) % values, _(action) % values if action else ""
    if cause in _PLAIN:
        if cause == "values_old":
            values["age"] = f.ago(finding.count)
        values |= zip(
            {
                "other_model": ("read", "wanted"),
                "identity_refused": ("read",),
                "meter_changed": ("old", "new"),
            }.get(cause, ()),
            finding.details,
            strict=False,
        )
        text, action = _PLAIN[cause]
        return _(text) % values, _(action) % values
    if cause == "pulses_not_counted":
        return _not_counted(view, label, f)
    if cause in {"meter_whole", "meter_starting", "meter_on_lost_bus"}:
        return f"{label}: {Words(f).meter_state(view)}." if view else label, ""
    return unproven(label, f)


def mend_missing(subject: str, reason: str, f: Locale) -> str:
    """What to do about a meter that gave nothing for this reason; empty where no reason says that."""
    known: dict[str, MeterCause] = {"timeout": "meter_silent", "bad_frame": "meter_damaged"}
    cause = why_refused(reason) if reason.startswith("exception_") else known.get(reason)
    return _mend_lost(cause, subject, f) if cause else ""


def _mend_lost(cause: str, subject: str, f: Locale) -> str:
    return f.gettext(_LOST_ACTIONS[cause]) % {"id": subject, "failing": in_words(MEND_FAILING, f)}


def _not_counted(view: MeterView | None, label: str, f: Locale) -> tuple[str, str]:
    """A pulse input whose pin cannot be used: why, and what to do, stand in its error, where it has words."""
    _ = f.gettext
    what, _arrow, mend = (view.error if view else "").partition(" → ")
    text = _("%(meter)s: its pulses are not counted.") % {"meter": label}
    if why := in_full(what, f):
        text = _("%(meter)s: its pulses are not counted: %(why)s.") % {"meter": label, "why": why}
    action = in_full(mend, f) or _("the gateway's log says why")
    return text, _("Tell the maintenance firm: %(what)s.") % {"what": action}


def folded(findings: Sequence[StatusFinding], now: Snapshot) -> list[StatusFinding]:
    """The findings, those of several meters of one line whose numbers are old as one of the line: their
    count, and when the oldest was read.
    """
    lines = {meter.id: meter.bus for meter in now.meters if meter.bus}
    old: dict[str, list[StatusFinding]] = {}
    for finding in findings:
        if finding.cause == "values_old" and finding.subject in lines:
            old.setdefault(lines[finding.subject], []).append(finding)
    of_lines = {
        finding: StatusFinding(
            "bus",
            "values_old",
            "warn",
            name,
            len(found),
            now.taken - 1000 * max(each.count for each in found),
        )
        for name, found in old.items()
        if len(found) > 1
        for finding in found
    }
    return [of_lines.get(finding, finding) for finding in findings]


def bus(finding: StatusFinding, now: Snapshot, f: Locale) -> tuple[str, str]:
    """What is found of one line."""
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
            reason, action = _why_down(view.error if view else "", cause, f)
            return f"{text}: {reason}." if reason else f"{text}.", action
        case "bus_lent":
            what, _arrow, mend = (view.error if view else "").partition(" → ")
            none, one, more = (
                _("The line %(name)s is in use: %(why)s."),
                _("The meter on the line %(name)s is not read: %(why)s."),
                _("The meters on the line %(name)s are not read: %(why)s."),
            )
            text = more if finding.count > 1 else one if finding.count else none
            why = in_words(what, f) or Words(f).bus_state("lent")
            wait = _("Wait: %(what)s.") % {"what": in_words(mend, f)} if mend else _("Wait until it ends.")
            return text % {"name": name, "why": why}, wait
        case "values_old":
            _text, too_short = _PLAIN["values_old"]
            text = f.ngettext(
                "The line %(name)s: the numbers of %(n)s meter are old (the oldest %(age)s).",
                "The line %(name)s: the numbers of %(n)s meters are old (the oldest %(age)s).",
                finding.count,
            )
            return text % {**counts, "age": f.ago((now.taken - (finding.at or now.taken)) // 1000)}, _(
                too_short
            )
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
        case "bus_unreachable":
            action = _(
                "Check the cable between the converter and the meters, their power, and the baud rate and "
                "parity that are set at the converter."
            )
            text = _("The converter of the line %(name)s answers, and reaches none of its meters (%(n)s).")
            return text % counts, action
        case "bus_open" | "bus_unused" | "bus_opening":
            return f"{name}: {Words(f).bus_state(view.state)}." if view else name, ""
    return unproven(name, f)


def _why_down(error: str, cause: str, f: Locale) -> tuple[str, str]:
    """Why a line cannot be opened, and what to do; who holds it and which group or service it is about, where
    the error names them.
    """
    what, _arrow, mend = error.partition(" → ")
    _, _, reason = what.rpartition(" cannot be opened: ")
    if cause not in _NAMED or not mend or "another program" in reason:
        return causes.why(cause, f), causes.action(cause, f)
    return in_words(reason, f), f.gettext("Tell the maintenance firm: %(what)s.") % {
        "what": in_words(mend, f)
    }


def unproven(what: str, f: Locale) -> tuple[str, str]:
    """What nobody has looked at."""
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
