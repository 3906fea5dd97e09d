"""A fleet at work: takes batches in turn, lets uplinks deliver them, takes the network away for a while."""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.common.wait import wait_for_event
from gateway.demo.fleet.ledger import Delays, FleetLedger, GatewayAccount
from gateway.demo.fleet.network import FleetLink, Network
from gateway.demo.fleet.plan import FleetPlan
from gateway.demo.fleet.seeded import BOOTED, SeededReadings, description
from gateway.demo.fleet.seeded_journal import SeededJournal
from gateway.uplink import Forwarder, Timing, broker_of

TICK = 5.0
"""Seconds between an uplink's looks at the time: a second each would be most of the work of a large fleet."""
FEW = 500
"""Gateways up to which it is a second, as in a gateway."""
TURN = 50
"""Batches that are taken in one go when the schedule is behind."""
FLAKY = (5.0, 120.0)
"""Seconds for which a gateway loses its own network."""


class FleetClock:
    """Right, as a gateway's in good order is."""

    synced = True
    boot = "fleet"

    def wall(self) -> int:
        """UTC in ms."""
        return time.time_ns() // 1_000_000

    def uptime(self) -> int:
        """Since the number 0 of a gateway that began now, in ms."""
        return BOOTED + time.monotonic_ns() // 1_000_000

    def moment(self) -> tuple[int, int]:
        """Both."""
        return self.wall(), self.uptime()


@dataclass(frozen=True, slots=True)
class Progress:
    """How it stands `seconds` after the start: gateways `online`, batches `taken` and `settled`, of which
    `open` are not, values settled a second since the last one, and the 95th percentile of the receipts'
    delay since then (None without a receipt). `trouble`: why nobody is online, else empty.
    """

    seconds: float
    online: int
    taken: int
    settled: int
    open: int
    rate: float
    delay: float | None
    trouble: str = ""


class _Gateway:
    def __init__(self, fleet: Fleet, number: int, origin: int) -> None:
        self._plan = plan = fleet.plan
        self.number, self.origin = number, origin
        self._fleet = fleet
        self._taken_at: dict[int, float] = {}
        self.readings = SeededReadings(plan, number, origin)
        self.journal = SeededJournal(self.readings, plan.meters, plan.waiting, self._settled)
        config = plan.uplink(number)
        brokers = [broker_of(plan.uplink(turn), plan.name(number)) for turn in range(len(plan.brokers))]
        self.forwarder = Forwarder(
            config,
            plan.name(number),
            self.journal,
            fleet.clock,
            self._describe,
            lambda _event: None,
            link=FleetLink(fleet.network, plan.name(number), brokers, number),
            timing=Timing(tick=1.0 if plan.gateways <= FEW else TICK),
        )

    def _describe(self) -> bytes:
        about = description(self._plan, self.number)
        return json.dumps(about, separators=(",", ":")).encode()

    def commit(self, now: float) -> None:
        """Commit a batch and hand it to the uplink."""
        sealed = self.journal.commit()
        self._taken_at[sealed.seq] = now
        self.forwarder.committed([sealed])

    def _settled(self, seq: int) -> None:
        self._fleet.receipted(self._taken_at.pop(seq, None))

    def account(self) -> GatewayAccount:
        """What this gateway committed and what was receipted to it, for the ledger."""
        journal = self.journal
        return GatewayAccount(self.number, self.origin, tuple(journal.began), journal.taken, journal.settled)


