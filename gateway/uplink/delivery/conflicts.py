"""Batches whose number stands for other content at the platform: they go out again under an epoch of their
own.

The epoch is derived from what the batch says, so that it is the same after a restart or a lost receipt, and
the platform sees the second copy as the duplicate that it is. Each such epoch has exactly one batch and opens
with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from gateway.model import Sealed
from gateway.uplink.delivery.window import Key, key_of
from gateway.wire import decompress, digest

MAX_PENDING = 1000


def derived_epoch(sealed: Sealed) -> str:
    """16 hex digits that depend on the batch's identity and content only. Raises WireError."""
    return blake2b(f"{sealed.epoch}/{digest(decompress(sealed.body))}".encode(), digest_size=8).hexdigest()


class Conflicts:
    """What the platform reported, from the report to the delivery under the derived epoch."""

    def __init__(self) -> None:
        self._seen: dict[Key, None] = {}
        self._stored: dict[Key, tuple[str, str]] = {}
        """Of what was reported and is not resolved: who reported it, and the digest of what is stored
        there.
        """
        self.reported: list[Key] = []
        self._epochs: dict[Key, str] = {}
        self._originals: dict[str, Key] = {}
        self._pending: dict[Key, Sealed] = {}
        self._left: set[str] = set()

    def leaves(self, epoch: str) -> bool:
        """Whether this is the first conflict of an epoch: then no further batch may be committed under it."""
        first = epoch not in self._left
        self._left.add(epoch)
        return first

    def stays(self, epoch: str) -> None:
        """The journal could not leave it: the next conflict is the first one again."""
        self._left.discard(epoch)

    def report(self, epoch: str, seqs: Iterable[int]) -> list[Key]:
        """Remember what is new of a receipt's conflicts, at most MAX_PENDING at a time."""
        new = [(epoch, seq) for seq in seqs if (epoch, seq) not in self._seen][
            : max(0, MAX_PENDING - len(self._pending) - len(self.reported))
        ]
        self._seen.update(dict.fromkeys(new))
        self.reported += new
        return new

    def store(self, key: Key, consumer: str, digest: str) -> None:
        """What a consumer says to hold under a number in conflict."""
        self._stored[key] = (consumer, digest)

    def stored_as(self, key: Key) -> tuple[str, str]:
        """(consumer, digest) of what is held under a number in conflict; asked once, empty when not said."""
        return self._stored.pop(key, ("", ""))

    def reissue(self, sealed: Sealed) -> None:
        """Give a batch its derived epoch. Raises WireError."""
        epoch = derived_epoch(sealed)
        key = key_of(sealed)
        self._epochs[key] = epoch
        self._originals[epoch] = key
        self._pending[key] = sealed

    def epoch(self, key: Key) -> str:
        """The epoch under which a batch goes out."""
        return self._epochs.get(key, key[0])

    def original(self, epoch: str) -> Key | None:
        """Whose derived epoch this is."""
        return self._originals.get(epoch)

    def delivered(self, key: Key) -> None:
        """The platform has it under its derived epoch."""
        self._pending.pop(key, None)

    def __contains__(self, key: Key) -> bool:
        return key in self._pending

    def __iter__(self) -> Iterator[Sealed]:
        return iter(list(self._pending.values()))

    def __len__(self) -> int:
        """How many were reported since the start."""
        return len(self._seen)
