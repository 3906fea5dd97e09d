"""Receipts: after each commit, and for all that is held when a gateway comes online."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from gateway.mqtt import ThreadLink
from gateway.receiver.ledger import receipt_pages, receipts
from gateway.receiver.store import Store
from gateway.wire import MAX_SMALL, Receipt, Topics

DIGESTS = 10_000
"""Digests of stored batches that are remembered: a number in conflict is told often."""
DIGEST_BYTES = 60
"""Of a number with the digest of what is stored under it, in a receipt."""
EPOCHS = 16
"""Epochs, the newest ones, that are receipted when a gateway comes online; its current one always."""
TURN = 0.02
"""Seconds at a time for the receipts that a gateway is owed which came online: nobody else waits longer."""


@dataclass(slots=True)
class Counts:
    """What this run has done."""

    batches: int = 0
    values: int = 0
    duplicates: int = 0
    conflicts: int = 0
    commits: int = 0
    receipts: int = 0
    replays: int = 0
    clones: int = 0
    """Times that a gateway came back to an epoch that it had left."""
    refused: Counter[str] = field(default_factory=Counter)


class ReceiptSender:
    """To every gateway, as this consumer."""

    def __init__(self, store: Store, link: ThreadLink, consumer: str, counts: Counts) -> None:
        self._store = store
        self._link = link
        self._consumer = consumer
        self._counts = counts
        self._digests: dict[tuple[str, str, int], str] = {}
        self.owed: dict[str, Iterator[Receipt]] = {}
        """Pages for gateways that came online."""

    def stored(self, seqs: Mapping[tuple[str, str], set[int]]) -> None:
        """A commit answers for these seqs, by gateway and epoch."""
        for (gateway, epoch), lately in seqs.items():
            ledger, most = self._store.ledger(gateway).epoch(epoch), self._most(gateway)
            for receipt in receipts(epoch, ledger, lately, most=most):
                self._send(gateway, receipt)

    def came_online(self, gateway: str, epoch: str | None) -> None:
        """It is owed receipts for all that it has delivered, the present epoch first."""
        self.owed[gateway] = self._everything(gateway, epoch)

    def _everything(self, gateway: str, current: str | None) -> Iterator[Receipt]:
        known = islice(reversed(self._store.ledger(gateway).epochs), EPOCHS)
        for epoch in dict.fromkeys([*([current] if current else []), *known]):
            ledger = self._store.ledger(gateway).epoch(epoch)
            yield from receipt_pages(epoch, ledger, pages=64, most=self._most(gateway))

    def pay(self) -> None:
        """Send of what is owed as much as a turn allows, a page of each gateway after the other."""
        end = time.monotonic() + TURN
        while self.owed and time.monotonic() < end:
            gateway = next(iter(self.owed))
            pages = self.owed.pop(gateway)
            if (receipt := next(pages, None)) is not None:
                self._send(gateway, receipt)
                self.owed[gateway] = pages

    def _send(self, gateway: str, receipt: Receipt) -> None:
        self._add_digests(gateway, receipt)
        sent = self._link.send(Topics(gateway).receipt(self._consumer), receipt.to_bytes())
        self._counts.receipts += sent

    def _most(self, gateway: str) -> int:
        """Bytes of a receipt: what a gateway is willing to read, or what the broker takes where that is
        less.
        """
        room = self._link.room_for(Topics(gateway).receipt(self._consumer))
        return MAX_SMALL if room is None else min(MAX_SMALL, room)

    def _add_digests(self, gateway: str, receipt: Receipt) -> None:
        """Of what is stored under the numbers in conflict, as far as a receipt has room: whose it is need
        not send it again.
        """
        if receipt.conflicts:
            fit = max(0, (self._most(gateway) - len(receipt.to_bytes())) // DIGEST_BYTES - 1)
            seqs = receipt.conflicts[max(0, len(receipt.conflicts) - fit) :]
            receipt.digests = [(seq, self._digest(gateway, receipt.epoch, seq)) for seq in seqs]

    def _digest(self, gateway: str, epoch: str, seq: int) -> str:
        key = (gateway, epoch, seq)
        if key not in self._digests:
            if len(self._digests) >= DIGESTS:
                self._digests.clear()
            self._digests[key] = self._store.digest_of(*key)
        return self._digests[key]
