"""A gateway without meters and a platform without a network: batches are taken, processes end, files are
damaged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.energy import Calendar, Interval, Manifest
from gateway.history import Committed, History, Projection
from gateway.model import Event, Reading

T0 = 1_795_219_200_000  # 2026-11-21 00:00 UTC
QUARTER = 900_000
ISTANBUL = Calendar(ZoneInfo("Europe/Istanbul"))


@dataclass
class Platform:
    """What it was given. Two values under one identity are an error at once."""

    held: dict[tuple[str, str, int], dict[int, tuple[int, str]]] = field(default_factory=dict)
    manifests: dict[tuple[str, str, str], Manifest] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def take(self, batch: Committed) -> None:
        for each in batch.intervals:
            versions = self.held.setdefault((each.meter, each.quantity, each.start), {})
            value = versions.setdefault(each.version, (each.value, each.quality))
            assert value == (each.value, each.quality), f"{each} and {value}"
        for event in batch.events:
            if event.kind == "manifest":
                manifest = Manifest.told(event.fields)
                assert manifest is not None
                known = self.manifests.get((manifest.meter, manifest.quantity, event.fields["day"]))
                assert known is None or known.version < manifest.version or known == manifest
                self.manifests[manifest.meter, manifest.quantity, event.fields["day"]] = manifest
            elif event.kind == "energy_check":
                key = json.dumps([event.fields[name] for name in ("check", "meter", "quantity", "t")])
                assert key not in self.findings, key
                self.findings.append(key)

    def newest(self, meter="m", quantity="active_energy_import") -> dict[int, tuple[int, str]]:
        found = {}
        for (m, q, start), versions in sorted(self.held.items()):
            if (m, q) == (meter, quantity):
                found[start] = versions[max(versions)]
        return found

    def total(self, meter="m", quantity="active_energy_import") -> int:
        return sum(value for value, _ in self.newest(meter, quantity).values())


class Gateway:
    """`journal` outlives a process, as `directory` does; what was not committed does not."""

    def __init__(self, directory: Path, calendar=ISTANBUL, context=None) -> None:
        self.directory = directory
        self.calendar = calendar
        self.context = context
        self.journal: list[Committed] = []
        self.platform = Platform()
        self.boot, self.offset, self.uptime, self.clock = "b1", T0, 0, "synced"
        self.pending: tuple[list[Interval], list[Event]] = ([], [])
        self.now = 0.0
        self.start()

    def start(self) -> None:
        """A process starts: it takes in what is behind the watermark before it offers anything."""
        self.history = History(self.directory, self.calendar)
        kwargs = {} if self.context is None else {"context": self.context}
        self.projection = Projection(self.history, **kwargs)
        self.pending = ([], [])
        for batch in self.journal:
            if batch.seq > self.projection.seq or self.history.found.damaged:
                self.projection.take(batch)
        self._offer()

    def kill(self) -> None:
        """Nothing is saved, nothing said."""
        self.history.close()
        self.start()

    def stop(self) -> None:
        self.projection.save()
        self.kill()

    def save(self) -> None:
        self.projection.save()

    def reboot(self, clock="synced", offset=None, after=60_000) -> None:
        self.offset = self.offset + self.uptime + after if offset is None else offset
        self.boot, self.uptime, self.clock = f"{self.boot}+", 0, clock
        self.kill()

    def commit(self, readings, *, lost=False) -> None:
        """One batch: readings (meter, values), and what was offered; `lost`: the process ends before the
        COMMIT.
        """
        if lost:
            self.kill()
            return
        self.take([
            Reading(meter, self.uptime, {k: v for k, v in values.items() if v is not None},
                    {k: "timeout" for k, v in values.items() if v is None})
            for meter, values in readings
        ])  # fmt: skip

    def take(self, made: list[Reading]) -> None:
        """One batch of these readings, committed."""
        intervals, events = self.pending
        self.pending = ([], [])
        seq = self.journal[-1].seq + 1 if self.journal else 1
        t0 = self.offset + self.uptime
        batch = Committed("e", seq, self.boot, t0, self.uptime, self.clock, made, events, intervals)
        self.journal.append(batch)
        self.platform.take(batch)
        self.projection.take(batch)
        self._offer()

    def _offer(self) -> None:
        self.now += 10
        wall = self.offset + self.uptime
        intervals = list(self.history.offers(self.now, 500))
        events = list(self.projection.findings(self.uptime, self.now, 50))
        events += [
            Event("manifest", self.uptime, each.fields())
            for each in self.history.manifests(wall, self.now, 50)
        ]
        self.pending = (intervals, events)

    def poll(self, kwh, quantity="active_energy_import", pause=60_000, **how) -> None:
        self.uptime += pause
        self.commit([("m", {quantity: kwh})], **how)

    def drain(self) -> None:
        for _ in range(200):
            if not any(self.pending):
                return
            self.commit([])
        raise AssertionError("it never ends")
