"""The daemon: a journal that lives as long as the process, and an assembly that a reload replaces."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import check, status
from gateway.common.text import visible
from gateway.common.wait import until_next
from gateway.config import Config
from gateway.daemon import later
from gateway.daemon.actions import DaemonActions
from gateway.daemon.assembly import Assembly, keep_running
from gateway.daemon.changes import ConfigurationChange, Loaded, differences, load, load_good, same_source
from gateway.daemon.describe import building_facts
from gateway.daemon.energy import EnergyWorker
from gateway.daemon.register_copy import RegisterCopy, merge
from gateway.daemon.remote.parts import RemoteParts
from gateway.daemon.service.log_lines import RecentLines
from gateway.daemon.service.panel import Panel
from gateway.daemon.service.technician import Technician
from gateway.daemon.service.upgrade import UpgradeWatch
from gateway.daemon.service.watchdog import Watchdog
from gateway.daemon.snapshots import BacklogSpeed, DaemonFacts, snapshot
from gateway.errors import SEE_LOG, ConfigError, ControlError, GatewayError, JournalError
from gateway.field import LEARNT_FILE, Learnt
from gateway.host import Clock, Pins, keep_lean, keep_what_is_there, notify, socket_path
from gateway.journal import Journal
from gateway.model import Draft, Event, Reading, Sealed
from gateway.mqtt import open_to_others
from gateway.status import Changes, EnergyHistory, Snapshot, Trend
from gateway.uplink import broker_of

if TYPE_CHECKING:
    from gateway.status import Servers

log = logging.getLogger(__name__)

CLOCK_EVERY = 1.0
COPY_EVERY = 60.0
"""s between two writes of the second copy of the pulse registers."""
CHECK_LIMIT = 5.0
"""s that the page waits for the check of the configuration; no meter does."""
STOP_LIMIT = 5.0
"""s that a clean stop may take; what is not ended by then is left to the kernel."""


def _page_of(config: Config) -> tuple[tuple[str, int] | None, tuple[str, ...]]:
    """Where the page listens, if it does, and the host names beside the machine's own."""
    return config.status.address if config.status.enabled else None, config.status.names


