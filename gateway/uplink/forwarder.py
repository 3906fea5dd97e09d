"""Carries committed batches to one platform and lets the journal know what has arrived."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway import __version__
from gateway.common.text import visible
from gateway.config import Uplink
from gateway.errors import LinkDown, UplinkError, WireError
from gateway.model import Event, Sealed
from gateway.mqtt import TOO_LARGE, Broker, BrokerLink, Connection, Link, LinkState, Outgoing, Reconnect
from gateway.uplink.complaints import Complaints
from gateway.uplink.delivery.delivery import Delivery, Outcome
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.outgoing.clock_hold import ClockHold, ClockView
from gateway.uplink.outgoing.objections import Flying
from gateway.uplink.outgoing.rate import start_delay
from gateway.uplink.outgoing.sender import Sender
from gateway.uplink.refusals import Refusals, about_a_message, with_flying
from gateway.uplink.settling import Settling
from gateway.uplink.state_topic import EVERY, UNKEPT, StateTopic
from gateway.uplink.stats import UplinkStats
from gateway.wire import Receipt, State, Topics, parse

log = logging.getLogger(__name__)

FAREWELL = 1.0
"""Seconds for the last state to be acknowledged at a clean stop."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Shorter in tests."""

    patience: float = 30.0
    """Without progress: PUBACKs (then the connection is ended) and receipts (then one batch goes as a
    probe).
    """
    tick: float = 1.0
    stuck: float = 60.0
    """Without a sign of life of the link's thread."""


_TIMING = Timing()


def broker_of(config: Uplink, gateway: str) -> Broker:
    """The broker of an uplink, and who a gateway is there."""
    return Broker(
        f"uplink {config.name}",
        config.broker,
        f"{gateway}-{config.name}",
        username=config.username,
        password_file=config.password_file,
        ca=config.ca,
        cert=config.cert,
        key=config.key,
        protocol=config.protocol,
        keepalive=config.keepalive,
    )


