"""Remote care: signed commands on P/cmd/<command>, what is said of them on P/reply. Pure: bytes ⇄ models.

Exactly the bytes of `signed` are signed, Ed25519 (RFC 8032): nobody has to write JSON the same way twice.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from gateway.wire.batch import Epoch
from gateway.wire.messages import PlainText, SmallMessage

CareCommand = Literal["read", "diagnostics", "config", "drivers", "update"]
CARE_COMMANDS: tuple[str, ...] = get_args(CareCommand)
ROOT_COMMANDS = ("config", "drivers", "update")
"""What changes the machine: only with a right clock, and only by submeter-apply."""
MAX_COMMAND = 192 * 1024
"""Bytes of a message with a command."""
MAX_PACKAGE = 256 * 1024 * 1024
"""Bytes of a package that a gateway takes."""
MAX_LIFE_MS = 24 * 3600 * 1000
"""A command is good for a day at most."""


CareState = Literal["refused", "done", "failed", "trying", "kept", "undone"]


class SignedCommand(SmallMessage):
    """A command: a `CommandStatement` as text, the signature of its UTF-8 bytes (base64), and what it is
    about.
    """

    signed: Annotated[str, Field(max_length=1024)]
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
    payload: Annotated[str, Field(max_length=MAX_COMMAND)] = ""


class CommandStatement(SmallMessage):
    """What is signed: for which gateway and epoch, which command, and the SHA-256 of the payload's UTF-8
    bytes.

    `counter` is greater than that of each command before; `expires` is UTC in ms, a day ahead at most.
    """

    v: Literal[1] = 1
    gateway: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    epoch: Epoch
    counter: Annotated[int, Field(ge=1, lt=2**53)]
    expires: Annotated[int, Field(ge=0, lt=2**53)]
    command: CareCommand
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CareReply(SmallMessage):
    """P/reply to a command of remote care: `id` is `<command>-<counter>`.

    `state`: refused (nothing was done), done, failed, trying (a change is on trial, another reply follows),
    kept or undone. `result` is what the command brought. What is too long for one message comes in `parts`
    messages: `data` is base64; joined in the order of `part` (from 1) it is compressed JSON (zlib).
    """

    id: Annotated[str, Field(max_length=64)]
    ok: bool
    state: CareState
    error: PlainText | None = None
    result: dict[str, Any] | None = None
    part: Annotated[int, Field(ge=1)] | None = None
    parts: Annotated[int, Field(ge=1, le=100)] | None = None
    data: str | None = None


def payload_digest(payload: str) -> str:
    """The SHA-256 of a payload, as a statement has it."""
    return hashlib.sha256(payload.encode()).hexdigest()
