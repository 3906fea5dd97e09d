"""The way to one broker: which version of MQTT it speaks and what it does not like is learnt from one attempt
to the next; each connection is a new one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial

from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt.broker import Broker
from gateway.mqtt.connection import PahoConnection
from gateway.mqtt.link import TO_THE_LOOP, Connection, Hearing, Listener, Outgoing
from gateway.mqtt.reasons import (
    CLIENT_ID,
    DAMAGED,
    MAY_BE_THE_WILL,
    OTHER_MQTT,
    RETAIN,
    SILENCE,
    UNSUPPORTED_VERSION,
    WILL,
    NoConnack,
    OddConnack,
    Unwelcome,
    WrongVersion,
    meaning,
)
from gateway.mqtt.tls import is_this_machine

log = logging.getLogger(__name__)

CONNACK_TIMEOUT = 4.0
"""Seconds for an answer to CONNECT while there is another version to try: some 3.1.1 brokers wait for more of
an MQTT 5 one.
"""
RELEARN = 3600.0
"""Seconds after which MQTT 5, our client id or a Last Will, retained or at all, are tried again at a broker
that had refused them.
"""
UNANSWERED = 2
"""Connections that end instead of an answer to CONNECT before it is tried with less of a Last Will."""
LEAST_SILENCE = 3.5
"""Seconds of silence below which no keepalive helps: the shortest one has 2 s, and a ping may be 1 s late."""
_ALIKE = 3
"""Connections that end after the same silence before a shorter one is tried."""
_TOGETHER = 1800.0
"""s for all of them: whoever ends silent connections ends each, who is started anew every night does not."""
_PROOF = 3
"""Times that silence which the next connection lives with a ping in it."""
ASK_AGAIN = 600.0
"""Seconds after which a topic is subscribed to again although that had ended the connection; and after which
a broker that refuses us, for a reason that may be our Last Will, is asked again without one.
"""

_VERSION = meaning(UNSUPPORTED_VERSION).cause


class Concessions:
    """Of one uplink, for as long as the process lives. `protocol` is the configured one: auto, 5.0 or
    3.1.1.
    """

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._spoken: tuple[str, float] | None = None
        self._without: dict[int, float] = {}
        self._ended: dict[str, int] = {}
        self._ended_since = 0.0

    def versions(self) -> list[str]:
        """Versions of MQTT to try, in this order."""
        if self._protocol != "auto":
            return [self._protocol]
        if self._spoken is not None:
            version, at = self._spoken
            if version == "5.0" or time.monotonic() - at < RELEARN:
                return [version]
        return ["5.0", "3.1.1"]

    def forget_version(self) -> bool:
        """The version that was spoken is none of this broker's any more; whether there is another to try."""
        known, self._spoken = self._spoken, None
        return known is not None and self._protocol == "auto"

    def spoke(self, version: str) -> None:
        """A connection was made with this version."""
        if self._spoken is None or self._spoken[0] != version:
            self._spoken = (version, time.monotonic())

    def leaves_out(self, code: int) -> bool:
        """Whether what this reason code objects to (CLIENT_ID, RETAIN; WILL for any) is left out."""
        return code in self._without and time.monotonic() - self._without[code] < RELEARN

    def leave_out(self, code: int) -> bool:
        """Leave it out from now on; whether that is something new to try."""
        new = not self.leaves_out(code)
        self._without[code] = time.monotonic()
        return new

    def readmit(self, code: int) -> None:
        """It was not that: it is no longer left out."""
        del self._without[code]

    def ended_at(self, topic: str | None) -> None:
        """The broker ended the connection instead of answering the subscription to this topic, or to it
        and others.
        """
        if topic is not None:
            if not self._ended:
                self._ended_since = time.monotonic()
            self._ended[topic] = self._ended.get(topic, 0) + 1

    @property
    def one_by_one(self) -> bool:
        """Whether topics are to be subscribed to one after the other, so that the one that ends the
        connection is known.
        """
        if self._ended and time.monotonic() - self._ended_since >= ASK_AGAIN:
            self._ended.clear()
        return bool(self._ended)

    @property
    def skips(self) -> frozenset[str]:
        """Topics that ended the connection more than once: they are not subscribed to."""
        # Once among all, twice alone.
        return frozenset(topic for topic, times in self._ended.items() if times > 2)


