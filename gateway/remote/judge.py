"""Is a command for this gateway, now, and from somebody who may? Asked by the daemon, and again by
submeter-apply.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass

from gateway.errors import CommandRefused, WireError
from gateway.wire import parse
from gateway.wire.care import (
    MAX_COMMAND,
    MAX_LIFE_MS,
    ROOT_COMMANDS,
    CommandStatement,
    SignedCommand,
    payload_digest,
)

_NEW = "sign the command again"


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """What a command must be for: the gateway's id, its present epoch (None: it is not judged), the commands
    that are on, the UTC time in ms (None: nobody knows it), and the counter of the newest command.
    """

    gateway: str
    epoch: str | None
    commands: Collection[str]
    now: int | None
    counter: int


def read_command(payload: bytes) -> tuple[SignedCommand, CommandStatement]:
    """A message and the statement in it. Raises CommandRefused."""
    try:
        envelope = parse(SignedCommand, payload, MAX_COMMAND + 4096)
        statement = parse(CommandStatement, envelope.signed.encode())
    except (WireError, UnicodeEncodeError) as error:
        what = error.message if isinstance(error, WireError) else "it is no UTF-8"
        raise CommandRefused("malformed", f"this is no command: {what}") from error
    return envelope, statement


def check_statement(envelope: SignedCommand, statement: CommandStatement, target: CommandTarget) -> None:
    """Everything but the signature. Raises CommandRefused, whose `reason` is what it is counted under."""
    if statement.gateway != target.gateway:
        raise CommandRefused("foreign", f"the command is for {statement.gateway}")
    if statement.command not in target.commands:
        raise CommandRefused(
            "off",
            f"{statement.command} is not on at this gateway",
            hint="remote.commands in its configuration names what is",
        )
    if target.epoch is not None and statement.epoch != target.epoch:
        raise CommandRefused(
            "replayed", f"epoch {statement.epoch} is not the present one, {target.epoch}", hint=_NEW
        )
    if statement.counter <= target.counter:
        raise CommandRefused(
            "replayed", f"counter {statement.counter} is not new: the newest is {target.counter}", hint=_NEW
        )
    if target.now is not None and not 0 < statement.expires - target.now <= MAX_LIFE_MS:
        late = statement.expires <= target.now
        what = "the command has expired" if late else "the command would be good for more than a day"
        raise CommandRefused("expired", what, hint=_NEW)
    if target.now is None and statement.command in ROOT_COMMANDS:
        raise CommandRefused("clock", "nobody vouches for the clock here: nothing is changed")
    if payload_digest(envelope.payload) != statement.sha256:
        raise CommandRefused("forged", "the payload is not the one that was signed")


def signed_bytes(envelope: SignedCommand) -> tuple[bytes, bytes]:
    """(the bytes that are signed, the signature)."""
    return envelope.signed.encode(), base64.b64decode(envelope.signature)
