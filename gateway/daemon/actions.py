"""What the commands of this machine may ask of the running daemon, through the control socket."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from gateway.model import Sealed
from gateway.wire import decompress

if TYPE_CHECKING:
    from gateway.daemon.daemon import Daemon

ALL = 2**53


class DaemonActions:
    """Implements gateway.status.actions.Actions."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def poll(self, meter_id: str) -> dict[str, Any]:
        """Poll a meter now, lost or not."""
        reading = await self._daemon.assembly.worker_of(meter_id).poll(meter_id)
        return dataclasses.asdict(reading)

    async def journal_status(self) -> dict[str, Any]:
        """What the journal says of itself, and its epochs."""
        journal = self._daemon.journal
        epochs = [{"epoch": epoch, "first": first, "last": last} for epoch, first, last in journal.epochs()]
        return {**dataclasses.asdict(journal.stats()), "epochs": epochs}

    async def journal_rows(self, first: int, last: int, limit: int, epoch: str | None = None) -> list[dict[str, Any]]:
        """Batches as they stand in the journal, oldest first."""
        rows: list[dict[str, Any]] = []
        for name, low, high in self._daemon.journal.epochs():
            if epoch in {None, name} and low <= last and high >= first:
                found = await self._daemon.journal.find(name, max(first, low), min(last, high), limit - len(rows))
                rows += [_row(sealed) for sealed in found]
            if len(rows) >= limit:
                break
        return rows

    async def reload(self) -> list[str]:
        """Read the configuration again and rebuild."""
        return await self._daemon.reload()


def _row(sealed: Sealed) -> dict[str, Any]:
    fields = {field.name: getattr(sealed, field.name) for field in dataclasses.fields(sealed) if field.name != "body"}
    return {**fields, "bytes": len(sealed.body), "batch": json.loads(decompress(sealed.body))}
