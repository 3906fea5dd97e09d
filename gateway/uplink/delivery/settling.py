"""What the journal is told and asked about deliveries: settled ranges, conflicts, the figures of the
backlog. A journal in trouble delays and never ends an uplink.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.common.troubles import Troubles
from gateway.errors import GatewayError, WireError
from gateway.model import Sealed
from gateway.uplink.delivery.delivery import Delivery
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.rewrap import rewrap
from gateway.wire import decompress, digest

SUBJECT = "the journal"


class Settling:
    """Every method raises whatever the journal raises, but for `count_backlog`."""

    def __init__(self, account: str, journal: JournalPort, delivery: Delivery, troubles: Troubles) -> None:
        self._account = account
        self._journal = journal
        self._delivery = delivery
        self._conflicts = delivery.conflicts
        self._troubles = troubles
        self.batches = 0
        self.readings = 0
        self.oldest_t0: int | None = None

    def trouble(self, error: Exception) -> None:
        """Something between two wake-ups failed: said, and tried again soon."""
        if isinstance(error, (GatewayError, OSError)):
            self._troubles.begin(SUBJECT, f"the journal cannot be asked: {error}")
        else:
            what = f"an unforeseen error: {type(error).__name__}: {error}"
            self._troubles.begin(SUBJECT, what, cause=error)

    def answered(self) -> None:
        """Everything that had to be asked was answered. The figures alone prove nothing: they come from
        memory.
        """
        self._troubles.end(SUBJECT)

    def count_backlog(self) -> None:
        """Renew the figures of the backlog."""
        try:
            backlog = self._journal.backlog(self._account)
        except Exception as error:  # noqa: BLE001 - figures only; the journal heals itself
            self.trouble(error)
        else:
            self.batches, self.readings, self.oldest_t0 = backlog.batches, backlog.readings, backlog.oldest_t0

    async def settle(self) -> None:
        """Tell the journal what was delivered."""
        settled = self._delivery.settled()
        while settled:
            epoch, ranges = settled.popitem()
            try:
                await self._journal.settle(self._account, epoch, ranges)
            except BaseException:
                for left, those in {**settled, epoch: ranges}.items():
                    self._delivery.unsettled(left, those)
                raise

    async def resolve_conflicts(self, again: Callable[[Sealed], None], gateway: str) -> None:
        """Offer again, under their own epochs, what the platform holds other content for; leave the
        present epoch.

        When the platform says that it is our batch which it holds, and another one that came with its number,
        it is delivered.
        """
        conflicts = self._conflicts
        while conflicts.reported:
            epoch, seq = conflicts.reported[0]
            found = await self._journal.find(epoch, seq, seq, 1)
            if found and self._is_stored(found[0], gateway):
                conflicts.reported.pop(0)
                what = f"another batch came to the platform with the number {epoch}/{seq} of ours"
                self._troubles.note(
                    f"clone in {epoch}", f"{what}, which it holds → does a copy of this card run elsewhere?"
                )
                continue
            if self._journal.newest[0] == epoch and conflicts.leaves(epoch):
                try:
                    await self._journal.new_epoch("conflict")
                except BaseException:
                    conflicts.stays(epoch)
                    raise
            conflicts.reported.pop(0)
            fate = (
                "it is sent again under a new epoch" if found else "the batch is not in the journal any more"
            )
            what = f"the platform holds other content as batch {epoch}/{seq}: {fate}"
            self._troubles.note(
                f"conflict in {epoch}", f"{what} → was this card, or the platform, copied or restored?"
            )
            for sealed in found:
                self._reissue(sealed, again)

    def _reissue(self, sealed: Sealed, again: Callable[[Sealed], None]) -> None:
        try:
            self._conflicts.reissue(sealed)
        except WireError as error:
            batch = f"batch {sealed.epoch}/{sealed.seq}"
            self._troubles.note(batch, f"{batch} cannot be sent again: {error}")
        else:
            again(sealed)

    def _is_stored(self, sealed: Sealed, gateway: str) -> bool:
        try:
            mine = digest(decompress(rewrap(sealed, gateway)))
        except WireError:
            return False
        return self._delivery.is_stored((sealed.epoch, sealed.seq), mine, time.monotonic())
