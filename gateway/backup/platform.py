"""A small backup at the platform: what makes the gateway, without its history and its TLS key, on P/backup.

A connection of its own, once a night: nothing of it is ever loaded in the daemon. The broker keeps the newest
one (retained); `submeter receive --backups` puts it into files.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.backup.contents import Left, files_of, write_files
from gateway.backup.envelope import Sealer
from gateway.common import event_loop
from gateway.common.files import NEXT, PENDING
from gateway.config import Config, Uplink
from gateway.errors import BackupError, UplinkError
from gateway.mqtt import FIRST_FAILURE, NO_SUBSCRIBERS, BrokerLink, Outgoing, meaning, payload_room
from gateway.uplink import broker_of
from gateway.wire import Topics

MOST = 64 * 1024
"""Bytes of the message, where the broker takes as many."""
PATIENCE = 60.0
"""s for connecting, and again for the broker's acknowledgement."""
_NEVER = "history.db"
"""The page's history is the largest file, and the platform has what it is made of."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the broker has acknowledged: bytes, and what is not in them."""

    size: int
    left: tuple[Left, ...]


def small_backup(path: Path, config: Config, recipient: str, most: int) -> tuple[bytes, list[Left]]:
    """As much as `most` bytes hold, in the order of its worth; and what is left out. Raises BackupError when
    not even the configuration fits.
    """
    keys = [path.parent / uplink.key for uplink in config.uplinks if uplink.key]
    # The key of a renewal that is under way lies beside the one that runs.
    apart = {str(key.with_name(key.name + end)) for key in keys for end in ("", PENDING, NEXT)}
    files, never = [], []
    for kind, file in files_of(path, config):
        if file.name == _NEVER or str(file) in apart:
            never.append(Left(str(file), "is never sent: it stays on the gateway"))
        else:
            files.append((kind, file))

    def of_first(count: int) -> tuple[bytes, list[Left]]:
        body = io.BytesIO()
        left = write_files(path, config, Sealer.to_recipient(body, recipient), files[:count], platform=True)
        return body.getvalue(), left

    # The usual night has room for all; else the largest number that fits is sought by halves.
    best, fits, too_many, count = None, -1, len(files) + 1, len(files)
    while too_many - fits > 1:
        made = of_first(count)
        if len(made[0]) <= most:
            best, fits = made, count
        else:
            too_many = count
        count = (fits + too_many) // 2
    if best is None:
        raise BackupError(
            f"the configuration alone is larger than the {most} bytes that the broker takes",
            hint="ask the platform's operator for larger messages, or use backup.directory",
        )
    cut = [Left(str(file), f"no room in {most} bytes") for _, file in files[fits:]]
    return best[0], [*never, *best[1], *cut]


def send_backup(path: Path, config: Config, uplink: Uplink, recipient: str) -> Sent:
    """Make it for the broker of an uplink, and send it. Raises BackupError, UplinkError."""
    return event_loop.run(_send(path, config, uplink, recipient))


class _Acknowledged:
    """Waits for one PUBACK."""

    def __init__(self) -> None:
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        if not self.code.done():
            self.code.set_result(acks[0][1])

    def received(self, topic: str, payload: bytes) -> None:
        pass

    def lost(self, error: UplinkError) -> None:
        if not self.code.done():
            self.code.set_exception(error)


async def _send(path: Path, config: Config, uplink: Uplink, recipient: str) -> Sent:
    gateway = config.gateway.id
    # The uplink's own name is the running gateway's: who takes it ends the other connection.
    broker = replace(broker_of(uplink, gateway), client_id=f"{gateway}-backup")
    topic, heard = Topics(gateway).backup, _Acknowledged()
    async with asyncio.timeout(PATIENCE):
        connection = await BrokerLink(broker).open(heard, will=None, topics=[])
    try:
        limit, five = connection.limits.packet, connection.protocol == "5.0"
        most = MOST if limit is None else min(MOST, payload_room(topic, limit, five=five))
        body, left = await asyncio.to_thread(small_backup, path, config, recipient, most)
        connection.publish([Outgoing(topic, body, retain=connection.limits.retain, tag=topic)])
        async with asyncio.timeout(PATIENCE):
            code = await heard.code
    finally:
        await connection.close()
    if code >= FIRST_FAILURE:
        raise BackupError(
            f"{broker.address} refuses {topic}: {meaning(code).what}",
            hint=f"ask the platform's operator to allow writing {topic}",
        )
    if code == NO_SUBSCRIBERS:
        left.append(Left(topic, "nobody hears it at the moment; the broker keeps it"))
    return Sent(len(body), tuple(left))
