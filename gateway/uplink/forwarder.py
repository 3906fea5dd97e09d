"""Carries committed batches to one platform and lets the journal know what has arrived."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from gateway.common.text import visible
from gateway.common.troubles import Troubles
from gateway.common.wait import until_next, wait_for_event
from gateway.config import Uplink
from gateway.errors import LinkDown, LinkTakenOver, UplinkError, WireError
from gateway.model import ClockLike, Event, Sealed
from gateway.mqtt import Connection, Link, LinkState, Reconnect, open_unless
from gateway.uplink.broker import Timing, broker_of
from gateway.uplink.broker_troubles import CLOSED, BrokerTroubles, about_a_message, with_flying
from gateway.uplink.delivery import Delivery, FollowUp, Settling
from gateway.uplink.dialects import link_of
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.outgoing import TOO_FAST, Flying, Sender, start_delay
from gateway.uplink.patience import Patience, Unheard
from gateway.uplink.retained import RetainedTopics
from gateway.uplink.stats import UplinkStats
from gateway.wire import Receipt, Topics, parse

log = logging.getLogger(__name__)

FAREWELL = 1.0
"""Seconds for the last state to be acknowledged at a clean stop."""

_TIMING = Timing()


class Forwarder:
    """One uplink. Lives on the event loop; `committed` and the link's callbacks never block it."""

    intervals_behind: Callable[[], int | None] = staticmethod(lambda: None)
    """Intervals that stand in no batch yet; who computes them sets it."""
    commands: dict[str, Callable[[bytes], None]]
    """By topic: who hears what the platform asks for; more may be added before `run`."""
    batch_limit: int | None = None
    """Bytes that the compressed body of a new batch may have for this broker; None without a limit."""

    def __init__(  # noqa: PLR0917 - the order is the contract with the daemon
        self,
        config: Uplink,
        gateway: str,
        journal: JournalPort,
        clock: ClockLike,
        describe: Callable[[], bytes],
        emit: Callable[[Event], None],
        *,
        hold: float = 300.0,
        account: str = "",
        link: Link | None = None,
        timing: Timing = _TIMING,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = config.name
        self._config = config
        self._gateway = gateway
        self._clock = clock
        self._emit = emit
        self._timing = timing
        self._chance = chance
        broker = broker_of(config, gateway)
        self._link: Link = link or link_of(config, gateway, clock, describe)
        self._reconnect = Reconnect(broker, chance=chance)
        topics = Topics(gateway)
        self._receipt_topics = {topics.receipt(consumer): consumer for consumer in config.receipts}
        self.commands = {topics.replay: self._replay} if config.replay else {}
        self._troubles = Troubles(log, f"uplink {config.name}: ")
        self._broker = BrokerTroubles(self._troubles)
        self._delivery = Delivery(config.receipts, timing.patience, timing.silence)
        self._patience = Patience(timing, self._delivery, self._troubles, chance)
        account = account or config.name
        self._settling = Settling(account, journal, self._delivery, self._troubles)
        self._sender = Sender(
            config,
            gateway,
            journal,
            clock,
            hold=hold,
            account=account,
            delivery=self._delivery,
            troubles=self._troubles,
            emit=emit,
        )
        self._retained = RetainedTopics(topics, journal, describe)
        self._connection: Connection | None = None
        self._fault: UplinkError | None = None
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()  # nothing runs yet
        self._heard: tuple[str, ...] = ()
        self._tick_at = 0.0
        self._since = (LinkState.IDLE, clock.wall())
        self.heartbeat = time.monotonic()
        """Monotonic time of the last turn of this uplink's own loop."""

    # -- life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until `stop`. Never ends because of a broker, a message or the journal."""
        self._heard = (*self._receipt_topics, *self.commands)
        self._ended.clear()
        watch = asyncio.create_task(self._watch())
        try:
            await self._learn()
            while not self._stopping.is_set():
                self._reconnect.connecting()
                delay = await self._connect_and_serve()
                await wait_for_event(self._stopping, delay)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._reconnect.stopped()
            self._ended.set()

    async def stop(self) -> None:
        """Say good-bye to the broker and end `run`; at most a few seconds."""
        self._stopping.set()
        self._wake.set()
        await self._ended.wait()

    def committed(self, batches: Sequence[Sealed]) -> None:
        """The journal has taken these: they are live."""
        for sealed in batches:
            self._sender.live(sealed)
        self._wake.set()

    def meters_changed(self) -> None:
        """P/meters says something else now."""
        self._retained.meters_changed()
        self._tick_at = 0.0
        self._wake.set()

    async def _learn(self) -> None:
        try:
            await self._sender.learn()
        except Exception as error:  # noqa: BLE001 - then the hold runs from the next batch
            self._settling.trouble(error)

    async def _connect_and_serve(self) -> float:
        """One connection from its attempt to its end; seconds until the next attempt."""
        self._fault = None  # not later: a connection may be lost before it is served
        opening = self._link.open(self, will=self._retained.will, topics=self._heard)
        try:
            connection = await open_unless(self._stopping, opening, self._reconnect.name)
        except UplinkError as error:
            self._broker.ended(None)
            return self._reconnect.failed(error)
        return 0.0 if connection is None else await self._serve(connection)

    async def _serve(self, connection: Connection) -> float:
        self._connection = connection
        self._reconnect.connected(connection.protocol)
        self._broker.connected(connection, self._heard)
        self._settling.count_backlog()
        now = time.monotonic()
        outage = self._reconnect.outage(now, self._clock.wall(), self._settling.oldest_t0)
        self._sender.begin(connection, now + start_delay(outage, self._config.spread, self._chance))
        self.batch_limit = self._sender.batch_limit
        self._retained.forget()
        self._tick_at = 0.0
        flying: Sequence[Flying] = ()
        try:
            while self._fault is None and not self._stopping.is_set():
                self._wake.clear()
                await self._work()
                self._pump()
                await wait_for_event(self._wake, self._sender.nap(until_next(self._timing.tick)))
            if self._fault is None:
                await self._farewell(connection)
        finally:
            self._connection = None
            flying = self._sender.end()
            await connection.close()
        return self._ended_with(self._fault, flying) if self._fault is not None else 0.0

    def _ended_with(self, fault: UplinkError, flying: Sequence[Flying]) -> float:
        """The connection ended, perhaps for what was on its way; seconds until the next attempt."""
        known = about_a_message(fault) and self._sender.ended_by(flying, too_large=fault.cause == "too_large")
        if isinstance(fault, Unheard):
            return self._reconnect.renewed()
        pace = self._sender.pace
        crowd, mended = (None, known) if known or fault.cause != CLOSED else pace.crowded()
        blameless = not known and about_a_message(fault) and self._sender.blameless
        idle = not flying or (blameless and not pace.seen.at_a_message)
        mended |= fault.cause == TOO_FAST and pace.slow_down()
        error = with_flying(crowd or fault, flying)
        wait = self._reconnect.lost(error, idle=idle, mended=mended)
        if isinstance(self._reconnect.error, LinkTakenOver):
            self._sender.pardon()
        self._broker.ended(fault, flying)
        return wait

    async def _farewell(self, connection: Connection) -> None:
        """The retained state says that we went in good order; what was acknowledged meanwhile is settled."""
        goodbye = self._retained.goodbye(self._settling.batches, self.intervals_behind)
        deadline = time.monotonic() + FAREWELL
        said = False
        while self._fault is None and time.monotonic() < deadline and not (said and connection.idle):
            if not said and connection.room > 0:
                connection.publish([goodbye])
                said = True
            await wait_for_event(self._wake, 0.05)
            self._wake.clear()
        try:
            await self._settling.settle()
        except Exception as error:  # noqa: BLE001 - sent again after the restart, at worst
            self._settling.trouble(error)

    # -- the link's callbacks --------------------------------------------------------------------------------

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        now = time.monotonic()
        for tag, code in acks:
            if isinstance(tag, str):
                self._broker.refused_beside(tag, code, self._words)
        self._retained.acknowledged(acks)
        self._sender.acknowledged(acks, now)
        self._carry_out(self._delivery.acknowledged(acks, now))
        self._pump()
        self._wake.set()

    def received(self, topic: str, payload: bytes) -> None:
        now = time.monotonic()
        try:
            if topic in self._receipt_topics:
                self._carry_out(
                    self._delivery.receipt(self._receipt_topics[topic], parse(Receipt, payload), now)
                )
            elif topic in self.commands:
                self.commands[topic](payload)
            else:
                self._ignored(topic, "a message on a topic that was not asked for")
        except WireError as error:
            self._ignored(topic, str(error))
        except Exception as error:
            log.exception("uplink %s: a message on %s could not be handled", self.name, visible(topic))
            self._ignored(topic, f"{type(error).__name__}")
        self._wake.set()

    def say(self, topic: str, payload: bytes) -> None:
        """Beside the batches; without a connection it is lost."""
        self._sender.say(topic, payload)
        self._wake.set()

    def _replay(self, payload: bytes) -> None:
        self._sender.command(payload, time.monotonic())

    def lost(self, error: UplinkError) -> None:
        self._fault = error
        self._wake.set()

    def _carry_out(self, outcome: FollowUp) -> None:
        for sealed in outcome.again:
            self._sender.offer_again(sealed)
        for sealed, code in outcome.unfit:
            self._sender.unfit(sealed, code, self._words, time.monotonic())
        self._broker.refused_batches(outcome.refused, self._words)
        if outcome.accepted and not outcome.refused:
            self._broker.accepted()

    @property
    def _words(self) -> str:
        return self._connection.words if self._connection is not None else ""

    def _ignored(self, topic: str, why: str) -> None:
        self._delivery.ignored()
        self._troubles.note(
            topic, f"a message on {topic[:100]!r} was ignored: {why[:300]}; further ones are only counted"
        )

    # -- one turn --------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        if self._fault is not None:
            return
        try:
            if self._sender.pump():
                self._wake.set()
        except Exception as error:
            log.exception("uplink %s: sending failed in an unforeseen way", self.name)
            self.lost(LinkDown(f"sending failed: {type(error).__name__}: {error}"))

    async def _work(self) -> None:
        """Everything that asks the journal or looks at the time."""
        self.heartbeat = now = time.monotonic()
        try:
            await self._settling.settle()
            if now >= self._tick_at:
                self._tick_at = now + until_next(self._timing.tick)
                self._tick(now)
            await self._settling.resolve_conflicts(self._sender.offer_again, self._gateway)
            await self._sender.refill(now)
            self._settling.answered()
        except Exception as error:  # noqa: BLE001 - said once; the journal heals itself
            self._settling.trouble(error)
            await wait_for_event(self._stopping, self._timing.tick)

    def _tick(self, now: float) -> None:
        self._settling.count_backlog()
        self._reconnect.steady()
        connection = self._connection
        if connection is not None:
            self._broker.subscribed(connection, self._heard)
            owed = self._settling.batches > (self._waiting if self._sender.held else 0)
            if (fault := self._patience.ended(connection, now, owed=owed)) is not None:
                self.lost(fault)
                return
        self._sender.tick(self._waiting, now)
        self._broker.silent(self._delivery.silent(now), self._config.receipts, now, self._clock.wall())
        self.batch_limit = self._sender.batch_limit
        kept = connection is None or connection.limits.retain
        self._retained.renew(self._sender.say, self._waiting, self.intervals_behind, now, kept=kept)

    @property
    def _waiting(self) -> int:
        """Batches that were not sent yet, live and set aside ones left out: 0 tells the platform that a
        hole is a hole.
        """
        out = self._delivery.undelivered + self._sender.live_waiting + self._sender.set_aside
        return max(0, self._settling.batches - out)

    async def _watch(self) -> None:
        """Once a tick, connected or not: figures and the clock."""
        while True:
            try:
                if self._connection is None:
                    self.heartbeat = time.monotonic()
                    self._settling.count_backlog()
                for event in self._sender.anchors():
                    log.info("uplink %s: clock is right; told for epoch %s", self.name, event.fields["epoch"])
                    self._emit(event)
            except Exception:
                log.exception("uplink %s: the watch failed in an unforeseen way", self.name)
            await asyncio.sleep(until_next(self._timing.tick))

    # -- what it tells ---------------------------------------------------------------------------------------

    def stats(self) -> UplinkStats:
        """A snapshot; asks nobody."""
        delivery, reconnect = self._delivery, self._reconnect
        now, error = time.monotonic(), reconnect.error
        if reconnect.state is not self._since[0]:
            self._since = (reconnect.state, self._clock.wall() - int(1000 * (now - reconnect.since)))

        def age(at: float | None) -> float | None:
            return None if at is None else now - at

        return UplinkStats(
            **asdict(delivery.counters),
            **asdict(self._sender.kept_back),
            name=self.name,
            broker=str(self._config.broker),
            state=reconnect.state.value,
            since=self._since[1],
            protocol=reconnect.protocol,
            backlog_batches=self._settling.batches,
            backlog_readings=self._settling.readings,
            oldest_t0=self._settling.oldest_t0,
            waiting_batches=self._waiting,
            unconfirmed=delivery.undelivered,
            conflicts=len(delivery.conflicts),
            last_receipt_age=age(delivery.receipt_at),
            last_delivery_age=age(delivery.delivered_at),
            last_error=str(error or "") or self._troubles.latest,
            receipts=delivery.confirmed,
            refused_topics=tuple(self._broker.topics),
            cause=error.cause if error else self._broker.why,
            hangs_up=self._broker.hangs_up,
            in_vain=self._patience.in_vain,
            skipped=self._link.skipped,
            consumers=len(delivery.consumers),
            silent={name: age(at) for name, at in delivery.silent(now).items()},
        )
