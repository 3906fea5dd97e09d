"""Everything that a configuration describes, but for the journal: built, started and stopped as one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from gateway.catalogue import Driver
from gateway.commissioning.swap import EXCHANGE_EVENTS, MeterSwaps
from gateway.common.wait import wait_for_event
from gateway.config import Config, Uplink
from gateway.daemon.describe import MeterDescription, driver_version, text_of
from gateway.daemon.energy import EnergyWorker
from gateway.daemon.last_values import LastValues
from gateway.daemon.own_meter import OwnMeter, OwnParts
from gateway.daemon.slots import SlotCollector
from gateway.errors import GatewayError
from gateway.field import BusWorker, Learnt, MeterFacts, MeterTask, PolledMeter, PulseInputs
from gateway.host import Clock, Pins, make_key
from gateway.journal import Journal
from gateway.model import Draft, Event, Reading, Sealed
from gateway.uplink import Forwarder
from gateway.wire import decode

log = logging.getLogger(__name__)

PULSE_INTERVAL = 10.0
"""s between two readings of a pulse input; never longer than a slot, which is what a power cut may cost."""
DOUBTS = {
    "damage": "the journal was damaged, its last batches may be missing",
    "conflict": "the journal is older than what the platform has",
}
"""Reasons of an epoch after which pulse registers may have fallen back."""
LIMITS = "batch_limits"
"""What rides with each batch: by uplink, the bytes that a batch may have for its broker."""
SWAPS = "swaps"
"""What rides with each batch: the exchanges of meters that have begun."""
UPGRADE = "upgrade"
"""What rides with each batch: the id of the upgrade whose outcome was told."""
FIRST, SENDING = 1.0, 0.1
"""s that the first batch is waited for, and that sending it takes."""
RESTART = 5.0
"""s before a part that ended by a mistake of ours is started again."""


async def keep_running(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a part to its end. A mistake of ours in it must not take the others down: it is said, and the
    part starts again.
    """
    while True:
        try:
            await run()
        except Exception:
            log.exception(
                "%s stopped by a mistake in the program; it is started again in %g s", name, RESTART
            )
            await asyncio.sleep(RESTART)
        else:
            return


