"""What a message is: topic and bytes → something to store, or a reason why not. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from gateway.common.text import visible
from gateway.errors import GatewayError, WireError
from gateway.model import METER_ID
from gateway.receiver.store import Arrival
from gateway.wire import MAX_MESSAGE, Reply, State, Topics, decode, decompress, parse
from gateway.wire.published import schemas

KINDS = ("data", "state", "meters", "reply")
BACKUP = "backup"
"""Heard only by who keeps them."""
_PREFIX = Topics("").prefix
_ANY = "+"


class Refusal(Exception):
    """A message that cannot be used: `reason` is one word to count by, `what` a sentence for the log."""

    def __init__(self, gateway: str, reason: str, what: str) -> None:
        super().__init__(what)
        self.gateway, self.reason, self.what = gateway, reason, visible(what, 1000)


@dataclass(frozen=True, slots=True)
class Description:
    """A P/meters, as JSON text."""

    gateway: str
    text: str


def check_names(consumer: str, gateways: Iterable[str]) -> None:
    """Raise GatewayError for a name that cannot stand in a topic."""
    for option, name in [("--consumer", consumer), *(("--gateway", gateway) for gateway in gateways)]:
        if not METER_ID.fullmatch(name):
            raise GatewayError(f"{option} {name}: not a name", hint="1 to 32 characters of a-z, 0-9 and -")


def subscriptions(gateways: frozenset[str], share: str = "", *, backups: bool = False) -> list[str]:
    """The topic filters to subscribe to: of every gateway, or of those named. With a `share` the batches are
    dealt out to all who subscribe under that name; retained messages do not reach a shared subscription, and
    everybody needs the rest.
    """
    dealt = f"$share/{share}/" if share else ""
    return [
        f"{dealt if kind == 'data' else ''}{_PREFIX}{gateway}/{kind}"
        for gateway in sorted(gateways) or [_ANY]
        for kind in (*KINDS, *([BACKUP] if backups else []))
    ]


def address(topic: str) -> tuple[str, str]:
    """(gateway, kind) of a topic. Raises Refusal."""
    gateway, _, kind = topic.removeprefix(_PREFIX).partition("/")
    if not topic.startswith(_PREFIX) or kind not in {*KINDS, BACKUP} or not METER_ID.fullmatch(gateway):
        raise Refusal("", "unknown_topic", f"a message on {topic[:80]!r}")
    return gateway, kind


def check_size(gateway: str, size: int) -> None:
    """Raise Refusal for a message larger than the contract allows."""
    if size > MAX_MESSAGE:
        raise Refusal(gateway, "oversized", f"a message of {size} bytes, more than {MAX_MESSAGE}")


def arrival(
    gateway: str, payload: bytes, received: int, check: Callable[[object], str | None] | None = None
) -> tuple[Arrival, str | None]:
    """A batch from P/data, and what `check` has to say about its JSON. Raises Refusal."""
    try:
        plain = decompress(payload)
        batch = decode(_without_nul(plain) if _NUL in plain else plain)
    except WireError as error:
        raise Refusal(gateway, "malformed", str(error)) from error
    if batch.gateway != gateway:
        raise Refusal(gateway, "wrong_gateway", f"a batch that says it is of {batch.gateway}")
    if any(not i.start < 2**53 for i in batch.intervals):
        raise Refusal(gateway, "malformed", "an interval beyond all bounds")
    try:
        json.dumps([event.fields for event in batch.events], allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Refusal(
            gateway, "malformed", f"an event with a value that JSON does not have: {error}"
        ) from error
    return Arrival(batch, mark(plain), payload, received), check(json.loads(plain)) if check else None


_NUL = rb"\u0000"
"""As JSON writes it. PostgreSQL has no text with it, SQLite ends a text there: it is stored as `\\x00`."""


def _without_nul(plain: bytes) -> bytes:
    """The JSON with another text where a NUL stands, in names as well. What is no JSON stays as it is."""

    def seen(value: object) -> object:
        if isinstance(value, str):
            return value.replace("\0", r"\x00")
        if isinstance(value, dict):
            return {seen(key): seen(one) for key, one in value.items()}
        return [seen(one) for one in value] if isinstance(value, list) else value

    try:
        return json.dumps(seen(json.loads(plain)), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return plain


def mark(plain: bytes) -> bytes:
    """A short hash of a batch's JSON as it came: equal bytes are certainly the same batch."""
    return blake2b(plain, digest_size=16).digest()


def state(gateway: str, payload: bytes) -> State:
    """P/state. Raises Refusal."""
    try:
        return parse(State, payload)
    except WireError as error:
        raise Refusal(gateway, "malformed", str(error)) from error


def reply(gateway: str, payload: bytes) -> Reply:
    """P/reply. Raises Refusal."""
    try:
        return parse(Reply, payload)
    except WireError as error:
        raise Refusal(gateway, "malformed", str(error)) from error


def description(gateway: str, payload: bytes) -> Description:
    """P/meters. Raises Refusal."""
    try:
        text = decompress(payload).decode()
        message = json.loads(text)
    except (WireError, ValueError, RecursionError) as error:
        raise Refusal(gateway, "malformed", f"a description of meters that is not JSON: {error}") from error
    if not isinstance(message, dict) or message.get("gateway", gateway) != gateway:
        raise Refusal(gateway, "wrong_gateway", "a description of another gateway's meters")
    return Description(gateway, text)


def schema_check() -> Callable[[object], str | None]:
    """Hold a batch against the published JSON Schema: what is wrong, or None. Raises ImportError without
    the extra `receiver`.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - an extra, and only needed with --validate

    validator = Draft202012Validator(schemas()["batch"])

    def check(message: object) -> str | None:
        error = next(validator.iter_errors(message), None)
        return f"{error.json_path}: {error.message}"[:200] if error else None

    return check