class Daemon:
    """Runs a configuration. `run` returns after SIGTERM, SIGINT or `end`."""

    def __init__(self, path: Path, socket: Path | None = None) -> None:
        self.path = path.resolve()
        self._loaded = load(self.path)
        self._socket = socket_path(socket)
        self._started = time.monotonic()
        self._ended = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._problems: tuple[str, ...] = ()
        self._refused = 0
        """Problems for which the newest reload was refused."""
        self._mistakes: tuple[str, ...] = ()
        """Problems with which this configuration was started although a reload would refuse it."""
        self._servers: Servers | None = None
        self._newest_wall: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.changes, self.trend = Changes(), Trend()
        self.backlog_speed = BacklogSpeed()
        self.clock = Clock(self.config.clock.trust)
        self._read_at = self.clock.wall()
        self.learnt = Learnt()
        self.journal: Journal
        self.assembly: Assembly
        self.energy: EnergyWorker
        self._pins = Pins()
        self.log_lines = RecentLines.of_everything()
        self.watchdog = Watchdog(self._status_line)
        self._upgrade, self.remote, self.panel = UpgradeWatch(self), RemoteParts(self), Panel(self)
        self.technician = Technician(self, self.panel)

    @property
    def config(self) -> Config:
        """The configuration that runs."""
        return self._loaded.config

    async def run(self) -> None:
        """Start, run until told to end, stop. Raises JournalError or ControlError when it cannot start at
        all.
        """
        # What the daemon writes is its own business, also when it was started by hand.
        os.umask(os.umask(0o077) | 0o077)
        await self._open()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload_and_log(), "reload"))
        self.assembly.start()
        watch_backlogs = lambda: self.backlog_speed.watch(lambda: self.assembly.forwarders)  # noqa: E731
        beside = {
            "clock": self._watch_clock, "backlogs": watch_backlogs, "watchdog": self.watchdog.run,
            "learnt": self.learnt.run, "registers": self._copy_registers, "energy": self.energy.run,
            "memory": keep_lean, "upgrade": self._upgrade.run, "remote": self.remote.run,
            "panel": self.panel.run,
        }  # fmt: skip
        for name, work in beside.items():
            self._spawn(keep_running(name, work), name)
        try:
            # The servers cost the most to load, and the check: no reading waits for them.
            await self.assembly.first_batch()
            mistakes = asyncio.create_task(self._say_mistakes())
            await asyncio.to_thread(getattr, status, "Servers")
            await asyncio.wait([mistakes], timeout=CHECK_LIMIT)
            servers = status.Servers(self, DaemonActions(self), self._socket, self.technician)
            await servers.start(*_page_of(self.config))
            self._servers = servers
            notify("READY=1", f"STATUS={self._status_line()}")
            log.info("gateway %s runs: %s", self.config.gateway.id, self._status_line())
            await self._ended.wait()
        finally:
            notify("STOPPING=1")
            await self._close()

    def end(self) -> None:
        """Let `run` stop everything and return."""
        self._ended.set()

    async def _open(self) -> None:
        config = self.config
        open_journal = functools.partial(
            Journal.open,
            Path(config.journal.directory),
            gateway=config.gateway.id,
            clock=self.clock,
            budget=config.journal.budget,
            uplinks=[uplink.account for uplink in config.uplinks],
        )
        self.journal = await asyncio.to_thread(open_journal)
        self.watchdog.watch("journal", lambda: self.journal.heartbeat)
        self.watchdog.watch("uplinks", self._uplinks_beat)
        await self._remember_time()
        self.journal.on_late = self._late
        self.learnt = await asyncio.to_thread(Learnt, Path(config.journal.directory) / LEARNT_FILE)
        self._copy = RegisterCopy(Path(config.journal.directory))
        self.energy = EnergyWorker(self.journal, self.clock, self._loaded, self._commit_beside)
        carried = merge(self.journal.carried, await asyncio.to_thread(self._copy.load))
        self.assembly = self._assemble(self._loaded, carried)

    async def _commit_beside(self, draft: Draft) -> None:
        # By then it may be another assembly.
        await self.assembly.commit(draft)

    def _assemble(self, loaded: Loaded, carried: dict[str, Any] | None = None) -> Assembly:
        for uplink in loaded.config.uplinks:
            for line in open_to_others(broker_of(uplink, loaded.config.gateway.id)):
                log.warning("%s", line)
        assembly = Assembly(
            loaded.config, loaded.drivers, self.journal, self.clock, changed=self.changes.notify,
            power=self._note_power, pins=self._pins, carried=carried, learnt=self.learnt, energy=self.energy,
        )  # fmt: skip
        self.remote.attach(assembly)
        return assembly

    async def save_registers(self, *, exact: bool = False) -> bool:
        """Write the second copy of the pulse registers; whether it is on disk."""
        pulses = self.assembly.carry().get("pulses")
        return not pulses or await asyncio.to_thread(self._copy.save, pulses, exact=exact)

    async def _copy_registers(self) -> None:
        while True:
            await self.save_registers()
            await asyncio.sleep(COPY_EVERY)

    async def _remember_time(self) -> None:
        """Give the clock what the journal knows: the newest right time, and an anchor if that was in this
        boot.
        """
        epoch, seq = self.journal.newest
        try:
            newest = await self.journal.find(epoch, seq, seq) if seq else []
        except JournalError:  # it says itself what is wrong; meters are polled all the same
            newest = []
        self._newest_wall = newest[0].t0 if newest else None
        if self.journal.synced is not None:
            t0, uptime, boot = self.journal.synced
            self.clock.remember(t0, (t0, uptime) if boot == self.clock.boot else None)

    def _uplinks_beat(self) -> float:
        """The oldest sign of life among the uplinks; now when there are none."""
        return min((forwarder.heartbeat for forwarder in self.assembly.forwarders), default=time.monotonic())

    def _late(self, sealed: list[Sealed]) -> None:
        # Batches that had to wait for room are on disk now.
        self.assembly.deliver(sealed)
        self.changes.notify()

    def _note_power(self, reading: Reading) -> None:
        power = reading.values.get("active_power")
        if power is not None:
            self.trend.add(reading.meter, reading.uptime, power)

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(until_next(CLOCK_EVERY))
            for change in self.clock.changes():
                log.warning(
                    "the clock: %s%s", change.kind, f" by {change.by / 1000:+.1f} s" if change.by else ""
                )
                fields: dict[str, Any] = {"by": change.by} if change.by else {}
                self.tell(Event(change.kind, self.clock.uptime(), fields))

    def tell(self, event: Event) -> None:
        """Put an event into the next batch."""
        slots = self.assembly.slots
        slots.tell(event)

    async def _say_mistakes(self) -> None:
        """What a reload would refuse does not keep a gateway from starting: it is said, and no meter waits
        for it.
        """
        loaded = self._loaded
        problems = (await asyncio.to_thread(check.check, self.path)).mistakes
        if self._loaded is not loaded or not problems:
            return
        self._mistakes = tuple(map(str, problems))
        log.warning("started with a configuration that a reload would refuse:\n%s", "\n".join(self._mistakes))
        self.changes.notify()

    def _spawn(self, work: Any, name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    # -- reload

    async def _reload_and_log(self) -> None:
        with contextlib.suppress(Exception):  # said on log and page
            await self.reload()

    async def reload(self) -> list[ConfigurationChange]:
        """Read the configuration again and rebuild everything but the journal: what changed.

        Raises ConfigError when the file is not good: then the old configuration goes on.
        """
        async with self._reloading:
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                return await self._reload()
            except ConfigError as error:
                self._refused = len(error.problems)
                self._problems = (
                    f"{self.path} was not taken over (problems: {self._refused}); the old "
                    f"configuration goes on",
                )
                log.error("%s\n%s", self._problems[0], error)  # noqa: TRY400 - the trace says nothing to a person
                raise
            except GatewayError:
                raise  # said where it was met
            except Exception as error:
                what, self._refused = f"{self.path} was not taken over: {type(error).__name__}: {error}", 0
                self._problems = (visible(f"{what}; the old configuration goes on", 400),)
                log.exception("%s", self._problems[0])
                raise GatewayError(self._problems[0], hint=SEE_LOG) from error
            finally:
                notify("READY=1")
                self.changes.notify()

    async def _reload(self) -> list[ConfigurationChange]:
        fresh = await asyncio.to_thread(load_good, self.path)
        before = self._loaded
        changes = differences(before, fresh)
        try:
            await self._swap(fresh, changes)
        except Exception as error:
            log.exception("the new configuration could not be started: the old one goes on")
            self._problems, self._refused = (
                (visible(f"{self.path} could not be started: {error}; the old configuration goes on", 400),),
                0,
            )
            await self._swap(before, [])
            raise GatewayError(self._problems[0], hint=SEE_LOG) from error
        self._problems, self._refused, self._mistakes = (), 0, ()
        self._read_at = self.clock.wall()
        keep_what_is_there()
        words = [change.words for change in changes] or ["nothing changed"]
        log.info("the configuration was read again: %s", "; ".join(words))
        return changes

    async def unread_changes(self) -> dict[str, Any]:
        """What the file says by now otherwise than what runs."""
        try:
            fresh = await asyncio.to_thread(load_good, self.path)
        except ConfigError as error:
            return {"changes": [], "meters": {}, "problems": [str(problem) for problem in error.problems]}
        changes = differences(self._loaded, fresh)
        concerned = sorted({meter for change in changes for meter in change.meters})
        meters = {
            meter: [change.words for change in changes if meter in change.meters] for meter in concerned
        }
        return {"changes": [change.words for change in changes], "meters": meters, "problems": []}

    def running(self) -> dict[str, Any]:
        """Which file runs, since when, and in whose time that is told."""
        config = self.config
        return {"path": str(self.path), "read": self._read_at, "timezone": config.gateway.timezone}

    async def _swap(self, loaded: Loaded, changes: list[ConfigurationChange]) -> None:
        """Stop what runs, build and start the other: the journal, its numbers and the pulse registers go on.

        Values go on for what is measured as before; anything else starts anew.
        """
        old, config = self.assembly, loaded.config
        await old.stop()
        if config.journal.directory != self.config.journal.directory:
            log.warning("journal.directory is taken over at the next start only")
        await self.journal.configure(
            gateway=config.gateway.id,
            budget=config.journal.budget,
            uplinks=[uplink.account for uplink in config.uplinks],
        )
        if config.clock.trust != self.clock.trust:
            self.clock = Clock(config.clock.trust)
            await self._remember_time()
            await self.journal.configure(clock=self.clock)
        going_on = same_source(self._loaded, loaded)
        assembly = self._assemble(loaded, old.carry())
        assembly.last_values.inherit(old.last_values, going_on)
        assembly.slots.inherit(old.slots)
        assembly.delivered_before, assembly.newest_uptime = old.delivered(), old.newest_uptime
        self._loaded, self.assembly = loaded, assembly
        self.energy.configure(loaded)
        self.trend.keep(going_on)
        self.backlog_speed.keep({uplink.name for uplink in config.uplinks})
        for change in changes:
            assembly.slots.tell(Event("configuration_changed", self.clock.uptime(), change.fields))
        assembly.start()
        if self._servers is not None:
            await self._servers.reconfigure(*_page_of(config))

    # -- what others see

    def snapshot(self) -> Snapshot:
        """The facts of now, without paths of this machine."""
        told = DaemonFacts(
            file=self.path, started=self._started, read_at=self._read_at, refused=self._refused,
            mistakes=self._mistakes, problems=self._problems, newest=self._newest_wall,
            upgrade=self._upgrade.view, certificate_ends=self.remote.certificate_ends,
            remote=self.remote.view, history=self.energy.trouble, standing_still=self.energy.standing_still,
        )  # fmt: skip
        stats, beats = self.journal.stats(), self.watchdog.beats()
        return snapshot(told, self.assembly, stats, clock=self.clock, speed=self.backlog_speed, beats=beats)

    def energy_history(self) -> EnergyHistory:
        """The building and its history, for the pages of energy."""
        config, progress = self.config, self.energy.progress
        share = progress.taken / progress.batches if progress.batches and not progress.live else 1.0
        where = Path(config.journal.directory)
        opened = functools.partial(later.history.HistoryReader, where)
        bills = functools.partial(later.history.bills, where)
        return EnergyHistory(building_facts(config), opened, share, bills)

    def _status_line(self) -> str:
        live, stats = self.assembly.last_values, self.journal.stats()
        answering = sum(meter.answered is not None and not meter.missing for meter in live.meters.values())
        waiting = max((backlog.readings for backlog in stats.backlog.values()), default=0)
        told = f"{answering} of {len(live.meters)} meters answer"
        return f"{told}, readings: {stats.taken} taken, {waiting} waiting"

    # -- the end

    async def _close(self) -> None:
        self.technician.stop()
        self.changes.close()
        with contextlib.suppress(TimeoutError, ControlError):
            async with asyncio.timeout(STOP_LIMIT):
                stops = [self.assembly.stop(), *([self._servers.stop()] if self._servers else [])]
                await asyncio.gather(*stops, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.energy.stop()
        await self.learnt.save()
        await self.save_registers(exact=True)
        await self.journal.close()
        log.info("stopped")
