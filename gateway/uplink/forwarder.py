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
from gateway.config.schema import Uplink
from gateway.errors import LinkDown, UplinkError, WireError
from gateway.model import Event, Sealed
from gateway.uplink.books import Books
from gateway.uplink.complaints import Complaints
from gateway.uplink.delivery import Delivery, Outcome
from gateway.uplink.hold import ClockView, Hold
from gateway.uplink.link import FIRST_FAILURE, NO_SUBSCRIBERS, Connection, Link, Outgoing
from gateway.uplink.outbox import Outbox
from gateway.uplink.pace import start_delay
from gateway.uplink.paho_link import PahoLink
from gateway.uplink.reconnect import LinkState, Reconnect
from gateway.uplink.report import EVERY, Report
from gateway.uplink.sender import Sender
from gateway.uplink.stats import UplinkStats
from gateway.wire import Receipt, State, Topics, parse

log = logging.getLogger(__name__)

ACCESS_LIST = "allow it in the broker's access list, see config/mosquitto-acl.example"
FAREWELL = 1.0
"""Seconds for the last state to be acknowledged at a clean stop."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Shorter in tests."""

    patience: float = 30.0
    """Without progress: PUBACKs (then the connection is ended) and receipts (then one batch goes as a probe)."""
    tick: float = 1.0
    stuck: float = 60.0
    """Without a sign of life of the link's thread."""


_TIMING = Timing()


