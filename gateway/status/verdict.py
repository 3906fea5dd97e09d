"""Whether everything is in order: a proof from facts with a deadline, never a default.

`judge` turns a snapshot into findings, at least one for each part. Everything is in order only if each part
has one that proves it, and none says otherwise. Nothing here is text: `notices` has the words, the API and
the metrics the causes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never, get_args

from gateway.model import NOT_READY
from gateway.status.findings import (
    BusCause,
    Level,
    MeterCause,
    Part,
    StatusFinding,
    StatusVerdict,
    VerdictState,
    why_lost,
)
from gateway.status.gateway_findings import gateway_findings, younger
from gateway.status.snapshot import BusView, JournalView, MeterView, Snapshot
from gateway.status.uplink_findings import LEAST_MS, bound, certificate_findings, uplink_findings
from gateway.status.words.labels import counter, headline

STARTING_MS = 60_000
"""A meter that has not been polled for so long after the start, or a reload, is no longer starting."""
LOSS_MS = 7 * 86_400_000
"""How long it is news that stored readings were lost: damaged, or made room undelivered."""
URGENT_DAYS = 1.0
"""With less room than this, an outage costs readings within a day."""
FIFTH = 0.2
"""More of a table's quantities refused than this: probably the wrong table."""
_DAY = 86_400_000


def judge(now: Snapshot) -> StatusVerdict:
    """The verdict on a snapshot."""
    active = [meter for meter in now.meters if meter.state != "disabled"]
    findings = [
        *_buses(now, active),
        *(finding for meter in active for finding in _meter(meter, now)),
        *_journal(now, active),
        *(finding for view in now.uplinks for finding in uplink_findings(view, now)),
        *certificate_findings(now),
        *gateway_findings(now, active),
    ]
    findings += _unproven(now, active, findings)
    findings.sort(key=lambda finding: -get_args(Level).index(finding.level))
    levels = {finding.level for finding in findings}
    until = max(
        (finding.at for finding in findings if finding.cause == "delivering" and finding.at is not None),
        default=None,
    )
    state: VerdictState
    if "bad" in levels:
        state = "trouble"
    elif "warn" in levels:
        state = "attention"
    elif any(finding.cause in {"delivering", "held_for_clock"} for finding in findings):
        state = "delivering"
    elif "busy" in levels:
        state = "starting"
    else:
        state = "in_order"
    return StatusVerdict(state, tuple(findings), until)


def _unproven(
    now: Snapshot, active: list[MeterView], findings: list[StatusFinding]
) -> Iterator[StatusFinding]:
    """A part without any finding was not looked at: that is no all-clear. None is known; a new one shows
    here.
    """
    wanted: list[tuple[Part, str]] = [("meter", meter.id) for meter in active]
    wanted += [("bus", view.name) for view in now.buses]
    wanted += [("uplink", view.name) for view in now.uplinks]
    wanted += [("journal", ""), ("clock", "")]
    found = {(finding.part, finding.subject) for finding in findings}
    return (
        StatusFinding(part, "unproven", "warn", subject)
        for part, subject in wanted
        if (part, subject) not in found
    )


# -- meters and lines


def _buses(now: Snapshot, active: list[MeterView]) -> Iterator[StatusFinding]:
    for view in now.buses:
        yield _bus(view, [meter for meter in active if meter.bus == view.name], now)


def _bus(view: BusView, members: list[MeterView], now: Snapshot) -> StatusFinding:
    match view.state:
        case "down" if not view.error and younger(view.since, now, LEAST_MS):
            return StatusFinding("bus", "bus_opening", "busy", view.name)
        case "down":
            return StatusFinding(
                "bus",
                "bus_down",
                "bad",
                view.name,
                len(members),
                view.since,
                (view.cause,) if view.cause else (),
            )
        case "lent":
            return StatusFinding("bus", "bus_lent", "warn", view.name, len(members))
        case "idle" | "open":
            if len(members) > 1 and all(meter.state == "lost" for meter in members):
                cause = _of_all({why_lost(meter) for meter in members})
                if cause is not None:
                    return StatusFinding("bus", cause, "bad", view.name, len(members))
            return StatusFinding(
                "bus", "bus_open" if view.state == "open" else "bus_unused", "good", view.name
            )
        case _:
            assert_never(view.state)


def _of_all(why: set[MeterCause]) -> BusCause | None:
    """What is wrong with a line whose meters are all lost for these reasons; None when one of them answers
    and is understood, so that each has a trouble of its own.
    """
    if why <= {"meter_silent", "meter_damaged"}:
        return "bus_damaged" if "meter_damaged" in why else "bus_silent"
    return "bus_unreachable" if why == {"meter_unreachable"} else None