class Forwarder:
    """One uplink. Lives on the event loop; `committed` and the link's callbacks never block it."""

    def __init__(  # noqa: PLR0917 - the order is the contract with the daemon
        self,
        config: Uplink,
        gateway: str,
        outbox: JournalPort,
        clock: ClockView,
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
        self._gateway = gateway
        self._config = config
        self._outbox = outbox
        self._clock = clock
        self._describe = describe
        self._emit = emit
        self._timing = timing
        self._chance = chance
        broker = broker_of(config, gateway)
        self._link: Link = link or BrokerLink(broker, synced=lambda: clock.synced)
        self._topics = Topics(gateway)
        self._receipt_topics = {self._topics.receipt(consumer): consumer for consumer in config.receipts}
        self._complaints = Complaints(config.name)
        self._troubles = Refusals(self._complaints)
        self._hold = ClockHold(clock, hold)
        self._delivery = Delivery(config.receipts, timing.patience)
        account = account or config.name
        self._books = Settling(account, outbox, self._delivery, self._complaints)
        self._sender = Sender(
            config,
            gateway,
            outbox,
            account=account,
            delivery=self._delivery,
            hold=self._hold,
            complaints=self._complaints,
            emit=emit,
        )
        self._report = StateTopic()
        self._reconnect = Reconnect(broker, chance=chance)
        self._connection: Connection | None = None
        self._protocol = ""
        self._fault: UplinkError | None = None
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._started = False
        self._tick_at = 0.0
        self._meters = b""
        self._meters_at = 0.0
        self._meters_said = 0.0
        self.batch_limit: int | None = None
        """Bytes that the compressed body of a new batch may have, by what is known of the broker; None
        without a limit.
        """
        self._since = (LinkState.IDLE, clock.wall())
        self.heartbeat = time.monotonic()
        """Monotonic time of the last turn of this uplink's own loop."""

    # -- life
    # ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until `stop`. Never ends because of a broker, a message or the journal."""
        self._started = True
        self._ended.clear()
        watch = asyncio.create_task(self._watch())
        try:
            await self._books.learn(self._hold)
            while not self._stopping.is_set():
                self._reconnect.connecting()
                delay = await self._connect_and_serve()
                await self._until(self._stopping, delay)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._reconnect.stopped()
            self._ended.set()

    async def stop(self) -> None:
        """Say good-bye to the broker and end `run`; at most a few seconds."""
        self._stopping.set()
        self._wake.set()
        if self._started:
            await self._ended.wait()

    def committed(self, batches: Sequence[Sealed]) -> None:
        """The journal has taken these: they are live."""
        for sealed in batches:
            self._hold.met(sealed)
            self._sender.live(sealed)
        self._wake.set()

    def meters_changed(self) -> None:
        """P/meters says something else now."""
        self._meters_at = self._tick_at = 0.0
        self._wake.set()

    @staticmethod
    async def _until(event: asyncio.Event, seconds: float) -> None:
        if not event.is_set():
            waiting = asyncio.ensure_future(event.wait())
            await asyncio.wait({waiting}, timeout=seconds)
            waiting.cancel()

    async def _connect_and_serve(self) -> float:
        """One connection from its attempt to its end; seconds until the next attempt."""
        will = Outgoing(self._topics.state, State(online=False).to_bytes(), retain=True)
        topics = [*self._receipt_topics, *([self._topics.replay] if self._config.replay else [])]
        opening = asyncio.ensure_future(self._link.open(self, will=will, topics=topics))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return 0.0
            connection = opening.result()
        except UplinkError as error:
            return self._reconnect.failed(error)
        except Exception as error:
            log.exception("uplink %s: the link failed in an unforeseen way", self._config.name)
            return self._reconnect.failed(LinkDown(f"the link failed: {type(error).__name__}: {error}"))
        finally:
            stopping.cancel()
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        return await self._serve(connection)

    async def _serve(self, connection: Connection) -> float:
        self._fault = None
        self._connection = connection
        self._protocol = connection.protocol
        self._reconnect.connected(connection.protocol)
        self._troubles.connected(connection, (*self._receipt_topics, self._topics.replay))
        self._books.look()
        now = time.monotonic()
        outage = self._reconnect.outage(now, self._clock.wall(), self._books.oldest_t0)
        self._sender.begin(connection, now + start_delay(outage, self._config.spread, self._chance))
        self.batch_limit = self._sender.batch_limit
        self._report.forget()
        self._meters = b""
        self._meters_at = self._tick_at = 0.0
        try:
            while self._fault is None and not self._stopping.is_set():
                self._wake.clear()
                await self._work()
                self._pump()
                await self._until(self._wake, self._sender.nap(self._timing.tick))
            if self._fault is None:
                await self._farewell(connection)
        finally:
            self._connection = None
            flying = self._sender.flying
            self._sender.end()
            await connection.close()
        return self._ended_with(self._fault, flying) if self._fault is not None else 0.0

    def _ended_with(self, fault: UplinkError, flying: Sequence[Flying]) -> float:
        """The connection ended: what was on its way, and whether that is why; seconds until the next
        attempt.
        """
        flying = self._sender.suspects.at_the_end(flying, time.monotonic())
        known = about_a_message(fault) and self._sender.convict(
            flying, time.monotonic(), too_large=fault.cause == "too_large"
        )
        return self._reconnect.lost(with_flying(fault, flying), idle=not flying, mended=known)

    async def _farewell(self, connection: Connection) -> None:
        """The retained state says that we went in good order; what was acknowledged meanwhile is settled."""
        epoch, seq = self._outbox.newest
        state = State(
            online=False, epoch=epoch or None, seq=seq, backlog=self._books.batches, version=__version__
        )
        goodbye = Outgoing(self._topics.state, state.to_bytes(), retain=True, tag="goodbye")
        deadline = time.monotonic() + FAREWELL
        said = False
        while self._fault is None and time.monotonic() < deadline and not (said and connection.idle):
            if not said and connection.room > 0:
                connection.publish([goodbye])
                said = True
            await self._until(self._wake, 0.05)
            self._wake.clear()
        try:
            await self._books.settle()
        except Exception as error:  # noqa: BLE001 - sent again after the restart, at worst
            self._books.trouble(error)

    # -- the link's callbacks
    # -----------------------------------------------------------------------------------------

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        words = self._connection.words if self._connection is not None else ""
        for tag, code in acks:
            if isinstance(tag, str):
                self._troubles.refused_beside(tag, code, words)
        if (self._topics.meters, TOO_LARGE) in acks:
            self._meters, self._meters_at = b"", 0.0  # it is said again, compressed
        self._sender.acknowledged(acks, time.monotonic())
        self._carry_out(self._delivery.acknowledged(acks, time.monotonic()))
        self._pump()
        self._wake.set()

    def received(self, topic: str, payload: bytes) -> None:
        now = time.monotonic()
        try:
            if topic in self._receipt_topics:
                self._carry_out(
                    self._delivery.receipt(self._receipt_topics[topic], parse(Receipt, payload), now)
                )
            elif topic == self._topics.replay and self._config.replay:
                reply = self._sender.replays.command(payload, now)
                if reply is not None:
                    self._say(self._topics.reply, reply.to_bytes())
            else:
                self._ignored(topic, "a message on a topic that was not asked for")
        except WireError as error:
            self._ignored(topic, str(error))
        except Exception as error:
            log.exception(
                "uplink %s: a message on %s could not be handled", self._config.name, visible(topic)
            )
            self._ignored(topic, f"{type(error).__name__}")
        self._wake.set()

    def lost(self, error: UplinkError) -> None:
        self._fault = error
        self._wake.set()

    def _carry_out(self, outcome: Outcome) -> None:
        self._sender.sources.again.extend(outcome.again)
        words = self._connection.words if self._connection is not None else ""
        for sealed, code in outcome.unfit:
            self._sender.unfit(sealed, code, words, time.monotonic())
        self._troubles.refused_batches(outcome.refused, words)
        if outcome.accepted and not outcome.refused:
            self._troubles.accepted()

    def _ignored(self, topic: str, why: str) -> None:
        self._delivery.counters.ignored += 1
        self._complaints.noted(
            topic, f"a message on {topic[:100]!r} was ignored: {why[:300]}; further ones are only counted"
        )

    def _say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._sender.say(Outgoing(topic, payload, retain=retain, tag=topic))

    def _pump(self) -> None:
        if self._fault is not None:
            return
        try:
            if self._sender.pump():
                self._wake.set()
        except Exception as error:
            log.exception("uplink %s: sending failed in an unforeseen way", self._config.name)
            self.lost(LinkDown(f"sending failed: {type(error).__name__}: {error}"))

    async def _work(self) -> None:
        """Everything that asks the journal or looks at the time."""
        self.heartbeat = now = time.monotonic()
        try:
            await self._books.settle()
            if now >= self._tick_at:
                self._tick_at = now + self._timing.tick
                await self._tick(now)
            await self._books.resolve_conflicts(self._sender.sources, self._gateway)
            await self._sender.sources.refill(now)
            reply = await self._sender.replays.work()
            if reply is not None:
                self._say(self._topics.reply, reply.to_bytes())
            self._books.answered()
        except Exception as error:  # noqa: BLE001 - said once; the journal heals itself
            self._books.trouble(error)
            await self._until(self._stopping, self._timing.tick)

    async def _tick(self, now: float) -> None:
        self._books.look()
        self._reconnect.steady()
        if self._connection is not None and now - self._connection.beat > self._timing.stuck:
            self.lost(LinkDown("the thread that serves the connection is stuck"))
        if self._delivery.silent(now):
            self.lost(LinkDown(f"the broker has acknowledged nothing for {self._timing.patience:g} s"))
            return
        self._sender.release()
        self._sender.look(now)
        if self._delivery.look(now) and not (self._sender.sources.waiting or self._sender.sources.low):
            self._sender.sources.rewind()
        self._sender.sources.look_again(0 if self._sender.held else self._waiting, now)
        self._sender.probe(now)
        self._sender.complain()
        self._troubles.silent(
            self._delivery.consumers.silent(now), self._config.receipts, now, self._clock.wall()
        )
        self.batch_limit = self._sender.batch_limit
        self._describe_meters(now)
        epoch, seq = self._outbox.newest
        waiting = self._waiting
        if self._report.due(epoch, seq, waiting, now, kept=self._retains):
            state = State(online=True, epoch=epoch or None, seq=seq, backlog=waiting, version=__version__)
            self._say(self._topics.state, state.to_bytes(), retain=True)
            self._report.said(epoch, seq, waiting, now)

    @property
    def _retains(self) -> bool:
        return self._connection is None or self._connection.limits.retain

    def _describe_meters(self, now: float) -> None:
        """P/meters when it says something new; now and then where the broker does not keep it."""
        again = not self._retains and now - self._meters_said >= UNKEPT
        if now < self._meters_at and not again:
            return
        self._meters_at = now + EVERY
        meters = self._describe()
        if meters != self._meters or again:
            self._meters, self._meters_said = meters, now
            self._sender.say(
                Outgoing(self._topics.meters, meters, retain=True, tag=self._topics.meters, packable=True)
            )

    @property
    def _waiting(self) -> int:
        """Batches that were not sent yet, live and set aside ones left out: 0 tells the platform that a
        hole is a hole.
        """
        return max(
            0,
            self._books.batches
            - self._delivery.undelivered
            - self._sender.sources.live
            - len(self._delivery.aside),
        )

    async def _watch(self) -> None:
        """Once a tick, connected or not: figures and the clock."""
        while True:
            try:
                if self._connection is None:
                    self.heartbeat = time.monotonic()
                    self._books.look()
                for event in self._hold.anchors():
                    log.info(
                        "uplink %s: the clock is right now; the platform is told for epoch %s",
                        self._config.name,
                        event.fields["epoch"],
                    )
                    self._emit(event)
            except Exception:
                log.exception("uplink %s: the watch failed in an unforeseen way", self._config.name)
            await asyncio.sleep(self._timing.tick)

    # -- what it tells
    # ------------------------------------------------------------------------------------------------

    def stats(self) -> UplinkStats:
        """A snapshot; asks nobody."""
        now = time.monotonic()
        delivery, counters, state = self._delivery, self._delivery.counters, self._reconnect.state
        silent = delivery.consumers.silent(now)
        if state is not self._since[0]:
            self._since = (state, self._clock.wall() - int(1000 * (now - self._reconnect.since)))

        def age(at: float | None) -> float | None:
            return None if at is None else now - at

        return UplinkStats(
            name=self._config.name,
            broker=str(self._config.broker),
            state=state.value,
            since=self._since[1],
            protocol=self._protocol,
            backlog_batches=self._books.batches,
            backlog_readings=self._books.readings,
            oldest_t0=self._books.oldest_t0,
            waiting_batches=self._waiting,
            unconfirmed=delivery.undelivered,
            held=len(self._sender.held),
            sent_batches=counters.sent,
            resent_batches=counters.resent,
            delivered_batches=counters.delivered,
            delivered_readings=counters.delivered_readings,
            replayed_batches=counters.replayed,
            conflicts=len(delivery.conflicts),
            refused=counters.refused,
            ignored_messages=counters.ignored,
            last_receipt_age=age(delivery.receipt_at),
            last_delivery_age=age(delivery.delivered_at),
            last_error=str(self._reconnect.error or "") or self._complaints.latest,
            receipts=delivery.confirmed,
            refused_topics=tuple(self._troubles.topics),
            cause=self._reconnect.error.cause if self._reconnect.error else self._troubles.refusal,
            set_aside=len(delivery.aside),
            consumers=len(delivery.ledger.consumers),
            silent={n: age(at) for n, at in silent.items()},
        )
