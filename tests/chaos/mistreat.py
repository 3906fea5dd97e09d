"""Kill and stop gateway, broker and receiver at random while meters count; the simulated meters' own log is
the judge.

The broker is mosquitto without persistence: what it holds dies with it. The control takes the broker's
acknowledgement for delivery and refuses replays; it must lose, or the mistreatment was too gentle to prove
anything.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from gateway.catalogue import load_driver
from gateway.demo.show.account import Account, judge, resolutions
from gateway.demo.show.polls import Break, read_polls
from gateway.demo.show.self_check import committed, platform
from gateway.demo.show.site import BRISK, METERS
from gateway.demo.show.supervisor import Supervisor
from gateway.demo.show.worker import Worker
from gateway.demo.simulator.process import read_serves
from tests.intervals import judge_intervals, lacking
from tests.mosquitto import MOSQUITTO

SLOT = 1.0
START = 60.0
DRAIN = 150.0
_EXEC = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"


class ChaosSupervisor(Supervisor):
    """The demo's site with a real broker."""

    def __init__(self, directory: Path, *, control: bool = False, seed: int = 1) -> None:
        super().__init__(directory, pace=BRISK, stamped=True, seed=seed)
        self._control = control
        assert MOSQUITTO is not None
        conf = directory / "mosquitto.conf"
        conf.write_text(
            f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\npersistence "
            f"false\nmax_queued_messages 50\n"
        )
        self.broker = Worker(
            "broker", ["-c", _EXEC, MOSQUITTO, "-c", str(conf)], directory / "log" / "broker.log"
        )

    def configure(self, *, meters_on: bool = True) -> None:
        super().configure(meters_on=meters_on)
        # The control speaks 3.1.1: MQTT 5 would tell it when nobody was there to take a message.
        text = (
            self._config.read_text()
            if self._control
            else self._config.read_text().replace('protocol: "3.1.1"', "protocol: auto")
        )
        text = text.replace("spread: 0s", "spread: 0s, backlog_rate: 0")
        # An answer that comes while this machine, or the stopped gateway, stands still is not to be missed.
        text = re.sub(
            r"(- \{name: \S+, type: (?:serial|tcp|rtu-over-tcp), [^}]*)\}", r"\1, timeout: 5s}", text
        )
        if self._control:
            text = text.replace("receipts: [city]", "receipts: [], replay: false")
        self._config.write_text(text)


@dataclass
class Story:
    """What was done, and the account of it."""

    account: Account
    blows: Counter[str] = field(default_factory=Counter)


def uptime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Standstill(threading.Thread):
    """How long this machine lets a process wait. A slot that was due is not on the disk yet when the machine
    has not let the gateway write it: that is no reading that the gateway owes.
    """

    TICK = 0.05
    LATELY = 2.5

    def __init__(self, file: Path) -> None:
        super().__init__(name="standstill", daemon=True)
        self._file = file
        self._late: deque[tuple[float, float]] = deque(maxlen=int(self.LATELY / self.TICK))
        self._done = threading.Event()

    def run(self) -> None:
        with self._file.open("wb") as file:
            while not self._done.is_set():
                begin = time.monotonic()
                time.sleep(self.TICK)
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())
                end = time.monotonic()
                self._late.append((end, end - begin - self.TICK))

    def lately(self) -> int:
        """Ms that were lost in the last seconds, an open wait included."""
        now = time.monotonic()
        recent = [(end, late) for end, late in list(self._late) if now - end < self.LATELY]
        since = now - recent[-1][0] if recent else self.LATELY
        return int(1000 * (sum(late for _, late in recent) + max(0.0, since - self.TICK)))

    def end(self) -> None:
        self._done.set()
        self.join()


