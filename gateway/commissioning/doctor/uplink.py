"""The way to the platform, step by step: name, connection, TLS, credentials, access list, and a batch out and
its receipt back. Each step says whether it is sound, what is wrong, and who must act.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.commissioning.doctor.diagnosis import ExaminedPart, Severity
from gateway.common import event_loop
from gateway.common.wait import wait_for_event
from gateway.config import Uplink, is_address
from gateway.errors import GatewayError, LinkDown, LinkRefused, LinkTakenOver, UplinkError
from gateway.mqtt import (
    ACCESS_LIST,
    FIRST_FAILURE,
    NO_SUBSCRIBERS,
    BrokerLink,
    Outgoing,
    check_files,
    meaning,
    tls_context,
    tls_error,
    unreachable,
)
from gateway.uplink import broker_of
from gateway.wire import Receipt, Topics, parse

CONNECT: Final = 8.0
"""s for a connection, and for a handshake."""
OPEN: Final = 25.0
RECEIPT: Final = 20.0
"""s in which the platform should have said that it has a batch."""
SOON: Final = 21
"""Days before its end from which the broker's certificate is told."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """The newest batch that the gateway holds: the platform has it or needs it, so sending it again does no
    harm.
    """

    epoch: str
    seq: int
    payload: bytes


def examine_uplink(
    uplink: Uplink,
    gateway: str,
    *,
    sample: SampleBatch | None = None,
    running: Mapping[str, Any] | None = None,
    synced: bool = True,
    tell: Tell = lambda _: None,
) -> ExaminedPart:
    """Every step, until one fails. `running`: what a running daemon says of this uplink; it then holds the
    connection, and is asked instead of making a second one in its name.
    """
    found = ExaminedPart(f"uplink {uplink.name}")
    for step in (_files, _name, _connection, _tls):
        tell(step.__name__.strip("_"))
        if not step(found, uplink, gateway, synced):
            return found
    if running is not None:
        _as_running(found, running)
    else:
        tell("round_trip")
        event_loop.run(_round_trip(found, uplink, gateway, sample, synced))
    return found


def _said(
    found: ExaminedPart, step: str, error: GatewayError, who: str, severity: Severity = "stops"
) -> bool:
    found.note(step, ok=False)
    found.find("said", severity, step=step, what=error.message, mend=error.hint, who=who)
    return False


def _files(found: ExaminedPart, uplink: Uplink, gateway: str, _synced: bool) -> bool:
    try:
        check_files(broker_of(uplink, gateway))
    except LinkRefused as error:
        return _said(found, "files", error, "here")
    return True


def _name(found: ExaminedPart, uplink: Uplink, _gateway: str, _synced: bool) -> bool:
    host = uplink.broker.host
    if is_address(host):
        found.note("name", host=host, addresses=host)
        return True
    try:
        known = socket.getaddrinfo(host, uplink.broker.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        silent = getattr(error, "errno", 0) == socket.EAI_AGAIN
        return _said(found, "name", unreachable(error, host), "network" if silent else "here")
    found.note("name", host=host, addresses=", ".join(sorted({str(each[4][0]) for each in known})[:3]))
    return True


def _connection(found: ExaminedPart, uplink: Uplink, _gateway: str, _synced: bool) -> bool:
    began = time.monotonic()
    try:
        with socket.create_connection((uplink.broker.host, uplink.broker.port), CONNECT):
            pass
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        return _said(
            found, "connection", unreachable(error, str(uplink.broker)), "operator" if refused else "network"
        )
    found.note("connection", where=str(uplink.broker), ms=round(1000 * (time.monotonic() - began)))
    return True


def _tls(found: ExaminedPart, uplink: Uplink, gateway: str, synced: bool) -> bool:
    host = uplink.broker.host
    if not uplink.broker.tls:
        found.note("tls_none", where=str(uplink.broker))
        return True
    context = tls_context(broker_of(uplink, gateway))
    try:
        with socket.create_connection((host, uplink.broker.port), CONNECT) as plain:
            plain.settimeout(CONNECT)
            with context.wrap_socket(plain, server_hostname=host) as secure:
                certificate, version = secure.getpeercert() or {}, secure.version() or ""
    except ssl.SSLError as error:
        told = tls_error(error, host, clock_synced=synced)
        return _said(found, "tls", told, "here" if told.cause in {"clock", "unknown_ca"} else "operator")
    except OSError as error:
        return _said(found, "tls", unreachable(error, str(uplink.broker)), "operator")
    ends = datetime.strptime(str(certificate["notAfter"]), "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC)
    days = (ends - datetime.now(UTC)).days
    found.note("tls", version=version, until=f"{ends:%Y-%m-%d}", days=days)
    if days < SOON:
        found.find(
            "broker_certificate", "warns", host=host, until=f"{ends:%Y-%m-%d}", days=days, who="operator"
        )
    return True


def _as_running(found: ExaminedPart, running: Mapping[str, Any]) -> None:
    """What the daemon, which holds the connection, says of it."""
    state, error = str(running["state"]), str(running.get("error") or "")
    if state not in {"connected", "idle", "connecting"}:
        what, _, mend = error.partition(" → ")
        who = "operator" if running.get("cause") not in {"credentials", "client_id"} else "here"
        found.note("credentials", ok=False)
        found.find("said", step="credentials", what=what or state, mend=mend, who=who)
        return
    if state != "connected":
        found.note("not_connected_yet", ok=None)
        return
    found.note("credentials")
    topics = list(running.get("refused_topics") or ())
    if topics:
        found.note("subscribe", ok=False)
        found.find("topic_refused", topic=", ".join(topics), mend=ACCESS_LIST, who="operator")
    silent = list(running.get("silent") or ())
    if silent:
        found.note("receipt", ok=False)
        found.find("no_receipt", consumer=", ".join(silent), who="operator")
    elif running.get("receipts") and running.get("last_receipt"):
        age = max(0.0, time.time() - float(running["last_receipt"]) / 1000)
        found.note("receipt_of_daemon", seconds=age)
    elif running.get("last_delivery"):
        age = max(0.0, time.time() - float(running["last_delivery"]) / 1000)
        found.note("delivery_of_daemon", seconds=age)
    else:
        found.note("nothing_delivered_yet", ok=None)
    if count := int(running.get("set_aside") or 0):
        found.find("set_aside", "harms", count=count, who="operator")


class _Listener:
    """Collects what comes back."""

    def __init__(self) -> None:
        self.codes: dict[object, int] = {}
        self.receipts: dict[str, list[bytes]] = {}
        self.fault: UplinkError | None = None
        self.news = asyncio.Event()

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        self.codes.update(acks)
        self.news.set()

    def received(self, topic: str, payload: bytes) -> None:
        self.receipts.setdefault(topic, []).append(payload)
        self.news.set()

    def lost(self, error: UplinkError) -> None:
        self.fault = error
        self.news.set()


async def _round_trip(
    found: ExaminedPart,
    uplink: Uplink,
    gateway: str,
    sample: SampleBatch | None,
    synced: bool,
) -> None:
    """Connect as the gateway, subscribe, send the newest batch once more, wait for its receipts."""
    topics, listener = Topics(gateway), _Listener()
    native = uplink.dialect == "native"
    receipts = {topics.receipt(consumer): consumer for consumer in uplink.receipts}
    wanted = [*receipts, *([topics.replay] if uplink.replay and native else [])]
    link = BrokerLink(broker_of(uplink, gateway), synced=lambda: synced)
    try:
        connection = await asyncio.wait_for(link.open(listener, will=None, topics=wanted), OPEN)
    except TimeoutError:
        error = LinkDown(f"the broker does not answer within {OPEN:g} s", hint="ask the broker's operator")
        _said(found, "credentials", error, "operator")
        return
    except UplinkError as error:
        _said(found, "credentials", error, "here" if isinstance(error, LinkTakenOver) else _who(error.cause))
        return
    try:
        found.note("credentials", protocol=connection.protocol)
        refused = dict(connection.refused_topics)
        for topic, code in refused.items():
            found.note("subscribe", ok=False)
            severity: Severity = "stops" if topic in receipts else "warns"
            why = meaning(code).what if code else ""
            found.find("topic_refused", severity, topic=topic, why=why, mend=ACCESS_LIST, who="operator")
        if wanted and not refused:
            found.note("subscribe")
        if not native:
            found.note("other_dialect", ok=None, dialect=uplink.dialect)
            return
        if sample is None:
            found.note("nothing_stored", ok=None)
            return
        connection.publish([Outgoing(topics.data, sample.payload, tag="sample")])
        await _wait(listener, lambda: "sample" in listener.codes, RECEIPT)
        if _accepted(found, listener, topics.data):
            owed = {topic: name for topic, name in receipts.items() if topic not in refused}
            await _receipts(found, listener, owed, sample)
    finally:
        await connection.close()


def _accepted(found: ExaminedPart, listener: _Listener, topic: str) -> bool:
    """Whether the broker took the batch."""
    code = listener.codes.get("sample")
    if listener.fault is not None:
        return _said(found, "publish", listener.fault, "operator")
    if code is None:
        error = LinkDown("the broker does not acknowledge a batch", hint="ask the broker's operator")
        return _said(found, "publish", error, "operator")
    if code >= FIRST_FAILURE:
        found.note("publish", ok=False)
        known = meaning(code)
        found.find("publish_refused", topic=topic, why=known.what, mend=known.mend, who="operator")
        return False
    if code == NO_SUBSCRIBERS:
        found.note("publish", ok=False)
        found.find("nobody_listens", topic=topic, who="operator")
        return False
    found.note("publish")
    return True


async def _receipts(
    found: ExaminedPart, listener: _Listener, owed: Mapping[str, str], sample: SampleBatch
) -> None:
    """Wait until every consumer has confirmed the batch."""
    began = time.monotonic()

    def confirmed(topic: str) -> bool:
        return any(_covers(payload, sample) for payload in listener.receipts.get(topic, ()))

    await _wait(listener, lambda: all(confirmed(topic) for topic in owed), RECEIPT)
    silent = [name for topic, name in owed.items() if not confirmed(topic)]
    if silent:
        found.note("receipt", ok=False)
        found.find("no_receipt", consumer=", ".join(silent), who="operator")
    elif owed:
        found.note("receipt", ms=round(1000 * (time.monotonic() - began)))


def _covers(payload: bytes, sample: SampleBatch) -> bool:
    try:
        receipt = parse(Receipt, payload)
        return receipt.epoch == sample.epoch and sample.seq in receipt.covers(1)
    except GatewayError:
        return False


async def _wait(listener: _Listener, done: Callable[[], bool], seconds: float) -> None:
    """Until it is done, the connection is lost, or the time is over."""
    until = time.monotonic() + seconds
    while not done() and listener.fault is None and (left := until - time.monotonic()) > 0:
        listener.news.clear()
        await wait_for_event(listener.news, left)


def _who(cause: str) -> str:
    """Who can mend what a broker says no to."""
    return "here" if cause in {"credentials", "client_id", "version", "tls", "clock"} else "operator"
