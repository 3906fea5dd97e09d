"""What is found of each part, and what it comes to, as words of closed sets: nothing here is text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gateway.model import FAILING, NOT_READY
from gateway.status.snapshot import MeterView

Level = Literal["good", "known", "busy", "warn", "bad"]
"""good: proven. known: worth telling, no trouble. busy: neither all-clear nor alarm, it passes by itself.
warn, bad: act.
"""
VerdictState = Literal["in_order", "starting", "delivering", "attention", "trouble"]
Part = Literal["meter", "bus", "journal", "uplink", "clock", "gateway"]

MeterCause = Literal[
    "meter_whole",
    "meter_starting",
    "meter_not_polled",
    "meter_silent",
    "meter_damaged",
    "meter_refusing",
    "meter_not_ready",
    "meter_failing",
    "meter_unreachable",
    "meter_on_lost_bus",
    "values_missing",
    "main_values_missing",
    "values_refused",
    "values_not_ready",
    "table_doubtful",
    "values_impossible",
    "values_old",
    "values_doubtful",
    "pulses_too_fast",
    "pulses_not_counted",
    "register_unsure",
    "register_still",
    "register_unsteady",
    "meter_changed",
    "meter_unidentified",
    "meter_being_swapped",
    "other_model",
    "identity_refused",
]
BusCause = Literal[
    "bus_open",
    "bus_unused",
    "bus_opening",
    "bus_lent",
    "bus_down",
    "bus_silent",
    "bus_damaged",
    "bus_unreachable",
]
JournalCause = Literal[
    "journal_storing",
    "journal_starting",
    "journal_late",
    "journal_full",
    "journal_failed",
    "journal_newer",
    "journal_salvaging",
    "readings_lost",
    "batches_lost",
    "readings_thinned",
    "room_short",
]
UplinkCause = Literal[
    "delivered",
    "connecting",
    "reconnecting",
    "first_delivery",
    "delivery_awaited",
    "delivering",
    "held_for_clock",
    "refused",
    "id_taken",
    "unreachable",
    "stopped",
    "batches_set_aside",
    "no_subscriber",
    "topic_refused",
    "message_left_out",
    "no_receipt",
    "not_delivered",
    "certificate_ends",
    "certificate_ended",
]
OtherCause = Literal[
    "clock_right",
    "clock_unset",
    "alive",
    "part_stopped",
    "no_meters",
    "reload_refused",
    "mistakes",
    "told_by_daemon",
    "history_failed",
    "undervoltage",
    "upgrade_on_trial",
    "upgrade_taken_back",
    "upgrade_failed",
    "unproven",
]
Cause = MeterCause | BusCause | JournalCause | UplinkCause | OtherCause
CAUSES: tuple[str, ...] = tuple(
    name for kind in (MeterCause, BusCause, JournalCause, UplinkCause, OtherCause) for name in get_args(kind)
)


@dataclass(frozen=True, slots=True)
class StatusFinding:
    """One fact about one part: `subject` is the id of a meter or the name of a bus, an uplink or a part,
    empty where there is one.

    `count` (readings, values, batches or meters), `at` (UTC, ms) and `details` (quantities, reasons,
    consumers) belong to the cause.
    """

    part: Part
    cause: Cause
    level: Level
    subject: str = ""
    count: int = 0
    at: int | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusVerdict:
    """What it comes to, and every finding, the worst first. `until` (UTC, ms): when a backlog will be
    delivered, if known.
    """

    state: VerdictState
    findings: tuple[StatusFinding, ...]
    until: int | None = None

    @property
    def troubles(self) -> tuple[StatusFinding, ...]:
        """What a person should know or do something about."""
        return tuple(finding for finding in self.findings if finding.level in {"warn", "bad"})


def why_lost(meter: MeterView) -> MeterCause:
    """What is wrong with a meter that gives nothing."""
    reason = meter.missing
    if not meter.bus:  # a pulse input answers nobody: it counts, or its pin cannot be used
        return "pulses_not_counted"
    if reason == "bad_frame" or meter.damaged:
        return "meter_damaged"
    return why_refused(reason) if reason.startswith("exception_") else "meter_silent"


def why_refused(reason: str) -> MeterCause:
    """What is wrong with a meter whose answer is this exception alone (exception_<code>)."""
    if reason in {"exception_10", "exception_11"}:
        return "meter_unreachable"  # its gateway answers, the meter behind it does not
    if reason in NOT_READY:
        return "meter_not_ready"
    return "meter_failing" if reason in FAILING else "meter_refusing"
