"""The snapshot of everything, from what the parts say of themselves, without paths of this machine."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import __version__
from gateway.config import UPLINK_FILES, Config
from gateway.daemon import views
from gateway.daemon.assembly import Assembly
from gateway.daemon.describe import maintenance_firm
from gateway.host import Clock
from gateway.journal import JournalStats
from gateway.status import Beat, RemoteView, Snapshot, UpgradeView
from gateway.uplink import Forwarder

EVERY = 5.0
WINDOW = 60.0
"""s over which the speed of a backlog is taken."""
LEAST = 10.0
"""s that must have been seen before a speed is believed."""
MOST_LINES = 20
"""Mistakes that are told one by one: what a page can bear."""


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What the daemon knows beside its parts: monotonic s of its start, UTC in ms at which its file was read.

    `refused` counts the problems for which the newest reload was refused, `mistakes` are those with which
    the configuration runs, `problems` what else went wrong with it; `newest` (UTC, ms) is the newest batch.
    `certificate_ends`: by uplink, UTC in ms. `history` is why the history of quarter hours cannot be kept.
    `standing_still`: meters of which a register does not count although there is power.
    """

    file: Path
    started: float
    read_at: int
    refused: int
    mistakes: tuple[str, ...]
    problems: tuple[str, ...]
    newest: int | None
    upgrade: UpgradeView | None
    certificate_ends: Mapping[str, int]
    remote: RemoteView | None
    history: str
    standing_still: frozenset[str]


def snapshot(
    told: DaemonFacts,
    assembly: Assembly,
    stats: JournalStats,
    *,
    clock: Clock,
    speed: BacklogSpeed,
    beats: tuple[Beat, ...],
) -> Snapshot:
    """The facts of now."""
    config, moment, slots = assembly.config, views.Moment(clock), assembly.slots
    health = {name: worker.health() for name, worker in assembly.workers.items()}
    mistakes, problems = told.mistakes[:MOST_LINES], [bus.warning for bus in health.values() if bus.warning]
    whole = Snapshot(
        gateway=config.gateway.id,
        name=config.gateway.name,
        version=__version__,
        timezone=config.gateway.timezone,
        language=config.status.language,
        screen=config.status.screen,
        service=maintenance_firm(config),
        key=assembly.description.key,
        taken=moment.wall,
        booted=moment.uptime,
        uptime=moment.monotonic - told.started,
        clock=views.clock_view(clock, config.clock.hold),
        journal=views.journal_view(
            stats,
            _newest(told, assembly, moment),
            slots.pending,
            slots.refused,
            slot=config.gateway.commit_interval,
            warn=config.journal.warn,
        ),
        meters=views.meter_views(assembly, health, moment, told.standing_still),
        own=views.own_view(assembly.own, moment),
        buses=tuple(views.bus_view(assembly, bus, told.read_at, moment) for bus in health.values()),
        uplinks=tuple(
            views.uplink_view(
                forwarder.stats(),
                uplink,
                moment,
                left=speed.left(uplink.name),
                before=assembly.delivered_before.get(uplink.name, 0),
                started=moment.wall_of(told.started),
                salvaged=stats.salvaged.get(uplink.account, 0),
                certificate_ends=told.certificate_ends.get(uplink.name),
            )
            for forwarder, uplink in zip(assembly.forwarders, config.uplinks, strict=True)
        ),
        beats=beats,
        upgrade=told.upgrade,
        remote=told.remote,
        refused=told.refused,
        history=told.history,
        mistakes=len(told.mistakes),
        in_short=bool(told.refused) + len(mistakes),
        problems=(*told.problems, *mistakes, *problems),
    )
    return Paths(config, told.file).hidden(whole)


def _newest(told: DaemonFacts, assembly: Assembly, moment: views.Moment) -> int | None:
    """When the newest batch was taken: of this boot it is known, however the clock was set meanwhile."""
    uptime = assembly.newest_uptime
    return told.newest if uptime is None else moment.wall - moment.uptime + uptime


class Paths:
    """Paths that a configuration names, each with its key as in `uplinks[0].ca`.

    Where a file lies on this machine visitors of the page need not know: they are told the key that names it.
    """

    def __init__(self, config: Config, file: Path) -> None:
        keys = {str(file): file.name, str(file.parent): "its folder"}
        keys |= {config.drivers.directory: "drivers.directory", config.journal.directory: "journal.directory"}
        for index, uplink in enumerate(config.uplinks):
            for key in UPLINK_FILES:
                if path := getattr(uplink, key):
                    keys.setdefault(path, f"uplinks[{index}].{key}")
        self._keys = {path: key for path, key in keys.items() if len(path) > 1}
        # The longest first: a file stands in its folder. What goes on behind it is another path.
        choices = "|".join(re.escape(path) for path in sorted(self._keys, key=len, reverse=True))
        self._pattern = re.compile(rf"({choices})(?![\w.-]*\w)")

    def hide(self, text: str) -> str:
        """The text with keys in the place of paths."""
        return self._pattern.sub(lambda match: self._keys[match[0]], text) if "/" in text else text

    def hidden(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with keys in the place of paths, wherever a text was written by an error."""
        return dataclasses.replace(
            snapshot,
            problems=tuple(map(self.hide, snapshot.problems)),
            history=self.hide(snapshot.history),
            journal=dataclasses.replace(snapshot.journal, error=self.hide(snapshot.journal.error)),
            uplinks=tuple(
                dataclasses.replace(uplink, error=self.hide(uplink.error)) for uplink in snapshot.uplinks
            ),
        )


class BacklogSpeed:
    """How fast a backlog shrinks, for the sentence "being delivered, until about 14:20".

    The backlogs of the last minute, by uplink, and what was delivered, in batches: a backlog that only makes
    room for itself is not being delivered. Times are monotonic s. Lives on the event loop.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int, int]]] = {}

    async def watch(self, forwarders: Callable[[], Sequence[Forwarder]]) -> None:
        """Note every few seconds what waits, for ever."""
        while True:
            for stats in [forwarder.stats() for forwarder in forwarders()]:
                self.add(stats.name, time.monotonic(), stats.backlog_batches, stats.delivered_batches)
            await asyncio.sleep(EVERY)

    def add(self, uplink: str, now: float, backlog: int, delivered: int) -> None:
        """What waits at this moment, and what was delivered since the start or the last reload."""
        seen = self._seen.setdefault(uplink, deque())
        if seen and delivered < seen[-1][2]:
            seen.clear()
        seen.append((now, backlog, delivered))
        while now - seen[0][0] > WINDOW:
            seen.popleft()

    def keep(self, uplinks: set[str]) -> None:
        """Forget every uplink that is not named: after a reload."""
        for name in self._seen.keys() - uplinks:
            del self._seen[name]

    def left(self, uplink: str) -> float | None:
        """Seconds until nothing waits at the present speed; None while nothing is delivered, the backlog does
        not shrink, or is not known long enough.
        """
        seen = self._seen.get(uplink)
        if not seen or seen[-1][0] - seen[0][0] < LEAST:
            return None
        (begin, before, had), (end, after, has) = seen[0], seen[-1]
        speed = (before - after) / (end - begin)
        return after / speed if speed > 0 and after and has > had else None
