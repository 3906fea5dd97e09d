"""What a fleet took and what was receipted to it: enough to say, batch by batch, what a platform holds."""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from gateway.common.files import read_given
from gateway.demo.fleet.plan import Cut, FleetPlan
from gateway.demo.fleet.seeded import SeededReadings
from gateway.demo.fleet.seeded_journal import SeededJournal
from gateway.errors import GatewayError
from gateway.model import Ranges

VERSION = 1
_MOST = 1 << 30


class Delays:
    """Seconds from the commit of each batch to its receipt, in the order of the receipts."""

    def __init__(self) -> None:
        self._when = array("d")
        self._delay = array("f")

    def __len__(self) -> int:
        return len(self._when)

    def add(self, when: float, delay: float) -> None:
        """A receipt at `when`, in seconds of the run; they come in order."""
        self._when.append(when)
        self._delay.append(delay)

    def percentile(self, share: float, since: float = 0.0, until: float = math.inf) -> float | None:
        """The delay that this share of the receipts within a time did not pass; None without a receipt."""
        part = sorted(self._delay[bisect_left(self._when, since) : bisect_left(self._when, until)])
        return part[max(0, math.ceil(share * len(part)) - 1)] if part else None


@dataclass(frozen=True, slots=True)
class GatewayAccount:
    """One gateway: `origin` as SeededReadings has it, `began` (first seq, epoch), `taken` batches, of which
    those in `settled` were receipted.
    """

    number: int
    origin: int
    began: tuple[tuple[int, str], ...]
    taken: int
    settled: Ranges


@dataclass(slots=True)
class FleetLedger:
    """The whole fleet; times are UTC in ms. `sent`: batches handed to a broker, repetitions too."""

    plan: FleetPlan
    started: int
    ended: int = 0
    sent: int = 0
    accounts: list[GatewayAccount] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """Batches that all gateways committed."""
        return sum(account.taken for account in self.accounts)

    @property
    def open(self) -> int:
        """Batches that no receipt has named."""
        return sum(account.taken - account.settled.count for account in self.accounts)

    def journals(self) -> Iterator[tuple[GatewayAccount, SeededReadings, SeededJournal]]:
        """What each gateway held, made anew from the seed."""
        for account in self.accounts:
            readings = SeededReadings(self.plan, account.number, account.origin)
            journal = SeededJournal(readings, self.plan.meters, account.taken, lambda _seq: None)
            journal.began = list(account.began)
            yield account, readings, journal

    def write(self, path: Path) -> None:
        """As JSON. No password stands in it."""
        accounts = [
            [one.number, one.origin, one.began, one.taken, [list(pair) for pair in one.settled]]
            for one in self.accounts
        ]
        facts = {"version": VERSION, "plan": asdict(self.plan), "started": self.started, "ended": self.ended}
        path.write_text(json.dumps({**facts, "sent": self.sent, "gateways": accounts}) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises GatewayError for a file that is none."""
        try:
            return cls._parsed(json.loads(read_given(path, _MOST)))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise GatewayError(
                f"{path}: not a ledger of a fleet: {type(error).__name__}: {error}",
                hint="name the file that `submeter fleet --ledger` wrote",
            ) from error

    @classmethod
    def _parsed(cls, told: dict[str, Any]) -> Self:
        if told["version"] != VERSION:
            raise ValueError(f"version {told['version']} is not known")
        plan = dict(told["plan"])
        plan["brokers"], plan["cuts"] = tuple(plan["brokers"]), tuple(Cut(**cut) for cut in plan["cuts"])
        accounts = [
            GatewayAccount(
                number,
                origin,
                tuple((first, epoch) for first, epoch in began),
                taken,
                Ranges((first, last) for first, last in settled),
            )
            for number, origin, began, taken, settled in told["gateways"]
        ]
        return cls(FleetPlan(**plan), told["started"], told["ended"], told["sent"], accounts)
