"""The uplink's dealings with the journal: settling, conflicts, figures. A journal in trouble delays and
never ends an uplink.
"""

from __future__ import annotations

import time

from gateway.errors import GatewayError, WireError
from gateway.model import Sealed
from gateway.uplink.complaints import Complaints
from gateway.uplink.delivery.delivery import Delivery
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.outgoing.clock_hold import ClockHold
from gateway.uplink.outgoing.queues import Queues
from gateway.uplink.outgoing.rewrap import rewrap
from gateway.wire import decompress, digest

_EPOCHS = 8
"""Epochs that are looked at for the beginning of this boot; one boot rarely has more than one."""


class Settling:
    """Every method raises whatever the journal raises, but for `look` and `learn`."""

    def __init__(self, uplink: str, outbox: JournalPort, delivery: Delivery, complaints: Complaints) -> None:
        self._uplink = uplink
        self._outbox = outbox
        self._delivery = delivery
        self._complaints = complaints
        self.batches = 0
        self.readings = 0
        self.oldest_t0: int | None = None

    def trouble(self, error: Exception) -> None:
        """Something between two wake-ups failed: said, and tried again soon."""
        if isinstance(error, (GatewayError, OSError)):
            self._complaints.raised("the journal", f"the journal cannot be asked: {error}")
        else:
            self._complaints.raised(
                "the journal", f"an unforeseen error: {type(error).__name__}: {error}", cause=error
            )

    def answered(self) -> None:
        """Everything that had to be asked was answered. The figures alone prove nothing: they come from
        memory.
        """
        self._complaints.ended("the journal")

    def look(self) -> None:
        """Renew the figures of the backlog."""
        try:
            backlog = self._outbox.backlog(self._uplink)
        except Exception as error:  # noqa: BLE001 - figures only; the journal heals itself
            self.trouble(error)
        else:
            self.batches, self.readings, self.oldest_t0 = backlog.batches, backlog.readings, backlog.oldest_t0

    async def learn(self, hold: ClockHold) -> None:
        """When this boot began to take readings: its hold runs from there."""
        try:
            for epoch, first, last in self._outbox.epochs()[-_EPOCHS:]:
                for sealed in await self._outbox.find(epoch, first, last, 1):
                    hold.met(sealed)
        except Exception as error:  # noqa: BLE001 - then the hold runs from the next batch
            self.trouble(error)

    async def settle(self) -> None:
        """Tell the journal what was delivered."""
        settled = self._delivery.settled()
        while settled:
            epoch, ranges = settled.popitem()
            try:
                await self._outbox.settle(self._uplink, epoch, ranges)
            except BaseException:
                for left, those in {**settled, epoch: ranges}.items():
                    self._delivery.unsettled(left, those)
                raise

    async def resolve_conflicts(self, sources: Queues, gateway: str) -> None:
        """Offer again, under their own epochs, what the platform holds other content for; leave the present
        epoch.

        When the platform says that it is our batch which it holds, and another one that came with its number,
        it is delivered.
        """
        conflicts = self._delivery.conflicts
        while conflicts.reported:
            epoch, seq = conflicts.reported[0]
            found = await self._outbox.find(epoch, seq, seq, 1)
            if found and self._is_stored(found[0], gateway):
                conflicts.reported.pop(0)
                what = (
                    f"another batch came to the platform with the number {epoch}/{seq} of ours, which "
                    f"it holds"
                )
                self._complaints.noted(
                    f"clone in {epoch}", f"{what} → does a copy of this card run elsewhere?"
                )
                continue
            if self._outbox.newest[0] == epoch and conflicts.leaves(epoch):
                try:
                    await self._outbox.new_epoch("conflict")
                except BaseException:
                    conflicts.stays(epoch)
                    raise
            conflicts.reported.pop(0)
            fate = (
                "it is sent again under a new epoch" if found else "the batch is not in the journal any more"
            )
            cause = "was this card, or the platform, copied or restored?"
            self._complaints.noted(
                f"conflict in {epoch}",
                f"the platform holds other content as batch {epoch}/{seq}: {fate} → {cause}",
            )
            for sealed in found:
                try:
                    conflicts.reissue(sealed)
                except WireError as error:
                    self._complaints.noted(
                        f"batch {epoch}/{seq}", f"batch {epoch}/{seq} cannot be sent again: {error}"
                    )
                else:
                    sources.again.append(sealed)

    def _is_stored(self, sealed: Sealed, gateway: str) -> bool:
        try:
            mine = digest(decompress(rewrap(sealed, gateway)))
        except WireError:
            return False
        return self._delivery.is_stored((sealed.epoch, sealed.seq), mine, time.monotonic())