class Fleet:
    """Runs once. `stop` ends the taking of readings, a second one ends everything."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self.clock = FleetClock()
        self.network = Network()
        self.delays = Delays()
        self.began = 0.0
        self.taken = 0
        self.settled = 0
        self.late = 0.0
        """Seconds by which the schedule was behind at most: this machine was too busy."""
        self._gateways: list[_Gateway] = []
        self._enough = asyncio.Event()
        self._over = asyncio.Event()
        self._told = Progress(0.0, 0, 0, 0, 0, 0.0, None)

    def stop(self) -> None:
        """Take no more readings; called again: wait for no more receipts either."""
        (self._over if self._enough.is_set() else self._enough).set()

    async def run(
        self, tell: Callable[[Progress], None] = lambda _: None, every: float = 10.0
    ) -> FleetLedger:
        """The whole run; `tell` hears how it stands every so many seconds, and at the end."""
        plan = self.plan
        started = self.clock.wall()
        interval = 1000 * plan.interval
        for number in range(plan.gateways):
            origin = started + round(interval * (number / plan.gateways - plan.waiting - 1))
            self._gateways.append(_Gateway(self, number, origin))
        self.taken = plan.gateways * plan.waiting
        self.began = time.monotonic()
        tasks = [asyncio.create_task(one.forwarder.run()) for one in self._gateways]
        outages = [asyncio.create_task(work) for work in (self._cuts(), self._flaky())]
        beside = [*outages, asyncio.create_task(self._tell(tell, every))]
        try:
            await self._take()
            for outage in outages:
                outage.cancel()
            self.network.restore()
            await self._drain()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await asyncio.gather(*(one.forwarder.stop() for one in self._gateways))
            await asyncio.gather(*tasks)
        tell(self.progress())
        accounts = [one.account() for one in self._gateways]
        return FleetLedger(plan, started, self.clock.wall(), self.network.sent, accounts)

    async def _take(self) -> None:
        plan, number = self.plan, 0
        end = math.inf if plan.seconds is None else self.began + plan.seconds
        while not self._enough.is_set():
            now = time.monotonic()
            due = self.began + plan.interval * number / plan.gateways
            if now >= end:
                break
            if due > now or (number and number % TURN == 0):
                await wait_for_event(self._enough, min(due, end) - now)
            if due <= now:
                self.late = max(self.late, now - due)
                self._gateways[number % plan.gateways].commit(now)
                self.taken += 1
                number += 1
        self._enough.set()

    async def _drain(self) -> None:
        end = time.monotonic() + self.plan.drain
        while self.open and time.monotonic() < end and not self._over.is_set():
            await wait_for_event(self._over, 0.1)

    def receipted(self, taken_at: float | None) -> None:
        """A batch is settled; `taken_at`: monotonic, None when it was taken before the start."""
        self.settled += 1
        if taken_at is not None:
            now = time.monotonic()
            self.delays.add(now - self.began, now - taken_at)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.began

    @property
    def open(self) -> int:
        """Batches that no receipt has named."""
        return self.taken - self.settled

    def progress(self) -> Progress:
        """How it stands, and what came since it was asked last."""
        last, now = self._told, self.seconds
        plan = self.plan
        values = (self.settled - last.settled) * plan.meters * plan.values
        rate = values / max(now - last.seconds, 1e-9)
        delay = self.delays.percentile(0.95, since=last.seconds)
        online = len(self.network.open)
        trouble = "" if online or not self._gateways else self._gateways[0].forwarder.stats().last_error
        self._told = Progress(now, online, self.taken, self.settled, self.open, rate, delay, trouble)
        return self._told

    async def _tell(self, tell: Callable[[Progress], None], every: float) -> None:
        while True:
            await asyncio.sleep(every)
            tell(self.progress())

    async def _cuts(self) -> None:
        for cut in sorted(self.plan.cuts, key=lambda cut: cut.at):
            await asyncio.sleep(max(0.0, self.began + cut.at - time.monotonic()))
            self.network.away = True
            self.network.cut()
            await asyncio.sleep(cut.seconds)
            self.network.away = False

    async def _flaky(self) -> None:
        """Gateways lose their own network, each `flaky` times an hour on average."""
        plan, network = self.plan, self.network
        if not plan.flaky:
            return
        chance = random.Random(plan.seed)  # noqa: S311 - a simulation
        mean = 3600.0 / (plan.flaky * plan.gateways)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(chance.expovariate(1.0 / mean))
            gateway = plan.name(chance.randrange(plan.gateways))
            network.lose(gateway)
            loop.call_later(chance.uniform(*FLAKY), network.without.discard, gateway)
