"""Takes signed commands one after another: judged, its counter committed, audited, carried out, answered."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
import zlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from gateway.common.text import visible
from gateway.common.troubles import Troubles
from gateway.common.wait import wait_for_event
from gateway.config import RemoteSection
from gateway.errors import SEE_LOG, CommandRefused, GatewayError
from gateway.remote.apply.package import SUFFIX, signed_package
from gateway.remote.care.handed_over import HandedOver
from gateway.remote.counter import CommandCounter
from gateway.remote.fetch import fetch_package
from gateway.remote.judge import CommandTarget, check_statement, read_command, signed_bytes
from gateway.remote.proof import ask_signer
from gateway.wire.care import ROOT_COMMANDS, CareReply, CareState, CommandStatement

log = logging.getLogger(__name__)

COUNTER_FILE = "remote.json"
MAX_WAITING = 8
BURST, PER_SECOND = 8.0, 0.5
"""So many commands at once and in the long run are looked at; what comes on top is only counted: each costs a
process.
"""
PART = 8 * 1024
"""Bytes of compressed result in one reply."""
MOST_PARTS = 32
WHOLE = 4 * 1024
"""A result up to so many bytes goes as it is."""
NO_ID = "?"
_MOST_ERROR = 500
"""Characters of an error in a reply."""


class CareHost(Protocol):
    """What the gateway offers to commands. `epoch` is that of the next batch."""

    gateway: str

    @property
    def epoch(self) -> str:
        """The present epoch."""

    def now(self) -> int | None:
        """UTC in ms; None while nobody vouches for the clock."""

    async def audit(self, kind: str, fields: dict[str, Any]) -> None:
        """An event that is on disk when this returns. Raises JournalError."""

    def reply(self, payload: bytes) -> None:
        """Say something on P/reply, if there is a connection."""

    async def read(self, meters: list[str]) -> dict[str, Any]:
        """Poll meters now, all when none is named: readings by id."""

    async def diagnostics(self) -> dict[str, Any]:
        """The diagnostic bundle without secrets, as JSON values."""


Act = Callable[[CommandStatement, str], Awaitable[dict[str, Any]]]
_OUTCOMES = {"done": "done", "kept": "done", "undone": "failed", "failed": "failed", "refused": "failed"}
"""How an outcome of submeter-apply is counted."""


class CareService:
    """Lives on the event loop; outlives a reload."""

    def __init__(self, host: CareHost, directory: Path, section: RemoteSection) -> None:
        """`directory` is the state directory."""
        self._host = host
        self.section = section
        self._counter = CommandCounter(directory / COUNTER_FILE)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._woken = asyncio.Event()
        self._tokens, self._filled = BURST, time.monotonic()
        self._troubles = Troubles(log, "remote care: ")
        self.counts: Counter[str] = Counter()
        """By outcome: done, failed, and each reason of a refusal."""
        self._acts: dict[str, Act] = {"read": self._read, "diagnostics": self._diagnostics}
        self._fetching: set[asyncio.Task[None]] = set()
        self._one_package = asyncio.Lock()
        self._changes = HandedOver(directory, self._outcome)

    def received(self, command: str, payload: bytes) -> None:
        """A message on P/cmd/<command>."""
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * PER_SECOND)
        self._filled = now
        if self._tokens < 1 or len(self._waiting) >= MAX_WAITING:
            self._refused(CommandRefused("too_many", "commands come faster than they are looked at"))
            return
        self._tokens -= 1
        self._waiting.append((command, payload))
        self._woken.set()

    @property
    def on_trial(self) -> str:
        """The id of the change that is on trial; empty when none is."""
        return self._changes.on_trial

    async def run(self) -> None:
        """Judge and carry out commands, one after another, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_off())
            group.create_task(self._changes.run())

    async def _work_off(self) -> None:
        while True:
            self._woken.clear()
            while self._waiting:
                await self._work(*self._waiting.popleft())
            await wait_for_event(self._woken, 60.0)

    async def _work(self, topic: str, payload: bytes) -> None:
        reply_id = NO_ID
        try:
            envelope, statement = read_command(payload)
            reply_id = f"{statement.command}-{statement.counter}"
            if statement.command != topic:
                raise CommandRefused("forged", f"a command {statement.command} came on the topic of {topic}")  # noqa: TRY301
            newest = await asyncio.to_thread(self._counter.newest)
            host, section = self._host, self.section
            check_statement(
                envelope,
                statement,
                CommandTarget(host.gateway, host.epoch, section.commands, host.now(), newest),
            )
            signed_by = await asyncio.to_thread(ask_signer, section.trust, *signed_bytes(envelope))
            await self._accept(statement, signed_by)
        except CommandRefused as error:
            self._refused(error)
            result = {"epoch": self._host.epoch} if error.reason == "replayed" else None
            self._say(
                CareReply(
                    id=reply_id, ok=False, state="refused", error=str(error)[:_MOST_ERROR], result=result
                )
            )
            return
        if statement.command == "update":
            task = asyncio.create_task(self._update(reply_id, envelope.payload, payload))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        elif statement.command in ROOT_COMMANDS:
            await self._hand_over(reply_id, payload)
        else:
            await self._carry_out(reply_id, statement, envelope.payload)

    async def _update(self, reply_id: str, said: str, message: bytes) -> None:
        """Fetch a package, which takes its time, and hand it over with the command; one after the other."""
        async with self._one_package:
            try:
                package = signed_package(said)
                target = await asyncio.to_thread(self._changes.room_for, f"{reply_id}{SUFFIX}")
                await asyncio.to_thread(fetch_package, package.url, package.sha256, package.size, target)
            except (CommandRefused, OSError) as error:
                self._fail(reply_id, str(error))
                return
            await self._hand_over(reply_id, message)

    async def _hand_over(self, reply_id: str, message: bytes) -> None:
        """What changes the machine is for submeter-apply, which judges it again."""
        try:
            await self._changes.give(reply_id, message)
        except OSError as error:
            what = f"the request cannot be written: {error.strerror}"
            self._fail(reply_id, what)

    def _fail(self, reply_id: str, error: str) -> None:
        self.counts["failed"] += 1
        self._say(CareReply(id=reply_id, ok=False, state="failed", error=error[:_MOST_ERROR]))

    async def _outcome(self, reply_id: str, state: CareState, error: str) -> None:
        """What became of a change: answered, and at its end an event. Raises JournalError."""
        if state != "trying":
            command, _, counter = reply_id.partition("-")
            fields = {"command": command, "counter": int(counter), "state": state, "error": error}
            await self._host.audit("remote_command_result", fields)
            self.counts[_OUTCOMES[state]] += 1
        good = state in {"trying", "kept", "done"}
        self._say(CareReply(id=reply_id, ok=good, state=state, error=error or None))

    async def _accept(self, statement: CommandStatement, signed_by: str) -> None:
        """From here on this command is not accepted again, whatever happens."""
        await asyncio.to_thread(self._counter.commit, statement.counter)
        fields = {"command": statement.command, "counter": statement.counter, "key": visible(signed_by, 64)}
        try:
            await self._host.audit("remote_command", fields)
        except GatewayError as error:
            what = f"it cannot be noted in the journal: {error.message}"
            raise CommandRefused("failed", what, hint=SEE_LOG) from error
        log.info("remote care: %s, counter %d, signed by %s", *fields.values())

    async def _carry_out(self, reply_id: str, statement: CommandStatement, payload: str) -> None:
        try:
            result = await self._acts[statement.command](statement, payload)
        except GatewayError as error:
            self._fail(reply_id, str(error))
        except Exception as error:
            log.exception("remote care: %s failed in an unforeseen way", statement.command)
            self._fail(reply_id, type(error).__name__)
        else:
            self.counts["done"] += 1
            self._answer(reply_id, statement.command, result)

    def _answer(self, reply_id: str, command: str, result: dict[str, Any]) -> None:
        """A result in one reply, or in parts."""
        plain = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
        if len(plain) <= WHOLE:
            self._say(CareReply(id=reply_id, ok=True, state="done", result=result))
            return
        packed = zlib.compress(plain, 9)
        parts = [packed[at : at + PART] for at in range(0, len(packed), PART)]
        if len(parts) > MOST_PARTS:
            error = f"{_TOO_LARGE} → name some of the meters" if command == "read" else _TOO_LARGE
            self._say(CareReply(id=reply_id, ok=False, state="failed", error=error))
            return
        for number, part in enumerate(parts, 1):
            data = base64.b64encode(part).decode()
            said = CareReply(id=reply_id, ok=True, state="done", part=number, parts=len(parts), data=data)
            self._say(said)

    def _say(self, reply: CareReply) -> None:
        self._host.reply(reply.to_bytes())

    def _refused(self, error: CommandRefused) -> None:
        self.counts[error.reason] += 1
        self._troubles.note(error.reason, f"a command was refused ({error.reason}): {error}")

    async def _read(self, _statement: CommandStatement, payload: str) -> dict[str, Any]:
        meters = _object(payload).get("meters", [])
        if not isinstance(meters, list) or not all(isinstance(each, str) for each in meters):
            raise GatewayError("meters is no list of ids", hint=_READ)
        return {"readings": await self._host.read(meters)}

    async def _diagnostics(self, _statement: CommandStatement, _payload: str) -> dict[str, Any]:
        return await self._host.diagnostics()


_READ = 'write {"meters": ["id", …]}, or nothing for all'
_TOO_LARGE = "the result is too large to send"


def _object(payload: str) -> dict[str, Any]:
    """The JSON object of a payload; none is an empty one. Raises GatewayError."""
    try:
        found = json.loads(payload or "{}")
    except (ValueError, RecursionError) as error:
        raise GatewayError("the payload is no JSON", hint=_READ) from error
    if not isinstance(found, dict):
        raise GatewayError("the payload is no JSON object", hint=_READ)
    return found
