"""The platform's side of remote care: a command is signed, sent to a gateway, and its answer awaited."""

from __future__ import annotations

import base64
import json
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

from gateway.common.text import visible
from gateway.errors import GatewayError, WireError
from gateway.host.signing import SigningKey
from gateway.mqtt import Broker, Hearing
from gateway.remote.link import command_link
from gateway.wire import State, Topics, parse
from gateway.wire.care import MAX_COMMAND, CareReply, CommandStatement, SignedCommand, payload_digest

HEARING = Hearing(retained=True, most=64 * 1024, direct=True)
LIFE = 600.0
"""s that a command is good for."""
TURN = 0.2
COMES_BACK = 15.0
"""s that a gateway which says that it is not online is waited for: it may read its configuration again."""
_MAX_RESULT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a gateway: `payload` is text."""

    gateway: str
    command: str
    payload: str = ""
    life: float = LIFE


@dataclass(frozen=True, slots=True)
class CareAnswer:
    """What came of it: `state` as in a CareReply; `result` is what the command brought."""

    ok: bool
    state: str
    error: str = ""
    result: dict[str, Any] | None = None


def sign_order(order: Order, key: SigningKey, epoch: str) -> tuple[str, bytes]:
    """(the id under which it is answered, the message). The counter is the time in ms: it grows by itself."""
    if len(order.payload.encode()) > MAX_COMMAND // 2:  # in JSON a character may become two and more
        raise GatewayError(
            f"more than {MAX_COMMAND // 2} bytes are too large for a command",
            hint="leave out comments, or put it on the gateway by hand",
        )
    now = time.time_ns() // 1_000_000
    statement = CommandStatement.model_validate(
        {
            "gateway": order.gateway,
            "epoch": epoch,
            "counter": now,
            "expires": now + int(order.life * 1000),
            "command": order.command,
            "sha256": payload_digest(order.payload),
        }
    )
    signed = statement.to_bytes()
    signature = base64.b64encode(key.sign(signed)).decode()
    message = SignedCommand(signed=signed.decode(), signature=signature, payload=order.payload)
    return f"{order.command}-{now}", message.to_bytes()


class CareSender:
    """A connection to the broker of a gateway: what it says, and what is said to it."""

    def __init__(self, broker: Broker, gateway: str) -> None:
        self._topics = Topics(gateway)
        self._state: State | None = None
        """The newest that was heard."""
        self._replies: SimpleQueue[CareReply] = SimpleQueue()
        topics = [self._topics.state, self._topics.reply]
        allow = f"allow reading {topics[0]} and {topics[1]} in its access list"
        named = replace(broker, client_id=f"{broker.client_id}-{secrets.token_hex(4)}")
        self._link = command_link(named, topics, HEARING, allow)

    def __enter__(self) -> Self:
        self._link.start(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._link.stop()

    def _hear(self, topic: str, payload: bytes) -> None:
        try:
            if topic == self._topics.state:
                self._state = parse(State, payload)
            else:
                self._replies.put(parse(CareReply, payload, HEARING.most))
        except WireError:
            return  # a reply to somebody else's command

    def send(
        self,
        order: Order,
        key: SigningKey,
        seconds: float,
        told: Callable[[CareAnswer], None] = lambda _: None,
    ) -> CareAnswer:
        """Send it and wait for its last answer; earlier ones are `told`. An epoch that is not the present one
        any more is mended once. Raises GatewayError when no answer comes.
        """
        deadline = time.monotonic() + seconds
        epoch = self._epoch(deadline)
        answer = self._ask(order, key, epoch, deadline, told)
        present = (answer.result or {}).get("epoch")
        if answer.state == "refused" and isinstance(present, str) and present != epoch:
            answer = self._ask(order, key, present, deadline, told)
        return answer

    def publish(self, order: Order, key: SigningKey, seconds: float = 60.0) -> str:
        """Send it and wait for nothing; the id under which it is answered. Raises GatewayError."""
        deadline = time.monotonic() + seconds
        return self._publish(order, key, self._epoch(deadline), deadline)

    def _publish(self, order: Order, key: SigningKey, epoch: str, deadline: float) -> str:
        reply_id, message = sign_order(order, key, epoch)
        while not self._link.send(self._topics.command(order.command), message):
            if time.monotonic() > deadline:
                raise GatewayError("the broker is not reached", hint="check --broker")
            time.sleep(TURN)
        return reply_id

    def _epoch(self, deadline: float) -> str:
        """The epoch that the gateway's retained state names; one that has just gone may come back."""
        limit = min(deadline, time.monotonic() + COMES_BACK)
        while time.monotonic() < (deadline if self._state is None else limit):
            if self._state is not None and self._state.online and self._state.epoch:
                return self._state.epoch
            time.sleep(TURN)
        if self._state is not None:
            raise GatewayError("the gateway is not online", hint="commands are not kept for later")
        raise GatewayError(
            f"nothing is known of this gateway at the broker: there is no {self._topics.state}",
            hint="check its id, and that this account may read its topics",
        )

    def _ask(
        self, order: Order, key: SigningKey, epoch: str, deadline: float, told: Callable[[CareAnswer], None]
    ) -> CareAnswer:
        reply_id = self._publish(order, key, epoch, deadline)
        parts: dict[int, str] = {}
        while (left := deadline - time.monotonic()) > 0:
            try:
                reply = self._replies.get(timeout=min(TURN, left))
            except Empty:
                continue
            if reply.id != reply_id:
                continue
            if reply.part is not None and reply.parts is not None and reply.data is not None:
                parts[reply.part] = reply.data
                if len(parts) == reply.parts:
                    return CareAnswer(reply.ok, reply.state, result=_joined(parts))
                continue
            answer = CareAnswer(reply.ok, reply.state, visible(reply.error or "", 1000), reply.result)
            if reply.state != "trying":
                return answer
            told(answer)
        raise GatewayError(
            "no answer came",
            hint="is the command on in the gateway's configuration (remote.commands), and may this account "
            f"write {self._topics.command(order.command)}?",
        )


def _joined(parts: dict[int, str]) -> dict[str, Any]:
    packed = b"".join(base64.b64decode(parts[number]) for number in sorted(parts))
    found = json.loads(zlib.decompressobj().decompress(packed, _MAX_RESULT))
    return found if isinstance(found, dict) else {}


def key_in(file: Path) -> SigningKey:
    """The private key in a file. Raises GatewayError."""
    return SigningKey(file.parent, file.name)
