"""Every state of every part, with the verdict that it must come to and the cause that must be named."""

from __future__ import annotations

from dataclasses import replace

from status_building import BUSES, CALM, HOUR, MINUTE, NOW, value

from gateway.status.findings import VerdictState
from gateway.status.snapshot import (
    Beat,
    ClockView,
    MeterView,
    Snapshot,
    UpgradeView,
    UplinkState,
    ValueView,
)

LATE = NOW - 10 * MINUTE
FRESH = NOW - 5_000


def meter(**fields) -> Snapshot:
    return replace(CALM, meters=(replace(CALM.meters[0], **fields), *CALM.meters[1:]))


def values(*changes: tuple[str, dict]) -> Snapshot:
    """The first meter with some of its values changed."""
    wanted = dict(changes)
    views = tuple(replace(view, **wanted.get(view.quantity, {})) for view in CALM.meters[0].values)
    return meter(values=views, state="partial")


def bus(**fields) -> Snapshot:
    return replace(CALM, buses=(replace(BUSES[0], **fields), BUSES[1]))


def journal(**fields) -> Snapshot:
    return replace(CALM, journal=replace(CALM.journal, **fields))


def uplink(**fields) -> Snapshot:
    return replace(CALM, uplinks=(replace(CALM.uplinks[0], **fields),))


def waiting(
    state: UplinkState = "connected", since: int = LATE - HOUR, oldest: int = LATE, **fields
) -> Snapshot:
    facts = {"in_vain": 600.0, **fields}
    return uplink(
        state=state, since=since, backlog_batches=60, backlog_readings=480, backlog_oldest=oldest, **facts
    )


def all_lost(reason: str) -> Snapshot:
    return replace(
        CALM, meters=tuple(replace(view, state="lost", missing=reason, bus="line1") for view in CALM.meters)
    )


def upgraded(outcome: str, *, days: float = 1, after: str = "0.2.0") -> Snapshot:
    at = None if outcome == "trial" else NOW - int(days * 24) * HOUR
    return replace(CALM, upgrade=UpgradeView("a1", outcome, "0.1.0", after, "it was not ready", at))


def lent(*, age: float = 3.0, newest: int = FRESH) -> Snapshot:
    """Line 1, with every meter on it, is lent."""
    error = "bus line1 is lent to submeter scan → it comes back by itself within 200 s"
    meters = tuple(
        replace(view, bus="line1", values=tuple(replace(one, age=age) for one in view.values))
        for view in CALM.meters
    )
    facts = replace(bus(state="lent", error=error), meters=meters)
    return replace(facts, journal=replace(CALM.journal, newest=newest))


def itself(view: ValueView) -> Snapshot:
    """The gateway as a meter that gives one value."""
    return replace(CALM, own=MeterView("gateway", "gateway", "answering", "", None, "", values=(view,)))


GONE = {"absent": "timeout"}
ODD = {"value": None, "absent": "implausible"}
NEVER = {"value": None, "absent": "exception_2"}
EVERYTHING_BUT_POWER = [
    (view.quantity, NEVER)
    for view in CALM.meters[0].values
    if view.quantity not in {"active_power", "active_energy_import"}
]
YOUNG = {"uptime": 20.0}