class Assembly:
    """Buses, slots and uplinks of one configuration, connected to the journal that outlives them."""

    def __init__(
        self,
        config: Config,
        drivers: dict[str, Driver],
        journal: Journal,
        clock: Clock,
        *,
        changed: Callable[[], None] = lambda: None,
        power: Callable[[Reading], None] = lambda _: None,
        pins: Pins | None = None,
        carried: dict[str, Any] | None = None,
        learnt: Learnt | None = None,
        energy: EnergyWorker | None = None,
    ) -> None:
        self.config = config
        self._energy = energy
        self.delivered_before: dict[str, int] = {}
        """What the assemblies before it have delivered, by uplink."""
        self.drivers = drivers
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._power = power
        self._learnt = learnt or Learnt()
        self._learnt.keep(config)
        self._told: dict[str, None] = {}
        self._described = ""
        """The epoch in which everything was told."""
        self.newest_uptime: int | None = None
        """CLOCK_BOOTTIME in ms of the newest batch of this run, also of the assemblies before this one."""
        self._first = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.last_values = LastValues(
            [*(meter.id for meter in config.meters if meter.enabled), *(pulse.id for pulse in config.pulses)]
        )
        self._given = self._known_quantities()
        self.workers = {bus.name: self._worker(bus.name) for bus in config.buses}
        self._carried = journal.carried if carried is None else carried
        """What to go on from. While nothing counts here it is handed on as it is: nothing to carry is not
        the same as no past.
        """
        self.swaps = MeterSwaps(self._carried.get(SWAPS))
        self._upgrade = str(self._carried.get(UPGRADE, ""))
        self._epoch = ""
        self.pulses = self._pulse_inputs(pins or Pins(), self._carried.get("pulses"))
        self.description = MeterDescription(config, drivers, self.attributes)
        self.description.resolutions = lambda: {} if energy is None else energy.resolutions
        self.slots = SlotCollector(config.gateway.commit_interval, self.commit, self._due, clock.wall)
        parts = partial(OwnParts.of, self.workers, journal, clock)
        self.own = OwnMeter(config, self.slots.add, parts) if config.own_interval is not None else None
        self.forwarders = [self._forwarder(uplink) for uplink in config.uplinks]
        known = journal.carried.get(LIMITS, {})
        for uplink, forwarder in zip(config.uplinks, self.forwarders, strict=True):
            # Before the first connection the limit of the last one holds: what is too large for a broker is
            # never made.
            forwarder.batch_limit = known.get(uplink.name)

    def _forwarder(self, uplink: Uplink) -> Forwarder:
        forwarder = Forwarder(
            uplink,
            self.config.gateway.id,
            self._journal,
            self._clock,
            self.description.payload,
            self.slots.tell,
            hold=self.config.clock.hold,
            account=uplink.account,
        )
        forwarder.intervals_behind = self._intervals_behind
        return forwarder

    def _intervals_behind(self) -> int | None:
        return None if self._energy is None else self._energy.behind

    def _worker(self, bus: str) -> BusWorker:
        config = next(entry for entry in self.config.buses if entry.name == bus)
        tasks = [
            MeterTask(meter, self.drivers[meter.driver])
            for meter in self.config.meters
            if meter.enabled and meter.bus == bus
        ]
        return BusWorker(config, tasks, self._read, self._tell, learnt=self._learnt)

    def _pulse_inputs(self, pins: Pins, carried: dict[str, Any] | None) -> PulseInputs | None:
        if not self.config.pulses:
            pins.only(())
            return None
        interval = min(PULSE_INTERVAL, self.config.gateway.commit_interval)
        return PulseInputs(
            self.config.pulses,
            self._read,
            carried,
            self._tell,
            pins=pins,
            interval=interval,
            uptime=self._clock.uptime,
        )

    def carry(self) -> dict[str, Any]:
        """What the next batch carries beside its readings, and what a reload goes on from."""
        own = (
            self.pulses.carry()
            if self.pulses
            else {name: self._carried[name] for name in ("pulses",) if name in self._carried}
        )
        carried = {**self._journal.carried, **own}
        limits = {f.name: f.batch_limit for f in self.forwarders if f.batch_limit is not None}
        if limits != carried.get(LIMITS, {}):
            carried[LIMITS] = limits
        if (swaps := self.swaps.carry()) != carried.get(SWAPS, []):
            carried[SWAPS] = swaps
        if self._upgrade:
            carried[UPGRADE] = self._upgrade
        return carried

    def tell_upgrade(self, upgrade: str, kind: str, fields: dict[str, str]) -> bool:
        """Say what came of an upgrade, event and note in one commit; no if that was said before."""
        if upgrade == self._upgrade:
            return False
        self._upgrade = upgrade
        self.slots.tell(Event(kind, self._clock.uptime(), dict(fields)))
        return True

    def attributes(self, meter: str) -> dict[str, str]:
        """What a meter says of itself; empty while it has not been asked."""
        asked = (worker.meters[meter] for worker in self.workers.values() if meter in worker.meters)
        return next((dict(polled.attributes) for polled in asked), {})

    def polled(self, meter: str) -> PolledMeter:
        """A meter on its bus. Raises GatewayError when there is none of that id."""
        for worker in self.workers.values():
            if meter in worker.meters:
                return worker.meters[meter]
        known = ", ".join(sorted(self.last_values.meters)) or "none"
        raise GatewayError(
            f"there is no meter {meter!r} to poll", hint=f"the meters of this gateway are: {known}"
        )

    def _due(self) -> Iterable[float | None]:
        return (
            source.next_due() for source in self._sources()
        )  # the first that is due soon ends the question

    def _sources(self) -> list[BusWorker | PulseInputs | OwnMeter]:
        return [*self.workers.values(), *(each for each in (self.pulses, self.own) if each)]

    def _read(self, reading: Reading) -> None:
        if self.last_values.take(reading):
            self._remember_quantities(reading.meter)
        self._changed()
        if reading.meter in self.swaps:
            return
        self._power(reading)
        self.slots.add(reading)

    def replaced(self, meter: str) -> None:
        """A person says that another meter is in its place: what the former one gave says nothing of it."""
        self._forget_quantities(meter)
        self.polled(meter).replaced()
        self.describe()

    def _known_quantities(self) -> dict[str, tuple[MeterFacts, str]]:
        """By meter: where it is kept what it has given, and the version of its table.

        What was known before a restart is known again.
        """
        buses = {bus.name: bus for bus in self.config.buses}
        homes = {
            meter.id: (
                self._learnt.meter(buses[meter.bus], meter),
                driver_version(self.drivers[meter.driver]),
            )
            for meter in self.config.meters
            if meter.enabled
        }
        for meter, (facts, version) in homes.items():
            if facts.given[:1] == (version,):
                self.last_values.given(meter).update(facts.given[1:])
        return homes

    def _remember_quantities(self, meter: str) -> None:
        if meter in self._given:  # a pulse input has the same ones always
            facts, version = self._given[meter]
            facts.learn("given", (version, *sorted(self.last_values.given(meter))))

    def _forget_quantities(self, meter: str) -> None:
        """Another meter is in its place: what the former one gave says nothing of it."""
        if meter in self._given:
            self.last_values.given(meter).clear()
            self._given[meter][0].forget("given")

    def _tell(self, event: Event) -> None:
        if event.kind in EXCHANGE_EVENTS and str(event.fields.get("meter")) in self.swaps:
            return
        if event.kind == "meter_changed":
            self._forget_quantities(event.fields["meter"])
        self.slots.tell(event)
        self.describe()

    def describe(self, *, everything: bool = False) -> None:
        """Put what is new about the meters into the journal and on P/meters; everything at the start of an
        epoch.
        """
        if everything:
            self._described = self._journal.epoch
            self._told.clear()
        events = self.description.events(self._clock.uptime(), self._told)
        for event in events:
            self.slots.tell(event)
        if events or everything:
            self._told.update(dict.fromkeys(map(text_of, events)))
            for forwarder in self.forwarders:
                forwarder.meters_changed()

    async def commit(self, draft: Draft) -> None:
        """Take a draft to the journal and offer its batches to every uplink. Raises JournalError."""
        for swap in self.swaps.overdue(self._clock.wall()):
            log.warning(
                "meter %s: nobody has ended its exchange: it is read on → submeter swap %s begins anew",
                swap.meter, swap.meter,
            )  # fmt: skip
            self.swaps.end(swap.meter)
            draft.events.append(Event("meter_swap_cancelled", self._clock.uptime(), {"meter": swap.meter}))
        if self._energy is not None:
            self._energy.offer(draft)
        # Taken in the same breath as the draft: it describes exactly what is in this batch and those before.
        draft.packed_limit = min(
            (f.batch_limit for f in self.forwarders if f.batch_limit is not None), default=None
        )
        sealed = await self._journal.commit(draft, self.carry())
        self.deliver(sealed, draft.readings)
        self._changed()
        if (
            self._journal.epoch != self._described
        ):  # also when an uplink left the former one between two commits
            self.describe(everything=True)

    async def first_batch(self) -> None:
        """Wait until its first batch is on disk and on its way, but not for long."""
        if await wait_for_event(self._first, FIRST):
            await asyncio.sleep(SENDING)

    def deliver(self, sealed: list[Sealed], readings: list[Reading] | None = None) -> None:
        """Offer committed batches to every uplink, and to the engine with the readings of which they were
        made, where they are at hand.
        """
        if sealed:
            self.newest_uptime = sealed[-1].uptime
            self._first.set()
        self._doubt(sealed)
        if self._energy is not None:
            self._energy.committed(sealed, readings)
        for forwarder in self.forwarders:
            forwarder.committed(sealed)

    def _doubt(self, sealed: list[Sealed]) -> None:
        """Registers may have fallen back with a damaged or an older file: the first batch of its epoch
        tells.
        """
        for batch in sealed:
            if batch.epoch == self._epoch or self.pulses is None:
                continue
            first, self._epoch = not self._epoch, batch.epoch
            for event in decode(batch.body).events:
                reason = event.fields.get("reason") if event.kind == "epoch_started" else None
                if reason in DOUBTS:
                    # What was counted by this process goes on from its own memory, whatever happened to the
                    # file.
                    self.pulses.began(DOUBTS[reason], doubt=first or reason == "conflict")

    def _say_new_addresses(self) -> None:
        """An uplink whose name was another broker's before: what that one took does not count here."""
        known = self._journal.known_uplinks()
        for uplink in self.config.uplinks:
            before = [account for account in known if account.partition("@")[0] == uplink.name]
            if before and uplink.account not in before:
                log.warning(
                    "uplink %s: %s:%d is another address than before: nothing counts as delivered there, "
                    "and all %d batches of the journal are sent to it → when the same platform has moved, "
                    "write formerly: with its old host:port and reload",
                    uplink.name,
                    uplink.broker.host,
                    uplink.broker.port,
                    self._journal.backlog(uplink.account).batches,
                )

    def delivered(self) -> dict[str, int]:
        """Batches that each uplink has delivered since the start of the daemon."""
        told = [forwarder.stats() for forwarder in self.forwarders]
        return {
            stats.name: stats.delivered_batches + self.delivered_before.get(stats.name, 0) for stats in told
        }

    def start(self) -> None:
        """Start every part; none of them needs the others to be well."""
        self._say_new_addresses()
        self.describe(everything=True)
        self._start("signing key", self._show_key)
        for name, worker in self.workers.items():
            self._start(f"bus {name}", worker.run)
        if self.pulses:
            self._start("pulses", self.pulses.run)
        if self.own:
            self._start("health", self.own.run)
        self._start("slots", self.slots.run)
        for uplink, forwarder in zip(self.config.uplinks, self.forwarders, strict=True):
            self._start(f"uplink {uplink.name}", forwarder.run)

    async def _show_key(self) -> None:
        """Who we are, by our key, which is made at the first start: nobody waits for it."""
        config = self.config
        try:
            self.description.key = await asyncio.to_thread(make_key, Path(config.journal.directory))
        except GatewayError as error:
            log.warning("%s", error)
            return
        for forwarder in self.forwarders:
            forwarder.meters_changed()

    def _start(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(keep_running(name, run), name=name))

    async def stop(self) -> None:
        """Stop polling, commit what the open slot holds, end the uplinks."""
        await asyncio.gather(*(source.stop() for source in self._sources()), return_exceptions=True)
        with contextlib.suppress(GatewayError):
            await self.slots.stop()
        await asyncio.gather(*(forwarder.stop() for forwarder in self.forwarders), return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
