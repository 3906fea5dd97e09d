"""Carries committed batches to one platform, live ones first, and lets the journal know what has arrived."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway import __version__
from gateway.config.schema import Uplink
from gateway.errors import GatewayError, LinkDown, UplinkError, WireError
from gateway.model import Event, Sealed
from gateway.uplink.delivery import Delivery, Outcome
from gateway.uplink.dress import dress
from gateway.uplink.hold import ClockView, Hold
from gateway.uplink.link import NO_SUBSCRIBERS, Connection, Link, Outgoing
from gateway.uplink.outbox import Outbox
from gateway.uplink.pace import LONG_OUTAGE, TokenBucket, live_offset, start_delay
from gateway.uplink.paho_link import PahoLink
from gateway.uplink.reconnect import LinkState, Reconnect
from gateway.uplink.replay import Replays
from gateway.uplink.report import EVERY, Report
from gateway.uplink.sources import Sources
from gateway.uplink.stats import UplinkStats
from gateway.uplink.window import key_of
from gateway.wire import Receipt, Reply, State, Topics, parse

log = logging.getLogger(__name__)

RESERVE = 2
"""Places among the messages without PUBACK that batches leave to state, meters and replies."""
MAX_CONTROL = 50
"""Replies that wait for room; older ones give way."""
FAREWELL = 1.0
"""Seconds for the last state to be acknowledged at a clean stop."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Shorter in tests."""

    patience: float = 30.0
    """Without progress: PUBACKs (then the connection is ended) and receipts (then one batch goes as a probe)."""
    tick: float = 1.0
    thread: float = 60.0
    """Without a sign of life of the link's thread."""