TABLE: list[tuple[str, Snapshot, VerdictState, str]] = [
    # what                                   facts                                                  verdict
    # cause
    ("all is well", CALM, "in_order", ""),
    (
        "two uplinks, both delivered",
        replace(CALM, uplinks=(CALM.uplinks[0], replace(CALM.uplinks[0], name="mirror"))),
        "in_order",
        "",
    ),
    ("no uplink is wanted", replace(CALM, uplinks=()), "in_order", ""),
    ("no meter", replace(CALM, meters=()), "attention", "no_meters"),
    (
        "only switched off meters",
        replace(CALM, meters=(replace(CALM.meters[0], state="disabled"),)),
        "attention",
        "no_meters",
    ),
    # meters
    (
        "a meter has not been polled, just started",
        replace(meter(state="starting", values=(), age=None), **YOUNG),
        "starting",
        "meter_starting",
    ),
    (
        "a meter is new since a reload",
        meter(state="starting", values=(), age=None, since=FRESH),
        "starting",
        "meter_starting",
    ),
    (
        "a meter has not been polled for an hour",
        meter(state="starting", values=(), age=None),
        "attention",
        "meter_not_polled",
    ),
    ("a meter is silent", meter(state="lost", missing="timeout", since=LATE), "trouble", "meter_silent"),
    (
        "a meter's replies are damaged",
        meter(state="lost", missing="bad_frame", since=LATE),
        "trouble",
        "meter_damaged",
    ),
    (
        "a meter refuses everything",
        meter(state="lost", missing="exception_2", since=LATE),
        "trouble",
        "meter_refusing",
    ),
    *(
        (
            f"a meter is not ready: {why}",
            meter(state="lost", missing=why, since=LATE),
            "trouble",
            "meter_not_ready",
        )
        for why in ("exception_5", "exception_6")
    ),
    *(
        (
            f"a meter has a fault of its own: {why}",
            meter(state="lost", missing=why, since=LATE),
            "trouble",
            "meter_failing",
        )
        for why in ("exception_4", "exception_8")
    ),
    (
        "a meter is not ready for one value that it never gave",
        values(("frequency", {**NEVER, "absent": "exception_6"})),
        "attention",
        "values_not_ready",
    ),
    (
        "a meter is not ready for its energy, which it gave before",
        values(("active_energy_import", {**GONE, "absent": "exception_5"})),
        "trouble",
        "values_not_ready",
    ),
    (
        "a converter does not reach its meter",
        meter(state="lost", missing="exception_11", since=LATE),
        "trouble",
        "meter_unreachable",
    ),
    ("a reason that nobody knows", meter(state="lost", missing="", since=LATE), "trouble", "meter_silent"),
    ("one value that was there is missing", values(("frequency", GONE)), "attention", "values_missing"),
    ("the energy is missing", values(("active_energy_import", GONE)), "trouble", "main_values_missing"),
    ("the power is missing", values(("active_power", GONE)), "trouble", "main_values_missing"),
    ("one value was always refused", values(("frequency", NEVER)), "in_order", ""),
    ("a fifth of the table is refused", values(*EVERYTHING_BUT_POWER[:4]), "attention", "table_doubtful"),
    (
        "the whole table but the power is refused",
        values(*EVERYTHING_BUT_POWER),
        "attention",
        "table_doubtful",
    ),
    ("the energy was always refused", values(("active_energy_import", NEVER)), "trouble", "table_doubtful"),
    (
        "most of its values are beyond what is possible",
        values(*((view.quantity, ODD) for view in CALM.meters[0].values)),
        "trouble",
        "values_impossible",
    ),
    (
        "some of its values were never possible, and none of the main ones",
        values(*((name, ODD) for name, _ in EVERYTHING_BUT_POWER if name.startswith("voltage"))),
        "attention",
        "values_impossible",
    ),
    (
        "a value was never possible, and the energy is missing",
        values(("frequency", ODD), ("active_energy_import", GONE)),
        "trouble",
        "main_values_missing",
    ),
    (
        "a value that it gave before a restart is refused now",
        values(("frequency", {**NEVER, "given": True})),
        "attention",
        "values_missing",
    ),
    (
        "what comes in place of its answers is no frame",
        meter(state="lost", missing="timeout", damaged=True, since=LATE),
        "trouble",
        "meter_damaged",
    ),
    ("a meter answers and gives nothing", meter(values=()), "attention", "table_doubtful"),
    (
        "its numbers are old",
        meter(values=(value("active_power", 1.0, 900.0), value("active_energy_import", 1.0, 5.0))),
        "attention",
        "values_old",
    ),
    (
        "a value is doubtful",
        meter(values=(value("active_power", 1.0), value("active_energy_import", 1.0, suspect=True))),
        "attention",
        "values_doubtful",
    ),
    ("it is another model than its table", meter(stranger=("3:0 = 5", "7 / 9")), "attention", "other_model"),
    (
        "it does not have the register of its model",
        meter(nameless="3:64514"),
        "attention",
        "identity_refused",
    ),
    (
        "it is another model, and refuses most of the table: said once",
        replace(
            values(*EVERYTHING_BUT_POWER, ("active_power", NEVER)),
            meters=(
                replace(
                    values(*EVERYTHING_BUT_POWER, ("active_power", NEVER)).meters[0],
                    stranger=("3:0 = 5", "7"),
                ),
                *CALM.meters[1:],
            ),
        ),
        "trouble",
        "other_model",
    ),
    ("another meter answers in its place", meter(exchanged=("11", "22")), "attention", "meter_changed"),
    (
        "a meter that came back has not said that it is the same",
        meter(remarks=("unidentified",), since=FRESH),
        "starting",
        "meter_unidentified",
    ),
    (
        "it does not say so any more",
        meter(remarks=("unidentified",), since=LATE),
        "attention",
        "meter_unidentified",
    ),
    ("it is being exchanged", meter(remarks=("being_swapped",)), "attention", "meter_being_swapped"),
    (
        "a pulse input's pin cannot be used",
        meter(state="lost", bus="", address=None, missing="not_available"),
        "trouble",
        "pulses_not_counted",
    ),
    ("pulses come too fast", meter(remarks=("too_fast",)), "attention", "pulses_too_fast"),
    ("a register lost its past", meter(remarks=("register_unsure",)), "attention", "register_unsure"),
    ("a register stands still under load", meter(remarks=("register_still",)), "attention", "register_still"),
    (
        "a register goes back and forth",
        meter(unsteady=("active_energy_import",), remarks=("register_unsteady",)),
        "attention",
        "register_unsteady",
    ),
    (
        "... and is doubtful at the moment: said once",
        meter(
            unsteady=("active_energy_import",),
            values=(value("active_power", 1.0), value("active_energy_import", 1.0, suspect=True)),
        ),
        "attention",
        "register_unsteady",
    ),
    # lines
    (
        "a line is being opened",
        replace(bus(state="down", error="", since=FRESH), **YOUNG),
        "starting",
        "bus_opening",
    ),
    (
        "a line is being opened for an hour",
        bus(state="down", error="", since=NOW - HOUR),
        "trouble",
        "bus_down",
    ),
    ("a line cannot be opened", bus(state="down", error="in use", cause="in_use"), "trouble", "bus_down"),
    ("a line is not used yet", bus(state="idle"), "in_order", ""),
    ("a line is lent to a command", lent(), "attention", "bus_lent"),
    ("a line is lent, and all its values are old", lent(age=900.0), "attention", "bus_lent"),
    ("a line with every meter is lent for hours", lent(age=9000.0, newest=LATE), "attention", "bus_lent"),
    ("every meter of a line is silent", all_lost("timeout"), "trouble", "bus_silent"),
    ("every reply of a line is damaged", all_lost("bad_frame"), "trouble", "bus_damaged"),
    ("a converter reaches none of its meters", all_lost("exception_11"), "trouble", "bus_unreachable"),
    # the store
    ("the card is full", journal(state="full"), "trouble", "journal_full"),
    ("the card fails", journal(state="failed"), "trouble", "journal_failed"),
    ("the store is of a newer version", journal(state="newer"), "trouble", "journal_newer"),
    ("a damaged file is read back", journal(state="salvaging"), "attention", "journal_salvaging"),
    ("nothing is stored although meters answer", journal(newest=LATE), "trouble", "journal_late"),
    ("nothing was ever stored", journal(newest=None), "trouble", "journal_late"),
    ("nothing is stored yet", replace(journal(newest=None), **YOUNG), "starting", "journal_starting"),
    ("readings were lost", journal(not_taken=1), "trouble", "readings_lost"),
    (
        "readings were lost, and the disk takes them again",
        journal(not_taken=40, let_go=40, let_go_at=NOW - HOUR),
        "attention",
        "readings_lost",
    ),
    (
        "readings were lost before a restart",
        journal(let_go=40, let_go_at=NOW - HOUR),
        "attention",
        "readings_lost",
    ),
    (
        "readings were lost before a restart, and the disk is full again",
        journal(let_go=40, let_go_at=NOW - HOUR, state="full"),
        "trouble",
        "readings_lost",
    ),
    (
        "readings were lost eight days ago",
        journal(not_taken=40, let_go=40, let_go_at=NOW - 8 * 24 * HOUR),
        "in_order",
        "",
    ),
    (
        "readings had to make room",
        journal(thinned=3, thinned_readings=24, thinned_at=NOW - HOUR),
        "attention",
        "readings_thinned",
    ),
    (
        "readings had to make room long ago",
        journal(thinned=3, thinned_readings=24, thinned_at=NOW - 30 * 24 * HOUR),
        "in_order",
        "",
    ),
    (
        "a damaged file cost batches",
        journal(lost=12, lost_since=NOW - 3 * HOUR, lost_until=NOW - 2 * HOUR, lost_at=NOW - HOUR),
        "attention",
        "batches_lost",
    ),
    (
        "a damaged file cost batches, nobody knows when",
        journal(lost=12),
        "attention",
        "batches_lost",
    ),
    (
        "a damaged file cost batches eight days ago",
        journal(lost=12, lost_at=NOW - 8 * 24 * HOUR),
        "in_order",
        "",
    ),
    ("room for three days", journal(room_days=3.0), "attention", "room_short"),
    ("room for three hours", journal(room_days=0.125), "trouble", "room_short"),
    ("room for three days, and that is enough", journal(room_days=3.0, warn_days=2.0), "in_order", ""),
    ("the card is full and says so once", journal(state="full", room_days=0.0), "trouble", "journal_full"),
    ("nobody knows how much room there is", journal(room_days=None), "in_order", ""),
    # platforms
    (
        "a connection is being made",
        waiting("connecting", since=FRESH, oldest=FRESH),
        "starting",
        "connecting",
    ),
    ("nothing has begun yet", waiting("idle", since=FRESH, oldest=FRESH), "starting", "connecting"),
    (
        "a connection is being made for an hour",
        waiting("connecting", since=NOW - HOUR),
        "attention",
        "unreachable",
    ),
    (
        "a connection is being made for the first time, and a backlog waits",
        waiting("connecting", since=FRESH),
        "starting",
        "connecting",
    ),
    (
        "an attempt failed a moment ago, and a backlog waits",
        waiting("waiting", since=FRESH, cause="nobody_listens"),
        "attention",
        "unreachable",
    ),
    (
        "the first attempts fail, nothing waits long",
        waiting("waiting", since=FRESH, oldest=FRESH),
        "starting",
        "connecting",
    ),
    (
        "a connection broke, nothing waits long",
        waiting("waiting", since=FRESH, oldest=FRESH, protocol="5.0"),
        "starting",
        "reconnecting",
    ),
    (
        "a connection broke, and nothing waits at all",
        uplink(state="waiting", since=FRESH, protocol="3.1.1"),
        "starting",
        "reconnecting",
    ),
    (
        "a connection broke ten minutes ago, and nothing waits",
        uplink(state="waiting", since=LATE, protocol="5.0"),
        "attention",
        "unreachable",
    ),
    ("a platform is away", waiting("waiting"), "attention", "unreachable"),
    (
        "the broker hangs up at each batch, and a new connection is a moment old",
        waiting(since=FRESH, hangs_up=True),
        "trouble",
        "refused",
    ),
    (
        "the broker hangs up at each batch, between two connections",
        waiting("waiting", since=FRESH, cause="ended", hangs_up=True),
        "trouble",
        "refused",
    ),
    ("what is late is configured", waiting(since=NOW - HOUR, late_after=3600.0), "in_order", ""),
    (
        "what is late is configured, and it is later",
        waiting(oldest=NOW - HOUR - MINUTE, late_after=3600.0, in_vain=3660.0),
        "trouble",
        "no_receipt",
    ),
    (
        "a platform is away, nothing waits yet",
        uplink(state="waiting", since=LATE),
        "attention",
        "unreachable",
    ),
    (
        "a platform is away and room is short",
        replace(waiting("waiting"), journal=replace(CALM.journal, room_days=2.0)),
        "trouble",
        "unreachable",
    ),
    ("the broker refuses the connection", uplink(state="refused", cause="credentials"), "trouble", "refused"),
    ("another gateway has our name", uplink(state="taken over"), "trouble", "id_taken"),
    ("an uplink has stopped", uplink(state="stopped"), "trouble", "stopped"),
    ("the newest are on their way", waiting(oldest=FRESH), "in_order", ""),
    (
        "nothing was ever confirmed, and something waits",
        waiting(oldest=FRESH, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    (
        "connected a moment ago, nothing was confirmed yet",
        uplink(since=FRESH, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    (
        "connected a moment ago, without receipts, nothing was delivered yet",
        uplink(since=FRESH, receipts=False, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    (
        "connected for an hour, and there was nothing to deliver",
        uplink(last_receipt=None, since=NOW - HOUR),
        "in_order",
        "",
    ),
    ("the broker refuses every batch", waiting(cause="not_authorized"), "trouble", "refused"),
    (
        "the program behind the broker is dead",
        waiting(last_receipt=LATE, silent=("city",)),
        "trouble",
        "no_receipt",
    ),
    ("old confirmations are repeated", waiting(last_receipt=FRESH), "trouble", "no_receipt"),
    (
        "one of two confirms, the other is dead",
        waiting(last_receipt=FRESH, silent=("mirror",), consumers=2),
        "trouble",
        "no_receipt",
    ),
    ("confirmations stay away, nobody named", waiting(last_receipt=LATE), "trouble", "no_receipt"),
    (
        "nobody listens at the broker",
        waiting(cause="no_subscribers", receipts=False),
        "trouble",
        "no_subscriber",
    ),
    ("the broker takes nothing and says nothing", waiting(receipts=False), "trouble", "not_delivered"),
    ("a certificate ends", uplink(certificate_ends=NOW + 24 * HOUR), "attention", "certificate_ends"),
    ("a certificate has ended", uplink(certificate_ends=NOW - HOUR), "trouble", "certificate_ended"),
    ("a batch is too large for the broker", uplink(set_aside=1), "trouble", "batches_set_aside"),
    (
        "what the gateway says of its meters is too large for the broker",
        uplink(left_out=("submeter/v1/x/meters",)),
        "attention",
        "message_left_out",
    ),
    (
        "we may not hear the receipts",
        uplink(refused_topics=("submeter/v1/x/receipt/city",)),
        "trouble",
        "topic_refused",
    ),
    (
        "batches of a damaged file wait beside an empty backlog",
        uplink(salvaged=12),
        "delivering",
        "delivering",
    ),
    ("a backlog shrinks", waiting(done_at=NOW + 20 * MINUTE), "delivering", "delivering"),
    (
        "a backlog shrinks because room was made, and all is refused",
        waiting(done_at=NOW + 20 * MINUTE, cause="not_authorized"),
        "trouble",
        "refused",
    ),
    (
        "a connection was made for the first time a moment ago, a backlog waits",
        waiting(since=FRESH, in_vain=5.0, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    (
        "a connection was made again a moment ago, a backlog waits",
        waiting(since=FRESH, in_vain=5.0, protocol="5.0"),
        "starting",
        "delivery_awaited",
    ),
    (
        "a connection was made, its begin is put off",
        waiting(since=NOW - 90_000, in_vain=90.0, spread=60.0),
        "starting",
        "delivery_awaited",
    ),
    (
        "a connection was made, its begin was put off long enough",
        waiting(since=NOW - 150_000, in_vain=150.0, spread=60.0),
        "trouble",
        "no_receipt",
    ),
    (
        "a connection comes and goes, and no receipt comes on any of them",
        waiting(since=FRESH, in_vain=300.0, silent=("city",)),
        "trouble",
        "no_receipt",
    ),
    (
        "batches wait for the clock",
        replace(waiting(held=60), clock=ClockView(synced=True)),
        "delivering",
        "held_for_clock",
    ),
    (
        "what is new waits for the clock",
        replace(waiting(oldest=FRESH, held=60), clock=ClockView(synced=True)),
        "delivering",
        "held_for_clock",
    ),
    (
        "batches wait for the clock, and the broker refuses those that need not",
        replace(waiting(held=60, cause="not_authorized"), clock=ClockView(synced=True)),
        "trouble",
        "refused",
    ),
    (
        "batches wait for the clock, and nobody hears those that need not",
        replace(waiting(held=60, cause="no_subscribers"), clock=ClockView(synced=True)),
        "trouble",
        "no_subscriber",
    ),
    (
        "the disk was full, and what has waited in memory is stored at last",
        waiting(in_vain=1.0, last_receipt=LATE),
        "starting",
        "delivery_awaited",
    ),
    (
        "one of two platforms takes nothing",
        replace(CALM, uplinks=(CALM.uplinks[0], replace(waiting().uplinks[0], name="mirror"))),
        "trouble",
        "no_receipt",
    ),
    (
        "the clock was set back, and nothing is confirmed since",
        waiting(oldest=NOW + 3 * HOUR, last_receipt=LATE),
        "trouble",
        "no_receipt",
    ),
    (
        "the clock was set back, and a platform without receipts takes nothing",
        waiting(oldest=NOW + 3 * HOUR, receipts=False, last_delivery=None),
        "trouble",
        "not_delivered",
    ),
    (
        "the clock was set back, and what came since is confirmed",
        waiting(oldest=NOW + 3 * HOUR, last_receipt=FRESH),
        "in_order",
        "",
    ),
    # the rest
    (
        "the history of quarter hours cannot be kept",
        replace(CALM, history="history.db cannot be opened"),
        "trouble",
        "history_failed",
    ),
    ("the supply is weak", itself(value("undervoltage", 1.0)), "attention", "undervoltage"),
    ("the supply is good", itself(value("undervoltage", 0.0)), "in_order", ""),
    ("nobody knows how the supply is", itself(value("undervoltage", None)), "in_order", ""),
    ("the clock is not set", replace(CALM, clock=ClockView(synced=False)), "attention", "clock_unset"),
    ("a part stands still", replace(CALM, beats=(Beat("journal", 99.0, 60.0),)), "trouble", "part_stopped"),
    (
        "a reload was refused",
        replace(CALM, refused=2, problems=("it was not taken over",), in_short=1),
        "attention",
        "reload_refused",
    ),
    (
        "it was started with what a reload refuses",
        replace(CALM, mistakes=1, problems=("a line",), in_short=1),
        "attention",
        "mistakes",
    ),
    (
        "the daemon has something to say",
        replace(CALM, problems=("gateway.yaml was not taken over",)),
        "attention",
        "told_by_daemon",
    ),
    ("a version is on trial", upgraded("trial"), "in_order", ""),
    ("a version was kept", upgraded("kept"), "in_order", ""),
    ("a version was taken back", upgraded("taken back"), "attention", "upgrade_taken_back"),
    ("it was taken back eight days ago", upgraded("taken back", days=8), "in_order", ""),
    ("neither version is whole", upgraded("failed"), "attention", "upgrade_failed"),
    ("a package was refused", upgraded("not installed", after=""), "attention", "upgrade_failed"),
]
