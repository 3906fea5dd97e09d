"""Facts about lines and meters that were learnt, or that the configuration says: their names and what they
may be.

A fact has the name of its key in the configuration. A configured key wins, and then that fact is never
learnt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from gateway.catalogue import Driver
from gateway.common.text import visible
from gateway.config import REPLY_RULE

LONGEST = 30.0
"""s; no learnt time is longer."""
MOST_REQUESTS = 1000
"""Requests of one connection."""
OLD = 7 * 86_400.0
"""s after which a device may have been mended, or exchanged, unnoticed."""
MOST_SPANS = 200
"""Spans that are left out of one meter's reads; what has more is no meter of this table."""

MOST_GIVEN = 1 + 500
"""A version and quantities: more than the vocabulary has."""
MOST_SERIAL = 64
"""Characters of a serial number."""

T = TypeVar("T")
Skipped = tuple[int, int, int, str]
"""function, first address, end, and the reason why [first, end) is left out of the reads."""
Value = float | int | str | tuple[Skipped, ...] | tuple[str, ...]

BUS_NAMES = (
    "silence", "connect_pause", "requests_per_connection", "reply_number", "reply_length", "reply_protocol",
    "reply_unit",
)  # fmt: skip
METER_NAMES = (
    "pause", "silence", "timeout", "max_registers", "skip", "reply_unit", "reply_count", "sleeps_after",
    "answers", "serial",
)  # fmt: skip
"""Keys of the configuration."""
SECONDS = ("silence", "connect_pause", "pause", "timeout", "sleeps_after")
EVERY_SECOND = "every_second"
"""What a meter `answers` that does not answer `all` requests."""

_NAME = re.compile(r"[a-z0-9_]{1,64}")
_REASON = re.compile(r"timeout|bad_frame|exception_\d{1,3}|not_available")


class FactsHome(Protocol):
    """Where facts are kept."""

    @property
    def wall(self) -> Callable[[], float]:
        """UTC in s."""

    def touch(self) -> None:
        """A fact was learnt or forgotten: the file is to be written."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`since` is UTC in ms, None for what the configuration says."""

    name: str
    value: Value
    since: int | None = None

    @property
    def configured(self) -> bool:
        """Whether the configuration says so."""
        return self.since is None

    @property
    def text(self) -> str:
        """The value as it would be written in the configuration."""
        if isinstance(self.value, tuple):
            skipped = cast("tuple[Skipped, ...]", self.value)
            spans = [f"{function}:{first}-{end - 1}" for function, first, end, _ in skipped]
            return "[" + ", ".join(spans) + "]"
        if isinstance(self.value, float):
            return f"{self.value * 1000:.0f}ms" if self.value < 1.0 else f"{self.value:g}s"
        return str(self.value)


def values_skipped(fact: Fact, driver: Driver) -> tuple[str, ...]:
    """The values of a table, by name, whose registers a `skip` fact keeps out of its reads."""
    if fact.name != "skip":
        return ()
    spans = cast("tuple[Skipped, ...]", fact.value)
    return tuple(
        row.name
        for row in driver.rows
        if not row.attribute
        and any(
            span.function == function and span.address < end and first < span.end
            for function, first, end, _ in spans
            for span in row.spans
        )
    )


class Facts:
    """The facts about one line or one meter."""

    __slots__ = ("_configured", "_home", "_learnt")

    def __init__(self, configured: Mapping[str, Value], learnt: dict[str, Fact], home: FactsHome) -> None:
        self._configured, self._learnt, self._home = dict(configured), learnt, home

    def fixed(self, name: str) -> bool:
        """Whether the configuration says it: then it is not learnt."""
        return name in self._configured

    def learn(self, name: str, value: Value) -> bool:
        """Take a fact; False when the configuration says it, or when it is known. Raises ValueError for
        what is none.
        """
        check(name, value)
        known = self._learnt.get(name)
        if name in self._configured or (known is not None and known.value == value):
            return False
        self._learnt[name] = Fact(name, value, int(self._home.wall() * 1000))
        self._home.touch()
        return True

    def forget(self, *names: str) -> None:
        """Forget what was learnt under these names, or everything."""
        for name in names or tuple(self._learnt):
            if self._learnt.pop(name, None) is not None:
                self._home.touch()

    def forget_old(self, name: str) -> None:
        """Forget what was learnt more than `OLD` s ago: what only costs time is found out anew."""
        since = self.since(name)
        if since is not None and self.age(since) > OLD:
            self.forget(name)

    def known(self) -> tuple[Fact, ...]:
        """Everything that is known, by name: configured facts first to be believed."""
        facts = {**self._learnt, **{name: Fact(name, value) for name, value in self._configured.items()}}
        for name in ("serial_now", "given"):  # no keys of the configuration
            facts.pop(name, None)
        return tuple(facts[name] for name in sorted(facts))

    def since(self, name: str) -> int | None:
        """When a fact was learnt (UTC, ms); None for what was not."""
        fact = self._learnt.get(name)
        return fact.since if fact else None

    def age(self, since: int) -> float:
        """S since then, on the wall clock."""
        return self._home.wall() - since / 1000

    def value(self, name: str) -> Value | None:
        """What is known under a name."""
        if name in self._configured:
            return self._configured[name]
        fact = self._learnt.get(name)
        return fact.value if fact else None


