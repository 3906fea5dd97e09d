"""Fills the snapshot that page, API, metrics and commands show, from what the parts know of themselves."""

from __future__ import annotations

import time
from typing import cast

from gateway.catalogue import Driver
from gateway.config import Meter, Pulse, Uplink
from gateway.daemon.assembly import Assembly
from gateway.daemon.last_values import MeterValues
from gateway.daemon.own_meter import DECIMALS, OwnMeter
from gateway.field import BusHealth, Fact, MeterHealth, PulseHealth, values_skipped
from gateway.host import Clock
from gateway.journal import JournalStats
from gateway.model import OWN_METER, Reading
from gateway.status import (
    BusView,
    ClockView,
    FactView,
    JournalView,
    MeterState,
    MeterView,
    UplinkState,
    UplinkView,
    ValueView,
)
from gateway.uplink import UplinkStats

_BUS_STATES = {"closed": "idle", "connecting": "down", "ready": "open", "waiting": "down"}
_JOURNAL_STATES = {"ok": "ok", "full": "full", "failing": "failed", "newer": "newer"}


class Moment:
    """One instant on all clocks: monotonic s, CLOCK_BOOTTIME ms, UTC ms."""

    def __init__(self, clock: Clock) -> None:
        self.monotonic = time.monotonic()
        self.wall, self.uptime = clock.moment()

    def age(self, uptime: int | None) -> float | None:
        """S since a CLOCK_BOOTTIME in ms."""
        return None if uptime is None else max(0.0, (self.uptime - uptime) / 1000)

    def wall_of(self, monotonic: float) -> int:
        """UTC in ms of a monotonic time."""
        return self.wall - int((self.monotonic - monotonic) * 1000)


def meter_views(
    assembly: Assembly,
    health: dict[str, BusHealth],
    moment: Moment,
    standing_still: frozenset[str] = frozenset(),
) -> tuple[MeterView, ...]:
    """Every meter of the configuration, those that are switched off included. A register of those in
    `standing_still` does not count although there is power.
    """
    known = {meter.meter: meter for bus in health.values() for meter in bus.meters}
    views = [
        _meter(meter, assembly, known.get(meter.id), moment, stands_still=meter.id in standing_still)
        for meter in assembly.config.meters
    ]
    inputs = {pulse.id: pulse for pulse in assembly.pulses.health()} if assembly.pulses else {}
    return (
        *views,
        *(
            _pulse(pulse, assembly.last_values.meters[pulse.id], inputs[pulse.id], moment)
            for pulse in assembly.config.pulses
        ),
    )


def _meter(
    meter: Meter, assembly: Assembly, health: MeterHealth | None, moment: Moment, *, stands_still: bool
) -> MeterView:
    driver = assembly.drivers.get(meter.driver)
    live = assembly.last_values.meters.get(meter.id, MeterValues())
    state: MeterState
    if health is None or not meter.enabled:
        state = "disabled"
    elif health.state.shown == "lost":
        state = "lost"
    elif live.answered is None:
        state = "starting" if live.polled is None else "lost"
    else:
        state = "lost" if live.missing else "partial" if live.absent else "answering"
    return MeterView(
        id=meter.id,
        label=meter.label,
        state=state,
        bus=meter.bus,
        address=meter.address,
        driver=meter.driver,
        model=f"{driver.maker} {driver.model}" if driver else "",
        feeds=meter.feeds or "",
        parent=meter.parent or "",
        interval=meter.interval,
        since=_since(state, live, health, moment),
        age=moment.age(live.answered),
        values=_values(live, (health.driver if health else None) or driver, meter, moment),
        missing=live.missing,
        error=health.error if health else "",
        attributes=assembly.attributes(meter.id),
        learnt=_facts(health.facts, driver) if health else (),
        stranger=health.stranger if health else (),
        nameless=health.nameless if health else "",
        damaged=health.damaged if health else False,
        unsteady=health.unsteady if health else (),
        exchanged=health.exchange[:2] if health and health.exchange else (),
        remarks=(
            *(("being_swapped",) if meter.id in assembly.swaps else ()),
            *(("unidentified",) if health and health.unidentified else ()),
            *(("register_still",) if stands_still else ()),
            *(("register_unsteady",) if health and health.unsteady else ()),
        ),
    )


