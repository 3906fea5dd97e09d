"""What the engine has found: each finding until it is published, and the newest ones of each meter as they
are kept in the file, for page and commands.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.energy import Finding, KeptFinding
from gateway.history.history import SURE
from gateway.history.values import COUNTERS
from gateway.model import Event

CHECK: Final = "energy_check"
WAITING: Final = 5_000
"""Findings that wait to be told; beyond that the oldest are let go."""
KEPT, KEPT_OF_A_KIND = 1_000, 8
"""Findings that stay in the file, and of them those of one kind and register."""
NOTED: Final = 3_600_000
"""ms after which it is noted anew that a finding lasts: each time all of them are written."""
FindingKey = tuple[str, str, str]
"""Meter, quantity and kind."""


class Findings:
    """Belongs to the history's thread. `packed`: what `packed` gave before."""

    def __init__(self, packed: bytes | None = None) -> None:
        self._waiting: dict[str, Event] = {}
        self.under_way: dict[str, float] = {}
        """Those that were given to be published, and when (s, monotonic)."""
        self._kept: dict[FindingKey, list[KeptFinding]] = {}
        for each in unpacked_findings(packed):
            self._kept.setdefault((each.meter, each.quantity, each.finding.kind), []).append(each)
        self.are_new = packed is None
        """Nothing was kept before, not even that there is nothing: an earlier version told the platform
        alone.
        """
        self._changed = self.are_new

    def add(self, meter: str, quantity: str, finding: Finding) -> None:
        """A check saw something; what was seen before is not new."""
        fields: dict[str, Any] = {"check": finding.kind, "meter": meter, "quantity": quantity}
        fields |= {"t": finding.t} | finding.evidence()
        self._waiting[_key(fields)] = Event(CHECK, 0, fields)
        if len(self._waiting) > WAITING:
            del self._waiting[next(iter(self._waiting))]
        row = self._kept.setdefault((meter, quantity, finding.kind), [])
        row[:] = [each for each in row if each.finding.t != finding.t]
        row.append(KeptFinding(meter, quantity, finding, finding.t))
        del row[:-KEPT_OF_A_KIND]
        self._changed = True

    def lasts(self, meter: str, quantity: str, kinds: Iterable[str], t: int) -> None:
        """At `t` it is still as the newest findings of these kinds say."""
        for kind in kinds:
            row = self._kept.get((meter, quantity, kind))
            if row and row[-1].seen <= t - NOTED:
                row[-1] = replace(row[-1], seen=t)
                self._changed = True

    # ── to the platform ──

    def offers(self, uptime: int, now: float, most: int) -> Iterator[Event]:
        """Events to publish, the oldest first; what is given counts as under way (`now`: monotonic s)."""
        for key, event in list(self._waiting.items())[:most]:
            if now - self.under_way.get(key, -SURE) >= SURE:
                self.under_way[key] = now
                yield Event(event.kind, uptime, event.fields)

    def published(self, fields: Mapping[str, Any]) -> None:
        """An event of these fields stands in a committed batch."""
        self._waiting.pop(_key(fields), None)
        self.under_way.pop(_key(fields), None)

    def know_under_way(self, given: Mapping[str, float]) -> None:
        """What another one of the same process gave to be published."""
        self.under_way.update(given)

    def waiting(self) -> list[Mapping[str, Any]]:
        """The fields of what is not published yet, as JSON values."""
        return [event.fields for event in self._waiting.values()]

    def wait_for(self, fields: Iterable[Mapping[str, Any]]) -> None:
        """Know what `waiting` gave."""
        self._waiting = {_key(each): Event(CHECK, 0, dict(each)) for each in fields}

    # ── to the file ──

    def packed(self) -> dict[str, bytes]:
        """What is to be saved by its name; nothing while nothing has changed since `saved`."""
        if not self._changed:
            return {}
        kept = sorted((each for row in self._kept.values() for each in row), key=lambda each: each.seen)
        for each in kept[:-KEPT]:
            row = self._kept[each.meter, each.quantity, each.finding.kind]
            row.remove(each)
            if not row:
                del self._kept[each.meter, each.quantity, each.finding.kind]
        states = [[each.meter, each.quantity, each.seen, *each.finding.state()] for each in kept[-KEPT:]]
        return {"findings": zlib.compress(json.dumps(states, separators=(",", ":")).encode(), 6)}

    def saved(self) -> None:
        """What `packed` gave stands in the file."""
        self._changed = self.are_new = False


def unpacked_findings(packed: bytes | None) -> list[KeptFinding]:
    """What is kept, by the time at which it was so last; what cannot be read, or is of a register that this
    version does not know, is not known.
    """
    if packed is None:
        return []
    try:
        states: Sequence[Any] = json.loads(zlib.decompress(packed))
        return [
            KeptFinding(meter, quantity, Finding.restored(state), seen)
            for meter, quantity, seen, *state in states
            if not quantity or quantity in COUNTERS
        ]
    except (zlib.error, ValueError, TypeError, KeyError):
        return []


def _key(fields: Mapping[str, Any]) -> str:
    """What tells one finding from another."""
    return json.dumps([fields.get(name) for name in ("check", "meter", "quantity", "t")])