class Known(Generic[T]):
    """An attribute of `Facts`: the fact of its name, or `otherwise` while there is none."""

    __slots__ = ("_name", "_otherwise")

    def __init__(self, otherwise: T) -> None:
        self._otherwise = otherwise

    def __set_name__(self, owner: type[Facts], name: str) -> None:
        self._name = name

    def __get__(self, facts: Facts, owner: type[Facts]) -> T:
        value = facts.value(self._name)
        return self._otherwise if value is None else cast("T", value)


class BusFacts(Facts):
    """A line, or what stands at its other end. Times in s."""

    __slots__ = ()

    silence = Known(0.0)
    """Silence on the line before a request, from the last byte of whomever; 0 when t3.5 will do."""
    connect_pause = Known(0.0)
    """Between connecting and the first request."""
    requests_per_connection = Known(0)
    """How many requests a connection serves, before it ends at the next one; 0: as many as there are."""
    reply_number = Known("asked")
    """How replies are numbered: `asked`; `=0` or another constant; `+1`, `-1`; `swapped` bytes; `own`,
    a counter of its own.
    """
    reply_length = Known("asked")
    """What their length field says, likewise: `asked` is right, with `own` it says nothing."""
    reply_protocol: Known[int | str] = Known(0)
    """The protocol that they carry in place of 0; `own`: any."""
    reply_unit: Known[int | None] = Known(None)
    """The unit that all replies of this gateway carry; None: the one that was asked."""


class MeterFacts(Facts):
    """A meter at its address. Times in s."""

    __slots__ = ()

    pause = Known(0.0)
    """Between its own answer and the next request to it."""
    silence = Known(0.0)
    """Silence on the line before a request to it, from the last byte of whomever, beyond what its table
    says.
    """
    timeout = Known(0.0)
    """What it has to begin its answer, beyond the time on the wire; 0 when its turn-around says it."""
    max_registers: Known[int | None] = Known(None)
    """The longest read that it answers, when that is less than its table says."""
    skip: Known[tuple[Skipped, ...]] = Known(())
    """Spans that no read may contain: it refuses them, or does not answer."""
    serial = Known("")
    """The serial number that it was first seen with; empty when it was not seen."""
    serial_now = Known("")
    """The one that answers instead, while nobody has confirmed that; empty when it is the same."""
    given: Known[tuple[str, ...]] = Known(())
    """The version of the table that it was read by, and every quantity that it has given by it."""
    reply_unit: Known[int | None] = Known(None)
    """The unit that it answers as; None: its address."""
    reply_count = Known("bytes")
    """What the byte count of its replies counts: `bytes`, or `registers`."""

    sleeps_after = Known(0.0)
    """Without a request, after which it leaves the first one out; 0: it does not."""
    answers = Known("all")
    """Which requests it answers: `all`, or `every_second`, which is seldom found out where replies have
    numbers.
    """

    @property
    def skipped(self) -> tuple[tuple[int, int, int], ...]:
        """The same as `skip` without the reasons: function, first address, end."""
        return tuple(span[:3] for span in self.skip)


def check(name: str, value: object) -> None:
    """Raises ValueError for what is no fact of this name."""
    if name in SECONDS:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value <= LONGEST
    elif name == "max_registers":
        good = _whole(value, 1, 125)
    elif name == "reply_unit":
        good = _whole(value, 0, 255)
    elif name == "requests_per_connection":
        good = _whole(value, 0, MOST_REQUESTS)
    elif name == "reply_count":
        good = value in {"bytes", "registers"}
    elif name == "answers":
        good = value in {"all", EVERY_SECOND}
    elif name == "reply_protocol":
        good = value == "own" or _whole(value, 0, 0xFFFF)
    elif name in {"serial", "serial_now"}:
        good = isinstance(value, str) and 0 < len(value) <= MOST_SERIAL and visible(value) == value
    elif name in {"reply_number", "reply_length"}:
        good = isinstance(value, str) and REPLY_RULE.fullmatch(value) is not None
    elif name == "given":
        good = isinstance(value, tuple) and 0 < len(value) <= MOST_GIVEN and all(map(_a_name, value))
    elif name == "skip":
        good = isinstance(value, tuple) and len(value) <= MOST_SPANS and all(map(_a_span, value))
    else:
        good = False
    if not good:
        raise ValueError(f"{value!r} is no {name}")


def _a_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _a_span(span: object) -> bool:
    if not (isinstance(span, tuple) and len(span) == 4):  # the fields of Skipped
        return False
    function, first, end, reason = span
    good = _whole(function, 1, 4) and _whole(first, 0, 0xFFFF) and _whole(end, 1, 0x10000) and first < end
    return good and isinstance(reason, str) and _REASON.fullmatch(reason) is not None


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