class Forwarder:
    """One uplink. Lives on the event loop; `committed` and the link's callbacks never block it."""

    def __init__(
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
        timing: Timing = Timing(),  # noqa: B008 - frozen
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._gateway = gateway
        self._outbox = outbox
        self._clock = clock
        self._describe = describe
        self._emit = emit
        self._link: Link = link or PahoLink(config, gateway, clock=clock)
        self._timing = timing
        self._chance = chance
        now = time.monotonic()
        self._topics = Topics(gateway)
        self._receipt_topics = {self._topics.receipt(consumer): consumer for consumer in config.receipts}
        self._hold = Hold(clock, hold)
        self._delivery = Delivery(config.receipts, timing.patience)
        self._sources = Sources(config.name, outbox, self._skip)
        self._replays = Replays(outbox, now)
        self._report = Report()
        self._reconnect = Reconnect(config.name, f"{config.host}:{config.port}", chance=chance)
        self._bucket = TokenBucket(config.backlog_rate, now)
        self._offset = live_offset(gateway, config.spread)
        self._control: deque[Outgoing] = deque()
        self._connection: Connection | None = None
        self._protocol = ""
        self._fault: UplinkError | None = None
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._backlog_at = 0.0
        self._tick_at = 0.0
        self._meters = b""
        self._meters_at = 0.0
        self._backlog: tuple[int, int, int | None] = (0, 0, None)
        self._held: set[tuple[str, int]] = set()
        self._unsendable: set[tuple[str, int]] = set()
        self._complained: set[str] = set()
        self._trouble = ""
        self._since = clock.wall()
        self._was = LinkState.IDLE
        self.heartbeat = now
        """Monotonic time of the last turn of the forwarder's own loop."""

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until `stop`. Never ends because of a broker, a message or the journal."""
        watch = asyncio.create_task(self._watch())
        try:
            await self._learn_boot()
            while not self._stopping.is_set():
                self._reconnect.connecting()
                delay = await self._connect_and_serve()
                await self._sleep(delay)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._reconnect.stopped()
            self._ended.set()

    async def stop(self) -> None:
        """Say good-bye to the broker and end; at most a few seconds."""
        self._stopping.set()
        self._wake.set()
        await self._ended.wait()

    def committed(self, batches: Sequence[Sealed]) -> None:
        """The journal has taken these: they are live."""
        for sealed in batches:
            self._hold.met(sealed)
        if self._connection is not None:
            due = time.monotonic() + self._offset
            for sealed in batches:
                self._sources.committed(sealed, due)
            self._wake.set()

    def meters_changed(self) -> None:
        """P/meters says something else now."""
        self._meters_at = 0.0
        self._wake.set()

    async def _connect_and_serve(self) -> float:
        will = Outgoing(self._topics.state, State(online=False).to_bytes(), retain=True)
        topics = [*self._receipt_topics, *([self._topics.replay] if self._config.replay else [])]
        opening = asyncio.ensure_future(self._link.open(self, will=will, topics=topics))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not opening.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            return 0.0
        try:
            connection = opening.result()
        except UplinkError as error:
            return self._reconnect.failed(error)
        except Exception as error:
            log.exception("uplink %s: the link failed in an unforeseen way", self._config.name)
            return self._reconnect.failed(LinkDown(f"the link failed: {type(error).__name__}: {error}"))
        return await self._serve(connection)

    async def _serve(self, connection: Connection) -> float:
        now = time.monotonic()
        self._protocol = connection.protocol
        self._reconnect.connected(connection.protocol)
        for topic in connection.refused_topics:
            self._complain(
                f"the broker refuses the subscription to {topic}", "allow it in the broker's access list, see config/mosquitto-acl.example"
            )
        await self._look()
        self._fault = None
        self._connection = connection
        self._sources.begin()
        self._sources.again.extend(self._delivery.conflicts)
        self._delivery.connected(now)
        self._report.forget()
        self._meters = b""
        self._meters_at = self._tick_at = 0.0
        self._backlog_at = now + start_delay(self._outage(now), self._config.spread, self._chance)
        try:
            while self._fault is None and not self._stopping.is_set():
                self._wake.clear()
                await self._work()
                self._pump()
                if not self._wake.is_set():
                    await self._sleep(self._nap())
            if self._fault is None:
                await self._farewell(connection)
        finally:
            self._connection = None
            self._delivery.disconnected()
            self._control.clear()
            self._replays.clear()
            await connection.close()
        return self._reconnect.lost(self._fault) if self._fault is not None else 0.0

    async def _farewell(self, connection: Connection) -> None:
        await self._settle()
        epoch, seq = self._outbox.newest
        state = State(online=False, epoch=epoch, seq=seq, backlog=self._backlog[0], version=__version__)
        deadline = time.monotonic() + FAREWELL
        while connection.room <= 0 and self._fault is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if connection.room > 0:
            room = connection.room
            connection.publish([Outgoing(self._topics.state, state.to_bytes(), retain=True)])
            while connection.room < room and self._fault is None and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
        await self._settle()

    def _outage(self, now: float) -> float:
        if self._reconnect.lost_at is not None:
            return now - self._reconnect.lost_at
        oldest = self._backlog[2]  # the first connection since the start: an old backlog tells of an outage before it
        return (self._clock.wall() - oldest) / 1000 if oldest is not None else 0.0

    async def _sleep(self, seconds: float) -> None:
        """Until woken, at most `seconds`."""
        wait = asyncio.ensure_future(self._wake.wait() if self._connection is not None else self._stopping.wait())
        await asyncio.wait({wait}, timeout=seconds)
        wait.cancel()

    # -- the link's callbacks -----------------------------------------------------------------------------------------

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """See Listener."""
        self._carry_out(self._delivery.acknowledged(acks, time.monotonic()))
        self._pump()

    def received(self, topic: str, payload: bytes) -> None:
        """See Listener."""
        now = time.monotonic()
        try:
            if topic in self._receipt_topics:
                self._carry_out(self._delivery.receipt(self._receipt_topics[topic], parse(Receipt, payload), now))
                self._wake.set()
            elif topic == self._topics.replay and self._config.replay:
                reply = self._replays.command(payload, now)
                if reply is not None:
                    self._answer(reply)
                self._wake.set()
            else:
                self._ignore(f"a message on a topic that was not asked for: {topic[:100]!r}")
        except WireError as error:
            self._ignore(f"{topic}: {error}")
        except Exception as error:  # whatever a stranger sends must not end the uplink
            log.exception("uplink %s: a message on %s could not be handled", self._config.name, topic)
            self._ignore(f"{type(error).__name__} in a message on {topic}")

    def lost(self, error: UplinkError) -> None:
        """See Listener."""
        self._fault = error
        self._wake.set()

    def _carry_out(self, outcome: Outcome) -> None:
        self._sources.again.extend(outcome.again)
        for code in set(outcome.refused):
            if code == NO_SUBSCRIBERS:
                self._complain(
                    "nobody subscribes to P/data at the broker: batches stay in the journal", "start the platform, or check its access list"
                )
            else:
                self._complain(
                    f"the broker refuses batches (reason code 0x{code:02x})",
                    "allow the gateway to write P/data in the broker's access list",
                )
        if outcome.refused:
            return
        self._trouble = ""

    def _ignore(self, what: str) -> None:
        self._delivery.counters.ignored += 1
        log.log(logging.DEBUG if "ignored" in self._complained else logging.WARNING, "uplink %s: ignored %s", self._config.name, what)
        self._complained.add("ignored")

    def _complain(self, what: str, hint: str) -> None:
        self._trouble = f"{what} → {hint}"
        if what not in self._complained:
            self._complained.add(what)
            log.warning("uplink %s: %s → %s", self._config.name, what, hint)

    # -- sending ------------------------------------------------------------------------------------------------------

    def _skip(self, sealed: Sealed) -> bool:
        key = key_of(sealed)
        if self._delivery.skip(sealed) or key in self._unsendable:
            return True
        if self._hold.verdict(sealed).wait:
            self._held.add(key)
            return True
        return False

    def _pump(self) -> None:
        """Hand over what fits, in one call."""
        connection = self._connection
        if connection is None or self._fault is not None:
            return
        now = time.monotonic()
        room = connection.room
        out: list[Outgoing] = []
        while self._control and len(out) < room:
            out.append(self._control.popleft())
        probing = self._delivery.broker_probe.running
        if probing:
            # The broker refuses: one batch at a time, ever more seldom, until it takes one.
            room = len(out) + (self._delivery.broker_probe.due(now) and not self._delivery.window.unacked and room > len(out))
        else:
            room -= min(RESERVE, room // 3)
        while len(out) < room and (message := self._next(now)) is not None:
            out.append(message)
            if probing:
                self._delivery.broker_probe.tried(now)
        if out:
            connection.publish(out)
        if self._sources.low or (len(self._replays) and not self._replays.ready):
            self._wake.set()

    def _next(self, now: float) -> Outgoing | None:
        window = self._delivery.window
        while not window.full:
            replay = False
            sealed = self._sources.take_live(now)
            if sealed is None:
                if now < self._backlog_at or not (self._sources.waiting or self._replays.ready) or not self._bucket.take(now):
                    return None
                sealed = self._sources.take_waiting()
            if sealed is None:
                sealed, replay = self._replays.take(), True
            if sealed is None:
                return None
            message = self._dressed(sealed)
            if message is not None:
                self._delivery.sent(sealed, now, replay=replay)
                return message
        return None

    def _dressed(self, sealed: Sealed) -> Outgoing | None:
        verdict = self._hold.verdict(sealed)
        if verdict.wait:
            self._held.add(key_of(sealed))
            return None
        epoch = self._delivery.conflicts.epoch(sealed)
        other = None if epoch == sealed.epoch else epoch
        try:
            body = dress(sealed, self._gateway, t0=verdict.t0, epoch=other, packed=self._config.compress)
        except WireError as error:
            self._unsendable.add(key_of(sealed))
            log.error("uplink %s: batch %s/%d cannot be sent as it is stored: %s", self._config.name, sealed.epoch, sealed.seq, error)  # noqa: TRY400 - said, not traced
            return None
        return Outgoing(self._topics.data, body, tag=key_of(sealed))

    def _nap(self) -> float:
        """Seconds until there is something to do that nobody wakes us for."""
        now = time.monotonic()
        nap = max(0.01, min(self._timing.tick, self._tick_at - now))
        if self._delivery.window.full or self._delivery.broker_probe.running or self._connection is None or self._connection.room <= 0:
            return nap
        if self._sources.live_at is not None:
            nap = min(nap, max(0.01, self._sources.live_at - now))
        if self._sources.waiting or self._replays.ready:
            nap = min(nap, max(0.01, self._backlog_at - now, self._bucket.wait(now)))
        return nap

    # -- work between two wake-ups ------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Everything that asks the journal. A journal in trouble delays the uplink and never ends it."""
        self.heartbeat = now = time.monotonic()
        try:
            if now >= self._tick_at:
                self._tick_at = now + self._timing.tick
                await self._tick(now)
            await self._settle()
            await self._resolve_conflicts()
            await self._sources.refill(now)
            reply = await self._replays.work()
            if reply is not None:
                self._answer(reply)
        except Exception as error:  # the journal's own room heals it; here it is only said once
            self._log_journal(error)
            await asyncio.sleep(self._timing.tick)

    def _log_journal(self, error: Exception) -> None:
        if "journal" not in self._complained:
            self._complained.add("journal")
            log.warning(
                "uplink %s: the journal does not answer: %s", self._config.name, error, exc_info=not isinstance(error, GatewayError)
            )

    async def _tick(self, now: float) -> None:
        await self._look()
        self._reconnect.steady()
        connection = self._connection
        if connection is not None and now - connection.beat > self._timing.thread:
            self._fault = LinkDown("the thread that serves the connection is stuck")
        if self._delivery.silent(now, self._timing.patience):
            self._fault = LinkDown(f"the broker has acknowledged nothing for {self._timing.patience:g} s")
            self._delivery.broker_probe.expect(now)
        probe = self._delivery.probe(now)
        if probe is not None and connection is not None and connection.room > 0 and (message := self._dressed(probe)) is not None:
            self._delivery.sent(probe, now)
            connection.publish([message])
        if self._hold.released():
            self._held.clear()
            self._sources.rewind()
        if now >= self._meters_at:
            self._meters_at = now + EVERY
            meters = self._describe()
            if meters != self._meters:
                self._meters = meters
                self._say(Outgoing(self._topics.meters, meters, retain=True))
        epoch, seq = self._outbox.newest
        waiting = self._waiting()
        if self._report.due(epoch, seq, waiting, now):
            state = State(online=True, epoch=epoch, seq=seq, backlog=waiting, version=__version__)
            self._say(Outgoing(self._topics.state, state.to_bytes(), retain=True))
            self._report.said(epoch, seq, waiting, now)

    def _waiting(self) -> int:
        """Batches that were not sent yet, live ones aside: 0 tells the platform that a hole is a hole."""
        return max(0, self._backlog[0] - self._delivery.window.undelivered - self._sources.live)

    async def _watch(self) -> None:
        """Once a tick, connected or not: backlog figures and the clock."""
        while True:
            if self._connection is None:
                self.heartbeat = time.monotonic()
                await self._look()
            for event in self._hold.anchors():
                log.info("uplink %s: the clock is right now; the platform is told for epoch %s", self._config.name, event.fields["epoch"])
                self._emit(event)
            if self._reconnect.state is not self._was:
                self._was, self._since = self._reconnect.state, self._clock.wall()
            await asyncio.sleep(self._timing.tick)

    async def _look(self) -> None:
        try:
            backlog = await asyncio.to_thread(self._outbox.backlog, self._config.name)
            self._backlog = (backlog.batches, backlog.readings, backlog.oldest_t0)
        except Exception as error:  # figures only
            self._log_journal(error)

    async def _learn_boot(self) -> None:
        """When this boot began to take readings: its hold runs from there."""
        try:
            for epoch, first, last in self._outbox.epochs()[-8:]:
                for sealed in await self._outbox.find(epoch, first, last, 1):
                    self._hold.met(sealed)
        except Exception as error:  # then the hold runs from the next batch
            self._log_journal(error)

    async def _settle(self) -> None:
        for epoch, ranges in self._delivery.settled().items():
            try:
                await self._outbox.settle(self._config.name, epoch, ranges)
            except Exception as error:  # told again at the next turn; at worst sent again after a restart
                self._delivery.unsettled(epoch, ranges)
                self._log_journal(error)

    async def _resolve_conflicts(self) -> None:
        conflicts = self._delivery.conflicts
        while conflicts.reported:
            epoch, seq = conflicts.reported.pop(0)
            found = await self._outbox.find(epoch, seq, seq, 1)
            log.warning(
                "uplink %s: the platform holds other content as batch %s/%d (a restored or copied card?); %s",
                self._config.name, epoch, seq, "it is sent again under a new epoch" if found else "the batch is not in the journal any more",
            )  # fmt: skip
            if conflicts.leaves(epoch) and self._outbox.newest[0] == epoch:
                await self._outbox.new_epoch("conflict")
            for sealed in found:
                try:
                    conflicts.reissue(sealed)
                except WireError:
                    self._unsendable.add(key_of(sealed))
                    continue
                self._sources.again.append(sealed)

    def _answer(self, reply: Reply) -> None:
        self._say(Outgoing(self._topics.reply, reply.to_bytes()))

    def _say(self, message: Outgoing) -> None:
        if len(self._control) >= MAX_CONTROL:
            self._control.popleft()
        self._control.append(message)

    # -- what it tells ------------------------------------------------------------------------------------------------

    def stats(self) -> UplinkStats:
        """A snapshot; costs nothing."""
        now = time.monotonic()
        state, delivery, counters = self._reconnect.state, self._delivery, self._delivery.counters
        if state is not self._was:
            self._was, self._since = state, self._clock.wall()
        error = self._reconnect.error
        batches, readings, oldest = self._backlog

        def age(at: float | None) -> float | None:
            return None if at is None else now - at

        return UplinkStats(
            name=self._config.name, broker=f"{self._config.host}:{self._config.port}", state=state.value, since=self._since,
            protocol=self._protocol, backlog_batches=batches, backlog_readings=readings, oldest_t0=oldest, waiting_batches=self._waiting(),
            unconfirmed=delivery.window.undelivered, held=len(self._held), sent_batches=counters.sent, resent_batches=counters.resent,
            delivered_batches=counters.delivered, delivered_readings=counters.delivered_readings, replayed_batches=counters.replayed,
            conflicts=len(delivery.conflicts), refused=counters.refused, ignored_messages=counters.ignored,
            last_receipt_age=age(delivery.receipt_at), last_delivery_age=age(delivery.delivered_at),
            last_error=self._trouble or (str(error) if error is not None else ""), receipts=delivery.confirmed,
        )  # fmt: skip