def _since(state: MeterState, live: MeterValues, health: MeterHealth | None, moment: Moment) -> int | None:
    """When a state began: one that answers and gives nothing is lost since its last values, not since it was
    last silent.
    """
    if health is None or not health.since:
        return None
    if state == "lost" and health.state.shown != "lost" and live.answered is not None:
        return moment.wall - (moment.uptime - live.answered)
    return moment.wall_of(health.since)


def _facts(facts: tuple[Fact, ...], driver: Driver | None = None) -> tuple[FactView, ...]:
    return tuple(
        FactView(fact.name, fact.text, fact.since, values_skipped(fact, driver) if driver else ())
        for fact in facts
    )


def _values(live: MeterValues, driver: Driver | None, meter: Meter, moment: Moment) -> tuple[ValueView, ...]:
    rows = {row.name: row for row in driver.rows if not row.attribute} if driver else {}
    names = [*rows, *(name for name in (*live.values, *live.absent) if name not in rows)]
    views = []
    for name in dict.fromkeys(names):
        last, row = live.values.get(name), rows.get(name)
        absent = live.absent.get(name, "") or (live.missing or "")
        if last is None and not absent and row is not None:
            continue  # not polled yet: nothing to say
        interval = meter.slow if row is not None and row.pace == "slow" else meter.interval
        views.append(
            ValueView(
                name,
                last.value if last else None,
                moment.age(last.uptime) if last else None,
                interval,
                row.decimals if row else None,
                absent,
                last.suspect if last else False,
                name in live.given,
            )
        )
    return tuple(views)


def _pulse(pulse: Pulse, live: MeterValues, health: PulseHealth, moment: Moment) -> MeterView:
    values = tuple(
        ValueView(name, last.value, moment.age(last.uptime), suspect=last.suspect)
        for name, last in live.values.items()
    )
    state: MeterState = "starting" if live.polled is None else "lost" if live.missing else "answering"
    return MeterView(
        id=pulse.id,
        label=pulse.label,
        state=state,
        bus="",
        address=None,
        driver="",
        model=f"GPIO {pulse.pin}",
        age=moment.age(live.answered),
        values=values,
        missing=live.missing,
        error=health.error,
        remarks=(*(("register_unsure",) if health.doubt else ()), *(("too_fast",) if health.fast else ())),
    )


def own_view(own: OwnMeter | None, moment: Moment) -> MeterView | None:
    """The gateway as a meter; None where it is none."""
    if own is None:
        return None
    reading = own.newest or Reading(OWN_METER, 0)
    age = moment.age(reading.uptime) if own.newest else None
    values = tuple(
        ValueView(name, value, age if value is not None else None, own.interval, decimals,
                  reading.absent.get(name, ""))
        for name, decimals in DECIMALS.items()
        for value in (reading.values.get(name),)
        if own.newest
    )  # fmt: skip
    state: MeterState = "answering" if own.newest else "starting"
    return MeterView(
        id=OWN_METER, label=OWN_METER, state=state, bus="", address=None, driver="",
        interval=own.interval, age=age, values=values,
    )  # fmt: skip