def lost_buses(now: Snapshot) -> set[str]:
    """Lines whose trouble explains that of each of their meters."""
    active = [meter for meter in now.meters if meter.state != "disabled"]
    return {
        found.subject
        for found in _buses(now, active)
        if found.cause in {"bus_down", "bus_silent", "bus_damaged", "bus_unreachable", "bus_lent"}
    }


def _meter(meter: MeterView, now: Snapshot) -> Iterator[StatusFinding]:
    if "being_swapped" in meter.remarks:
        yield StatusFinding("meter", "meter_being_swapped", "warn", meter.id)
        return
    if (meter.state in {"starting", "lost"} and meter.bus in lost_buses(now)) or _is_lent(meter, now):
        yield StatusFinding("meter", "meter_on_lost_bus", "known", meter.id)
        return
    match meter.state:
        case "starting":
            patience = int(STARTING_MS + 1000 * meter.interval)
            if now.uptime * 1000 < patience or younger(meter.since, now, patience):
                yield StatusFinding("meter", "meter_starting", "busy", meter.id)
            else:
                yield StatusFinding("meter", "meter_not_polled", "warn", meter.id)
        case "lost":
            why = why_lost(meter)
            yield StatusFinding("meter", why, "bad", meter.id, at=meter.since, details=(meter.missing,))
        case "answering" | "partial":
            yield from _values(meter)
            yield from _unidentified(meter, now)
        case "disabled":
            return
        case _:
            assert_never(meter.state)


def _unidentified(meter: MeterView, now: Snapshot) -> Iterator[StatusFinding]:
    if "unidentified" in meter.remarks:
        patience = int(STARTING_MS + 1000 * meter.interval)
        level: Level = "busy" if younger(meter.since, now, patience) else "warn"
        yield StatusFinding("meter", "meter_unidentified", level, meter.id)


def _is_lent(meter: MeterView, now: Snapshot) -> bool:
    """Whether nothing can be said of it, because its line is lent."""
    lent = any(view.name == meter.bus and view.state == "lent" for view in now.buses)
    return lent and meter.state in {"answering", "partial"}


def _values(meter: MeterView) -> Iterator[StatusFinding]:
    """What is wrong with the values of a meter that answers; that it is whole when nothing is."""
    found = [*_absent(meter), *_doubtful(meter)]
    yield from found
    if all(finding.level == "known" for finding in found):
        yield StatusFinding("meter", "meter_whole", "good", meter.id, len(meter.values))


def _absent(meter: MeterView) -> Iterator[StatusFinding]:
    """Whole: every quantity that it has given since its table or place last changed, its power and its
    counter at any rate.
    """
    waiting = tuple(view.quantity for view in meter.values if view.absent in NOT_READY)
    views = [view for view in meter.values if view.absent not in NOT_READY]
    missing = tuple(view.quantity for view in views if view.absent and (view.given or view.value is not None))
    impossible = tuple(view.quantity for view in views if view.absent == "implausible")
    refused = tuple(
        view.quantity
        for view in views
        if view.value is None and not view.given and view.quantity not in impossible
    )
    mains = {view.quantity for view in (headline(meter), counter(meter)) if view is not None}
    if waiting:
        level: Level = "bad" if mains & set(waiting) else "warn"
        yield StatusFinding("meter", "values_not_ready", level, meter.id, len(waiting), details=waiting)
    if impossible and (len(impossible) > FIFTH * len(views) or not set(impossible) <= set(missing)):
        level = "bad" if mains & set(impossible) else "warn"
        yield StatusFinding(
            "meter", "values_impossible", level, meter.id, len(impossible), details=impossible
        )
        missing = tuple(quantity for quantity in missing if quantity not in impossible)
    main_lost = tuple(sorted(mains & {*missing, *refused}))
    wrong = not meter.values or bool(refused and (len(refused) > FIFTH * len(views) or mains & set(refused)))
    yield from _model(meter, refused, "bad" if wrong and main_lost else "warn", wrong=wrong)
    if wrong:
        return
    if main_lost:
        yield StatusFinding("meter", "main_values_missing", "bad", meter.id, len(missing), details=main_lost)
    elif missing:
        yield StatusFinding("meter", "values_missing", "warn", meter.id, len(missing), details=missing)
    elif refused:
        yield StatusFinding("meter", "values_refused", "known", meter.id, len(refused), details=refused)


