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
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gateway.catalogue import load_driver
from gateway.demo.account import Account, Break, judge, resolutions
from gateway.demo.process import read_serves
from gateway.demo.scene import BRISK, METERS
from gateway.demo.selfcheck import committed, platform
from gateway.demo.supervisor import Stage
from gateway.demo.worker import Worker
from tests.rig import MOSQUITTO

SLOT = 1.0
START = 60.0
DRAIN = 150.0
_EXEC = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"


class ChaosStage(Stage):
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


class Mistreatment:
    """One run: blows for some seconds, or so many of them; then everything may drain."""

    def __init__(self, stage: ChaosStage, seed: int) -> None:
        self.stage = stage
        self.dice = random.Random(seed)
        self.breaks: list[Break] = []
        self.blows: Counter[str] = Counter()

    def run(
        self, seconds: float, *, most: int | None = None, pause: tuple[float, float] = (0.2, 2.5)
    ) -> Story:
        stage = self.stage
        assert stage.wait_for(2, START), stage.gateway.tail()
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
        stage.stop()
        return Story(self._judge(), self.blows)

    def _platform_gets_more(self, patience: float) -> bool:
        before, end = self.stage.stored()[0], time.monotonic() + patience
        while time.monotonic() < end:
            if self.stage.stored()[0] > before:
                return True
            time.sleep(0.1)
        return False

    def _blow(self) -> None:
        stage = self.stage
        if self.dice.random() < 0.2:
            self._lose_custody()
            return
        worker = self.dice.choice([stage.gateway, stage.gateway, stage.broker, stage.receiver])
        if self.dice.random() < 0.7:
            went = uptime()
            worker.kill()
            if worker is stage.gateway:
                self.breaks.append(Break(went, uptime()))
            self.blows[f"{worker.name} killed"] += 1
            time.sleep(self.dice.uniform(0.0, 1.5))
            worker.start()
            if worker is stage.gateway:
                # Most kills should meet a daemon at work, some one that is still starting.
                time.sleep(self.dice.uniform(0.5, 5.0))
        else:
            os.kill(worker.pid, signal.SIGSTOP)
            time.sleep(self.dice.uniform(0.1, 3.0))
            os.kill(worker.pid, signal.SIGCONT)
            self.blows[f"{worker.name} stopped"] += 1

    def _lose_custody(self) -> None:
        """What the broker has acknowledged and not passed on dies with it."""
        receiver, broker = self.stage.receiver, self.stage.broker
        receiver.kill()
        time.sleep(self.dice.uniform(2.0, 4.0))
        broker.kill()
        broker.start()
        receiver.start()
        self.blows["broker killed with what it held"] += 1

    def _drain(self) -> None:
        stage = self.stage
        went = uptime()
        stage.gateway.stop()
        self.breaks.append(Break(went, uptime()))
        stage.configure(meters_on=False)
        stage.gateway.start()
        end = time.monotonic() + DRAIN
        while time.monotonic() < end:
            counts = stage.counts()
            if (
                counts is not None
                and counts.waiting == 0
                and (counts.delivered == counts.taken or stage._control)
            ):
                break
            time.sleep(0.3)
        stage.gateway.stop()

    def _judge(self) -> Account:
        stage = self.stage
        drivers = {meter.id: load_driver(meter.driver, stage.directory / "drivers") for meter in METERS}
        stored, readings, conflicts = platform(stage.database)
        account = judge(
            read_serves(stage.serves), committed(stage.journal), stored, readings,
            breaks=self.breaks, slot=SLOT, tolerance=resolutions(drivers),
        )  # fmt: skip
        account.say(conflicts, f"{conflicts} batches came twice with different content")
        return account


def mistreat(
    directory: Path, seconds: float, *, seed: int = 1, control: bool = False, most: int | None = None
) -> Story:
    """Run it in a directory; seconds count the blows, not the drain."""
    with ChaosStage(directory, control=control, seed=seed) as stage:
        return Mistreatment(stage, seed).run(seconds, most=most)