def bus_view(assembly: Assembly, health: BusHealth, counted_since: int, moment: Moment) -> BusView:
    """One bus; its counters began at `counted_since` (UTC, ms)."""
    bus = next(entry for entry in assembly.config.buses if entry.name == health.bus)
    counters = health.counters
    turnaround = None if health.turn_around is None else health.turn_around * 1000
    return BusView(
        name=bus.name,
        kind=bus.type,
        where=bus.place,
        state="lent" if health.lent else _BUS_STATES[health.state],  # type: ignore[arg-type]
        since=moment.wall_of(health.since) if health.since else None,
        requests=counters.requests,
        timeouts=counters.timeouts,
        bad_frames=counters.bad_frames,
        exceptions=sum(counters.exceptions.values()),
        turnaround=turnaround,
        load=health.load,
        error=health.error,
        cause=health.cause,
        learnt=_facts(health.facts),
        label=bus.label or "",
        counted_since=counted_since,
    )


def journal_view(
    stats: JournalStats, newest: int | None, pending: int, refused: int, *, slot: float, warn: float
) -> JournalView:
    """The journal; `newest` is the wall time of its newest batch, `pending` readings wait in the open slot.

    With room for less than `warn` (s) a person is told.
    """
    salvaging = any(not progress.done for progress in stats.damaged)
    state = "salvaging" if salvaging and stats.state == "ok" else _JOURNAL_STATES[stats.state]
    return JournalView(
        epoch=stats.epoch,
        seq=stats.seq,
        state=state,  # type: ignore[arg-type]
        newest=newest,
        batches=stats.batches,
        readings=stats.readings,
        bytes=stats.bytes,
        budget=stats.budget,
        room_days=stats.room_days,
        room_basis=stats.room_basis,
        taken=stats.taken,
        not_taken=stats.dropped + refused,
        pending=pending + stats.waiting,
        slot=slot,
        error=stats.error,
        cause=stats.cause,
        unopened=stats.unopened,
        thinned=stats.thinned,
        thinned_readings=stats.thinned_readings,
        thinned_since=stats.thinned_since,
        thinned_until=stats.thinned_until,
        thinned_at=stats.thinned_at,
        lost=stats.lost,
        lost_since=stats.lost_since,
        lost_until=stats.lost_until,
        lost_at=stats.lost_at,
        let_go=stats.let_go,
        let_go_at=stats.let_go_at,
        warn_days=warn / 86400,
    )


def uplink_view(
    stats: UplinkStats,
    uplink: Uplink,
    moment: Moment,
    *,
    left: float | None,
    before: int,
    started: int,
    salvaged: int,
    certificate_ends: int | None,
) -> UplinkView:
    """One uplink; a backlog that shrinks is gone in `left` s; `before` the last reload it had delivered so
    many batches since `started`.

    `salvaged` batches of damaged files wait beside the backlog.
    """

    def ago(age: float | None) -> int | None:
        return None if age is None else moment.wall - int(age * 1000)

    return UplinkView(
        name=stats.name,
        where=stats.broker,
        state=cast("UplinkState", stats.state),
        since=stats.since,
        backlog_batches=stats.backlog_batches,
        backlog_readings=stats.backlog_readings,
        backlog_oldest=stats.oldest_t0,
        held=stats.waiting_batches if stats.held else 0,
        delivered=before + stats.delivered_batches,
        receipts=bool(uplink.receipts),
        error=stats.last_error,
        last_receipt=ago(stats.last_receipt_age),
        last_delivery=ago(stats.last_delivery_age),
        cause=stats.cause,
        consumers=stats.consumers,
        set_aside=stats.set_aside,
        set_aside_cause=stats.set_aside_cause,
        left_out=stats.left_out,
        silent=tuple(stats.silent),
        refused_topics=stats.refused_topics,
        done_at=None if left is None else moment.wall + int(left * 1000),
        spread=uplink.spread,
        label=uplink.label or "",
        counted_since=started,
        salvaged=salvaged,
        skipped=stats.skipped,
        certificate_ends=certificate_ends,
        late_after=uplink.late_after,
        hangs_up=stats.hangs_up,
        in_vain=stats.in_vain,
        protocol=stats.protocol,
    )


def clock_view(clock: Clock, hold: float) -> ClockView:
    """The clock; readings of an unset one are held for `hold` s."""
    return ClockView(clock.synced, clock.trust, hold)