class Mistreatment:
    """One run: blows for some seconds, or so many of them; then everything may drain."""

    def __init__(self, supervisor: ChaosSupervisor, seed: int) -> None:
        self.supervisor = supervisor
        self.dice = random.Random(seed)
        self.breaks: list[Break] = []
        self.blows: Counter[str] = Counter()
        self.standstill = Standstill(supervisor.directory / "standstill")
        self._stopped: tuple[int, int] | None = None
        """From when to when the gateway was stopped by a signal, last."""

    def run(
        self, seconds: float, *, most: int | None = None, pause: tuple[float, float] = (0.2, 2.5)
    ) -> Story:
        supervisor = self.supervisor
        self.standstill.start()
        assert supervisor.wait_for(2, START), supervisor.gateway.tail()
        # What no trust in a broker survives comes first, three times: chance alone may spare the control on a
        # slow machine.
        for _ in range(3):
            assert self._platform_gets_more(START), "nothing arrives any more"
            self._lose_custody()
        end = time.monotonic() + seconds
        while time.monotonic() < end and (most is None or self.blows.total() < most):
            time.sleep(self.dice.uniform(*pause))
            self._blow()
        self._drain()
        supervisor.stop()
        self.standstill.end()
        return Story(self._judge(), self.blows)

    def _platform_gets_more(self, patience: float) -> bool:
        before, end = self.supervisor.stored()[0], time.monotonic() + patience
        while time.monotonic() < end:
            if self.supervisor.stored()[0] > before:
                return True
            time.sleep(0.1)
        return False

    def _blow(self) -> None:
        supervisor = self.supervisor
        if self.dice.random() < 0.2:
            self._lose_custody()
            return
        worker = self.dice.choice(
            [supervisor.gateway, supervisor.gateway, supervisor.broker, supervisor.receiver]
        )
        if self.dice.random() < 0.7:
            went = self._went()
            worker.kill()
            if worker is supervisor.gateway:
                self.breaks.append(Break(went, uptime()))
            self.blows[f"{worker.name} killed"] += 1
            time.sleep(self.dice.uniform(0.0, 1.5))
            worker.start()
            if worker is supervisor.gateway:
                # Most kills should meet a daemon at work, some one that is still starting.
                time.sleep(self.dice.uniform(0.5, 5.0))
        else:
            began = uptime()
            os.kill(worker.pid, signal.SIGSTOP)
            time.sleep(self.dice.uniform(0.1, 3.0))
            os.kill(worker.pid, signal.SIGCONT)
            if worker is supervisor.gateway:
                self._stopped = began, uptime()
            self.blows[f"{worker.name} stopped"] += 1

    def _went(self) -> int:
        """Now, less what kept the gateway from its work just before: the machine, or a stop signal."""
        now = uptime()
        began, ended = self._stopped or (now, now)
        lately = now - int(1000 * Standstill.LATELY)
        return now - self.standstill.lately() - max(0, ended - max(began, lately))

    def _lose_custody(self) -> None:
        """What the broker has acknowledged and not passed on dies with it."""
        receiver, broker = self.supervisor.receiver, self.supervisor.broker
        receiver.kill()
        time.sleep(self.dice.uniform(2.0, 4.0))
        broker.kill()
        broker.start()
        receiver.start()
        self.blows["broker killed with what it held"] += 1

    def _drain(self) -> None:
        supervisor = self.supervisor
        went = self._went()
        supervisor.gateway.stop()
        self.breaks.append(Break(went, uptime()))
        supervisor.configure(meters_on=False)
        supervisor.gateway.start()
        end = time.monotonic() + DRAIN
        while time.monotonic() < end:
            counts = supervisor.counts()
            if (
                counts is not None
                and counts.waiting == 0
                and (counts.delivered == counts.taken or supervisor._control)
                and (supervisor._control or not lacking(supervisor.database))
            ):
                break
            time.sleep(0.3)
        supervisor.gateway.stop()

    def _judge(self) -> Account:
        supervisor = self.supervisor
        drivers = {meter.id: load_driver(meter.driver, supervisor.directory / "drivers") for meter in METERS}
        stored, readings, conflicts = platform(supervisor.database)
        account = judge(
            read_serves(supervisor.serves), committed(supervisor.journal), stored, readings,
            breaks=self.breaks, slot=SLOT, tolerance=resolutions(drivers),
            polls=read_polls(supervisor.gateway.log),
        )  # fmt: skip
        account.say(conflicts, f"{conflicts} batches came twice with different content")
        energy = judge_intervals(supervisor.database)
        account.say(len(energy.problems), f"{len(energy.problems)} faults of intervals", energy.problems)
        return account


def mistreat(
    directory: Path, seconds: float, *, seed: int = 1, control: bool = False, most: int | None = None
) -> Story:
    """Run it in a directory; seconds count the blows, not the drain."""
    with ChaosSupervisor(directory, control=control, seed=seed) as supervisor:
        return Mistreatment(supervisor, seed).run(seconds, most=most)
