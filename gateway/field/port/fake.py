"""The port's in-memory double: slaves that are tables, with trouble on order. For tests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from gateway.errors import BusDown, BusError, NoReply
from gateway.field.port.contract import Ask, Late, Registers, TimedAnswer, registers_of
from gateway.field.port.difference import Field, ReplyForm
from gateway.field.port.request import refused
from gateway.field.port.rtu import Repeats

FakeTable = Mapping[int, int] | Callable[[int, int], int]
"""address → word, or (function, address) → word. What a mapping does not have is an illegal address."""


class FakePort:
    """Answers from `tables` by unit after `latency` s. A unit that has none is silent.

    `trouble` is taken from, one per request, before anything else: an error is raised, None lets the request
    pass. `asked` keeps every request as (unit, function, address, count).
    """

    def __init__(
        self, tables: Mapping[int, FakeTable], *, latency: float = 0.0, has_transaction_ids: bool = True
    ) -> None:
        self.tables = dict(tables)
        self.latency = latency
        self.has_transaction_ids = has_transaction_ids
        self.sent_at = self.heard_at = 0.0
        self.strays = self.stray_frames = self.echoes = 0
        self.copied = self.second_answer = False
        self.repeats = Repeats()
        self.late: deque[Late] = deque()
        self.on_late: Callable[[], None] = lambda: None
        self.following: list[Ask] = []  # never asked by itself: each answer goes the ordinary way
        self.answers: list[TimedAnswer] = []
        self.form = ReplyForm()
        self.refuted: tuple[Field, ...] = ()
        self.owes: deque[Registers | BusError] = deque()
        """What `overdue` gives, one a time-out; without any it gives nothing."""
        self.down = False
        self.silent: set[int] = set()
        self.refuse: dict[int, int] = {}
        """Exception code by unit, for every request."""
        self.trouble: deque[BusError | None] = deque()
        self.asked: list[tuple[int, int, int, int]] = []
        self.openings = 0
        self._open = False

    @property
    def connected(self) -> bool:
        """Whether it is open."""
        return self._open

    async def open(self) -> None:
        """Open it, unless it is `down`."""
        if self.down:
            raise BusDown("the fake port is down")
        self._open = True
        self.openings += 1

    def close(self) -> None:
        """Close it."""
        self._open = False

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        """The registers of the unit's table."""
        loop = asyncio.get_running_loop()
        if self.down or not self._open:
            self._open = False
            raise BusDown("the fake port is down")
        self.asked.append((unit, function, address, count))
        self.sent_at = loop.time()
        trouble = self.trouble.popleft() if self.trouble else None
        table = self.tables.get(unit)
        if isinstance(trouble, NoReply) or table is None or unit in self.silent:
            await asyncio.sleep(timeout)
            raise trouble or NoReply(f"unit {unit} did not answer")
        await asyncio.sleep(self.latency)
        self.heard_at = loop.time()
        if trouble is not None:
            raise trouble
        if unit in self.refuse:
            raise refused(unit, self.refuse[unit])
        if callable(table):
            return registers_of(table(function, at) for at in range(address, address + count))
        try:
            return registers_of(table[at] for at in range(address, address + count))
        except KeyError:
            raise refused(unit, 2) from None

    async def overdue(self, timeout: float) -> Registers:
        """What it `owes`, half-way through the time."""
        if not self.owes:
            await asyncio.sleep(timeout)
            raise NoReply("still no answer")
        await asyncio.sleep(timeout / 2)
        self.heard_at = asyncio.get_running_loop().time()
        owed = self.owes.popleft()
        if isinstance(owed, BusError):
            raise owed
        return owed