class Forwarder:
    """One uplink. Lives on the event loop; `committed` and the link's callbacks never block it."""

    def __init__(  # noqa: PLR0917 - the order is the contract with the daemon
        self,
        config: Uplink,
        gateway: str,
        outbox: Outbox,
        clock: ClockView,
        describe: Callable[[], bytes],
        emit: Callable[[Event], None],
        *,
        hold: float = 300.0,
        link: Link | None = None,
        timing: Timing = _TIMING,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._clock = clock
        self._describe = describe
        self._emit = emit
        self._timing = timing
        self._chance = chance
        self._link: Link = link or PahoLink(config, gateway, clock=clock)
        self._topics = Topics(gateway)
        self._receipt_topics = {self._topics.receipt(consumer): consumer for consumer in config.receipts}
        self._complaints = Complaints(config.name)
        self._hold = Hold(clock, hold)
        self._delivery = Delivery(config.receipts, timing.patience)
        self._books = Books(config.name, outbox, self._delivery, self._complaints)
        self._sender = Sender(config, gateway, outbox, delivery=self._delivery, hold=self._hold, complaints=self._complaints, emit=emit)
        self._report = Report()
        self._reconnect = Reconnect(config.name, f"{config.host}:{config.port}", chance=chance)
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
        self._since = (LinkState.IDLE, clock.wall())
        self.heartbeat = time.monotonic()
        """Monotonic time of the last turn of this uplink's own loop."""

    # -- life ---------------------------------------------------------------------------------------------------------

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
        for topic in (*self._receipt_topics, self._topics.replay):
            if topic in connection.refused_topics:
                self._complaints.raised(topic, f"the broker refuses the subscription to {topic}", ACCESS_LIST)
            else:
                self._complaints.ended(topic)
        self._books.look()
        now = time.monotonic()
        self._sender.begin(connection, now + start_delay(self._outage(now), self._config.spread, self._chance))
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
            self._sender.end()
            await connection.close()
        return self._reconnect.lost(self._fault) if self._fault is not None else 0.0

    async def _farewell(self, connection: Connection) -> None:
        """The retained state says that we went in good order; what was acknowledged meanwhile is settled."""
        epoch, seq = self._outbox.newest
        state = State(online=False, epoch=epoch or None, seq=seq, backlog=self._books.batches, version=__version__)
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

    def _outage(self, now: float) -> float:
        if self._reconnect.lost_at is not None:
            return now - self._reconnect.lost_at
        oldest = self._books.oldest_t0  # the first connection since the start: an old backlog tells of an outage before it
        return (self._clock.wall() - oldest) / 1000 if oldest is not None else 0.0

    # -- the link's callbacks -----------------------------------------------------------------------------------------

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """See Listener."""
        for tag, code in acks:
            if isinstance(tag, str) and code >= FIRST_FAILURE:
                self._complaints.raised(tag, f"the broker refuses {tag} (reason code 0x{code:02x})", ACCESS_LIST)
            elif isinstance(tag, str):
                self._complaints.ended(tag)
        self._carry_out(self._delivery.acknowledged(acks, time.monotonic()))
        self._pump()
        self._wake.set()

    def received(self, topic: str, payload: bytes) -> None:
        """See Listener."""
        now = time.monotonic()
        try:
            if topic in self._receipt_topics:
                self._carry_out(self._delivery.receipt(self._receipt_topics[topic], parse(Receipt, payload), now))
            elif topic == self._topics.replay and self._config.replay:
                reply = self._sender.replays.command(payload, now)
                if reply is not None:
                    self._say(self._topics.reply, reply.to_bytes())
            else:
                self._ignored(topic, "a message on a topic that was not asked for")
        except WireError as error:
            self._ignored(topic, str(error))
        except Exception as error:
            log.exception("uplink %s: a message on %s could not be handled", self._config.name, visible(topic))
            self._ignored(topic, f"{type(error).__name__}")
        self._wake.set()

    def lost(self, error: UplinkError) -> None:
        """See Listener."""
        self._fault = error
        self._wake.set()

    def _carry_out(self, outcome: Outcome) -> None:
        self._sender.sources.again.extend(outcome.again)
        for code in set(outcome.refused):
            if code == NO_SUBSCRIBERS:
                what = "nobody subscribes to P/data at the broker, so nothing counts as delivered"
                self._complaints.raised("batches", what, "start the platform, or allow it to read P/data in the broker's access list")
            else:
                self._complaints.raised("batches", f"the broker refuses batches (reason code 0x{code:02x})", ACCESS_LIST)
        if outcome.accepted and not outcome.refused:
            self._complaints.ended("batches")

    def _ignored(self, topic: str, why: str) -> None:
        self._delivery.counters.ignored += 1
        self._complaints.noted(topic, f"a message on {topic[:100]!r} was ignored: {why[:300]}; further ones are only counted")

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

    # -- between two wake-ups -----------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Everything that asks the journal or looks at the time."""
        self.heartbeat = now = time.monotonic()
        try:
            await self._books.settle()
            if now >= self._tick_at:
                self._tick_at = now + self._timing.tick
                await self._tick(now)
            await self._books.resolve_conflicts(self._sender.sources)
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
        self._sender.sources.look_again(0 if self._sender.held else self._waiting, now)
        self._sender.probe(now)
        if now >= self._meters_at:
            self._meters_at = now + EVERY
            meters = self._describe()
            if meters != self._meters:
                self._meters = meters
                self._say(self._topics.meters, meters, retain=True)
        epoch, seq = self._outbox.newest
        waiting = self._waiting
        if self._report.due(epoch, seq, waiting, now):
            state = State(online=True, epoch=epoch or None, seq=seq, backlog=waiting, version=__version__)
            self._say(self._topics.state, state.to_bytes(), retain=True)
            self._report.said(epoch, seq, waiting, now)

    @property
    def _waiting(self) -> int:
        """Batches that were not sent yet, live ones aside: 0 tells the platform that a hole is a hole."""
        return max(0, self._books.batches - self._delivery.window.undelivered - self._sender.sources.live)

    async def _watch(self) -> None:
        """Once a tick, connected or not: figures and the clock."""
        while True:
            try:
                if self._connection is None:
                    self.heartbeat = time.monotonic()
                    self._books.look()
                for event in self._hold.anchors():
                    log.info(
                        "uplink %s: the clock is right now; the platform is told for epoch %s", self._config.name, event.fields["epoch"]
                    )
                    self._emit(event)
            except Exception:
                log.exception("uplink %s: the watch failed in an unforeseen way", self._config.name)
            await asyncio.sleep(self._timing.tick)

    # -- what it tells ------------------------------------------------------------------------------------------------

    def stats(self) -> UplinkStats:
        """A snapshot; asks nobody."""
        now = time.monotonic()
        delivery, counters, state = self._delivery, self._delivery.counters, self._reconnect.state
        if state is not self._since[0]:
            self._since = (state, self._clock.wall() - int(1000 * (now - self._reconnect.since)))

        def age(at: float | None) -> float | None:
            return None if at is None else now - at

        return UplinkStats(
            name=self._config.name, broker=f"{self._config.host}:{self._config.port}", state=state.value, since=self._since[1],
            protocol=self._protocol, backlog_batches=self._books.batches, backlog_readings=self._books.readings,
            oldest_t0=self._books.oldest_t0, waiting_batches=self._waiting, unconfirmed=delivery.window.undelivered,
            held=len(self._sender.held), sent_batches=counters.sent, resent_batches=counters.resent, delivered_batches=counters.delivered,
            delivered_readings=counters.delivered_readings, replayed_batches=counters.replayed, conflicts=len(delivery.conflicts),
            refused=counters.refused, ignored_messages=counters.ignored, last_receipt_age=age(delivery.receipt_at),
            last_delivery_age=age(delivery.delivered_at), last_error=str(self._reconnect.error or "") or self._complaints.latest,
            receipts=delivery.confirmed,
        )  # fmt: skip