class ShortSilence:
    """Whether connections end for being silent for less than their keepalive, as a proxy or firewall ends
    them. Three that end after the same silence are no proof: another client with our id that comes back
    after a fixed time looks like that. So a ping cuts the silence of the next one short, and what becomes of
    that one is the proof.
    """

    def __init__(self, broker: Broker, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._monotonic = monotonic
        self._silences: list[tuple[float, float]] = []
        """Monotonic time and silence in seconds of the newest ends."""
        self._trying: float | None = None
        """The silence in seconds that the newest connections are kept from; None: as configured."""
        self._proven = False
        self._not_before = 0.0
        self.keepalive = self._proven_keepalive = broker.keepalive
        """Of the next connection; what was proved or configured."""

    @property
    def proof(self) -> float | None:
        """Seconds that a connection must live to prove it; None when there is nothing to prove."""
        return None if self._trying is None or self._proven else _PROOF * self._trying

    def ended(self, error: UplinkError, silence: float) -> UplinkError:
        """A connection ended with nothing on its way, after so many seconds of silence: how that is told."""
        now = self._monotonic()
        if self.proof is not None:
            self._trying, self.keepalive = None, self._proven_keepalive
            self._not_before = now + RELEARN
        if error.cause != "ended" or silence < LEAST_SILENCE or now < self._not_before:
            self._silences.clear()
            return error
        ends = [*self._silences, (now, silence)][-_ALIKE:]
        self._silences = [(at, each) for at, each in ends if now - at <= _TOGETHER]
        silences = [each for _, each in self._silences]
        least, most = min(silences), max(silences)
        if len(silences) < _ALIKE or most - least > max(0.5, 0.1 * most):
            return error
        self._silences.clear()
        self._trying, self._proven = least, False
        self.keepalive = max(2.0, int(least) - 2.0)
        what = (
            f"{error.message} for the third time after {least:.1f} s in which nothing was said; a ping every "
            f"{self.keepalive:g} s is tried"
        )
        return LinkDown(what, hint="look for a proxy or firewall on the way", cause=SILENCE)

    def proved(self) -> None:
        """A connection has lived for `proof` seconds: told once."""
        if self._trying is None or self._proven:
            return
        self._proven, self._proven_keepalive = True, self.keepalive
        mend = (
            f"write keepalive: {self.keepalive:g}s"
            if self._broker.configured
            else "let silent connections live longer there"
        )
        log.warning(
            "%s: %s: a proxy, a firewall or the broker ends connections in which nothing is said for %.1f s; "
            "a ping every %g s keeps them → %s",
            *(self._broker.name, self._broker.address, self._trying, self.keepalive, mend),
        )


_UNENCRYPTED = (
    "THE LINK TO {host} IS NOT ENCRYPTED: anybody on the way can read the readings and the password, and "
    "change them → write {scheme}:// in url"
)


async def open_unless(
    stopping: asyncio.Event, opening: Coroutine[None, None, Connection], name: str
) -> Connection | None:
    """What `opening` gives, or None when `stopping` comes first. Raises UplinkError, whatever went wrong."""
    attempt, ending = asyncio.ensure_future(opening), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({attempt, ending}, return_when=asyncio.FIRST_COMPLETED)
        return attempt.result() if attempt.done() else None
    except UplinkError:
        raise
    except Exception as error:
        log.exception("%s: the link failed in an unforeseen way", name)
        what = f"the link failed: {type(error).__name__}: {error}"
        raise LinkDown(what) from error
    finally:
        ending.cancel()
        attempt.cancel()
        await asyncio.gather(attempt, ending, return_exceptions=True)


class BrokerLink:
    """A Link to one broker. `protocol: auto` tries MQTT 5, then 3.1.1, and remembers what worked, until the
    broker does not speak it any more: another one may have taken its place.

    What a broker does not like about CONNECT is left out at once and remembered, too: our client id (it may
    give us one), a retained Last Will, a Last Will as a whole: readings do not wait for it. A broker of 3.1.1
    cannot say so: one that ends the connection twice instead of answering CONNECT is tried without the
    latter two. One that ends the connection instead of answering SUBSCRIBE is asked for one topic after the
    other.
    """

    skipped = 0

    def __init__(
        self, broker: Broker, *, hearing: Hearing = TO_THE_LOOP, synced: Callable[[], bool] = lambda: True
    ) -> None:
        """`synced` says whether this machine's clock is right: a certificate is judged by it."""
        self._broker = broker
        self._hearing = hearing
        self._synced = synced
        self._concessions = Concessions(broker.protocol)
        self._silence = ShortSilence(broker)
        self._newest: PahoConnection | None = None
        self._unanswered = 0
        """Connections in a row that ended instead of an answer to CONNECT."""
        self._why_no_will = ""
        self._next_without_will = 0.0
        """Monotonic time from which a refusal is looked into again."""
        address = broker.address
        if not address.tls and not is_this_machine(address.host):
            better = {"mqtt": "mqtts", "ws": "wss"}[address.scheme]
            log.warning("%s: %s", broker.name, _UNENCRYPTED.format(host=address.host, scheme=better))

    async def open(self, listener: Listener, *, will: Outgoing | None, topics: Sequence[str]) -> Connection:
        if self._newest is not None and self._newest.ended_with == RETAIN:
            self._concessions.leave_out(RETAIN)
        try:
            return await self._open(listener, will, topics)
        except (NoConnack, OddConnack, WrongVersion) as error:
            # Who hangs up once may be on its way down, or up.
            hung_up_once = isinstance(error, NoConnack) and self._unanswered < UNANSWERED
            if hung_up_once or not self._concessions.forget_version():
                raise
        return await self._open(listener, will, topics)

    async def _open(self, listener: Listener, will: Outgoing | None, topics: Sequence[str]) -> Connection:
        versions = self._concessions.versions()
        said: OddConnack | WrongVersion | None = None
        for version in versions:
            try:
                connection = await self._attempt(
                    version, listener, will, topics, last=version == versions[-1]
                )
            except (NoConnack, OddConnack, WrongVersion) as error:
                if version == versions[-1]:
                    # Who could not read MQTT 5, or answered it oddly, and hangs up now has said more before.
                    if said is not None and isinstance(error, NoConnack):
                        said.hint = DAMAGED if said.hint == OTHER_MQTT else said.hint
                        raise said from None
                    raise
                if not isinstance(error, NoConnack) and error.cause != _VERSION:
                    said = error
            else:
                self._concessions.spoke(version)
                return connection
        raise AssertionError  # the last version returns or raises

    async def _attempt(
        self, version: str, listener: Listener, will: Outgoing | None, topics: Sequence[str], *, last: bool
    ) -> PahoConnection:
        connect = partial(self._connect, version, listener, will, topics, last=last)
        while True:
            try:
                connection = await connect()
            except Unwelcome as error:
                if not self._concessions.leave_out(error.code):
                    raise
            except NoConnack as error:
                self._unanswered += last
                if will is None or not last or self._unanswered < UNANSWERED:
                    raise
                less = [RETAIN] if will.retain else []
                connection = await self._with_less(connect, [*less, *self._without_will()], error)
                self._unanswered = 0
                return connection
            except (LinkDown, LinkRefused) as error:
                if will is None or error.cause not in MAY_BE_THE_WILL:
                    raise
                return await self._with_less(connect, self._without_will(), error)
            else:
                self._unanswered = 0
                return connection

    def _without_will(self) -> list[int]:
        """The Last Will, as one of what may be left out: now and then."""
        now = time.monotonic()
        if now < self._next_without_will:
            return []
        self._next_without_will = now + ASK_AGAIN
        return [WILL]

    async def _with_less(
        self,
        connect: Callable[[], Coroutine[None, None, PahoConnection]],
        codes: Sequence[int],
        error: LinkDown | LinkRefused,
    ) -> PahoConnection:
        """A connection without what these codes stand for, one after the other. Raises `error`, which was
        raised with all of it, when it was none of them.
        """
        for code in codes:
            if not self._concessions.leave_out(code):
                continue
            try:
                connection = await connect()
            except UplinkError:
                self._concessions.readmit(code)
                continue
            # It may have come up just now: it is asked for all of it once more.
            await connection.close()
            self._concessions.readmit(code)
            try:
                return await connect()
            except UplinkError:
                self._concessions.leave_out(code)
                self._why_no_will = error.message
                return await connect()
        raise error

    async def _connect(
        self, version: str, listener: Listener, will: Outgoing | None, topics: Sequence[str], *, last: bool
    ) -> PahoConnection:
        known = self._concessions
        self._newest = connection = PahoConnection(
            replace(
                self._broker,
                client_id="" if known.leaves_out(CLIENT_ID) else self._broker.client_id,
                keepalive=self._silence.keepalive,
            ),
            version,
            listener,
            hearing=self._hearing,
            synced=self._synced,
            at_idle_end=self._silence.ended,
        )
        connection.one_by_one, connection.skips = known.one_by_one, known.skips
        connection.keeps_retained = not known.leaves_out(RETAIN)
        if not last:
            connection.connack_timeout = CONNACK_TIMEOUT
        try:
            await connection.open(None if known.leaves_out(WILL) else will, topics)
        except LinkDown:
            known.ended_at(connection.asked)
            raise
        if will is not None and known.leaves_out(WILL):
            connection.limits = replace(connection.limits, without_will=self._why_no_will)
        if (proof := self._silence.proof) is not None:
            asyncio.get_running_loop().call_later(proof, self._has_lived, connection)
        return connection

    def _has_lived(self, connection: PahoConnection) -> None:
        if connection is self._newest and connection.live:
            self._silence.proved()