def _model(
    meter: MeterView, refused: tuple[str, ...], level: Level, *, wrong: bool
) -> Iterator[StatusFinding]:
    """That it is probably read with another model's table, by what it says, else by what it refuses."""
    if meter.stranger:
        yield StatusFinding("meter", "other_model", level, meter.id, details=meter.stranger)
    elif meter.nameless:
        yield StatusFinding("meter", "identity_refused", level, meter.id, details=(meter.nameless,))
    elif wrong:
        yield StatusFinding("meter", "table_doubtful", level, meter.id, len(refused), details=refused)


def _doubtful(meter: MeterView) -> Iterator[StatusFinding]:
    """What it gives, but should not be believed blindly."""
    views = meter.values
    stale = [view for view in views if view.value is not None and view.stale and not view.absent]
    if stale:
        oldest = max(view.age or 0.0 for view in stale)
        yield StatusFinding(
            "meter",
            "values_old",
            "warn",
            meter.id,
            int(oldest),
            details=tuple(view.quantity for view in stale),
        )
    if meter.exchanged:
        yield StatusFinding("meter", "meter_changed", "warn", meter.id, details=meter.exchanged)
    if "too_fast" in meter.remarks:
        yield StatusFinding("meter", "pulses_too_fast", "warn", meter.id)
    if "register_unsure" in meter.remarks:
        yield StatusFinding("meter", "register_unsure", "warn", meter.id)
    if "register_still" in meter.remarks:
        yield StatusFinding("meter", "register_still", "warn", meter.id)
    if meter.unsteady:
        yield StatusFinding("meter", "register_unsteady", "warn", meter.id, details=meter.unsteady)
    doubtful = tuple(view.quantity for view in views if view.suspect and view.quantity not in meter.unsteady)
    if doubtful and "too_fast" not in meter.remarks:
        yield StatusFinding("meter", "values_doubtful", "warn", meter.id, len(doubtful), details=doubtful)


# -- the store


def _journal(now: Snapshot, active: list[MeterView]) -> Iterator[StatusFinding]:
    journal = now.journal
    yield _storing(journal, now, active)
    if (journal.let_go and _is_news(journal.let_go_at, now)) or (
        journal.not_taken and journal.let_go_at is None
    ):
        count = max(journal.not_taken, journal.let_go)
        over = journal.let_go_at is not None and journal.state in {"ok", "salvaging"}
        level: Level = "warn" if over else "bad"
        yield StatusFinding("journal", "readings_lost", level, count=count, at=journal.let_go_at)
    if lost_lately(now):
        yield StatusFinding("journal", "batches_lost", "warn", count=journal.lost, at=journal.lost_at)
    if thinned_lately(now):
        yield StatusFinding(
            "journal", "readings_thinned", "warn", count=journal.thinned_readings, at=journal.thinned_at
        )
    if (
        journal.room_days is not None
        and journal.room_days < journal.warn_days
        and journal.state in {"ok", "salvaging"}
    ):
        level = "bad" if journal.room_days < URGENT_DAYS else "warn"
        yield StatusFinding("journal", "room_short", level, at=now.taken + int(journal.room_days * _DAY))


def lost_lately(now: Snapshot) -> bool:
    """Whether it is news that a damaged or missing file has cost batches; a clock that has not been right
    since makes no news old.
    """
    return now.journal.lost > 0 and _is_news(now.journal.lost_at, now)


def thinned_lately(now: Snapshot) -> bool:
    """Whether it is news that undelivered readings had to make room."""
    return younger(now.journal.thinned_at, now, LOSS_MS)


def _is_news(at: int | None, now: Snapshot) -> bool:
    return at is None or younger(at, now, LOSS_MS)


def _storing(journal: JournalView, now: Snapshot, active: list[MeterView]) -> StatusFinding:
    match journal.state:
        case "full":
            return StatusFinding("journal", "journal_full", "bad", count=journal.pending)
        case "failed":
            return StatusFinding("journal", "journal_failed", "bad", count=journal.pending)
        case "newer":
            return StatusFinding("journal", "journal_newer", "bad", count=journal.pending)
        case "ok" | "salvaging":
            pass
        case _:
            assert_never(journal.state)
    answering = [
        meter for meter in active if meter.state in {"answering", "partial"} and not _is_lent(meter, now)
    ]
    slowest = min((meter.interval for meter in answering), default=0.0)
    patience = bound(now) + int(1000 * slowest)
    if answering and (journal.newest is None or now.taken - journal.newest > patience):
        # A wall clock that was set meanwhile proves nothing either way.
        if now.uptime * 1000 < patience:
            return StatusFinding("journal", "journal_starting", "busy")
        return StatusFinding("journal", "journal_late", "bad", count=journal.pending, at=journal.newest)
    if journal.state == "salvaging":
        return StatusFinding("journal", "journal_salvaging", "warn")
    return StatusFinding("journal", "journal_storing", "good", at=journal.newest)
