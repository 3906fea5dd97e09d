"""Facts about lines and meters that were learnt, or that the configuration says: their names and what they
may be.

A fact has the name of its key in the configuration. A configured key wins, and then that fact is never
learnt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from gateway.common.text import visible

LONGEST = 30.0
"""s; no learnt time is longer."""
OLD = 7 * 86_400.0
"""s after which a device may have been mended, or exchanged, unnoticed."""
MOST_SPANS = 200
"""Spans that are left out of one meter's reads; what has more is no meter of this table."""

MOST_GIVEN = 1 + 500
"""A version and quantities: more than the vocabulary has."""
MOST_SERIAL = 64
"""Characters of a serial number."""

Skipped = tuple[int, int, int, str]
"""function, first address, end, and the reason why [first, end) is left out of the reads."""
Value = float | int | str | tuple[Skipped, ...] | tuple[str, ...]

BUS_NAMES = ("silence", "connect_pause", "reply_number", "reply_length", "reply_protocol", "reply_unit")
METER_NAMES = ("pause", "silence", "timeout", "max_registers", "skip", "reply_unit", "serial")
"""Keys of the configuration."""
SECONDS = ("silence", "connect_pause", "pause", "timeout")

_NAME = re.compile(r"[a-z0-9_]{1,64}")
_RULE = re.compile(r"asked|swapped|own|[+-]\d{1,5}|=\d{1,5}")
_REASON = re.compile(r"timeout|bad_frame|exception_\d{1,3}|not_available")


class FactsHome(Protocol):
    """Where facts are kept."""

    @property
    def wall(self) -> Callable[[], float]:
        """UTC in s."""

    def touch(self) -> None:
        """Something has changed."""


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

    def _get(self, name: str) -> Value | None:
        if name in self._configured:
            return self._configured[name]
        fact = self._learnt.get(name)
        return fact.value if fact else None


class BusFacts(Facts):
    """A line, or what stands at its other end. Times in s."""

    __slots__ = ()

    @property
    def silence(self) -> float:
        """Silence on the line before a request, from the last byte of whomever; 0 when t3.5 will do."""
        return cast("float", self._get("silence") or 0.0)

    @property
    def connect_pause(self) -> float:
        """Between connecting and the first request."""
        return cast("float", self._get("connect_pause") or 0.0)

    @property
    def reply_number(self) -> str:
        """How replies are numbered: `asked`; `=0` or another constant; `+1`, `-1`; `swapped` bytes; `own`,
        a counter of its own.
        """
        return cast("str", self._get("reply_number") or "asked")

    @property
    def reply_length(self) -> str:
        """What their length field says, likewise: `asked` is right, with `own` it says nothing."""
        return cast("str", self._get("reply_length") or "asked")

    @property
    def reply_protocol(self) -> int:
        """The protocol that they carry in place of 0."""
        return cast("int", self._get("reply_protocol") or 0)

    @property
    def reply_unit(self) -> int | None:
        """The unit that all replies of this gateway carry; None: the one that was asked."""
        return cast("int | None", self._get("reply_unit"))


class MeterFacts(Facts):
    """A meter at its address. Times in s."""

    __slots__ = ()

    @property
    def pause(self) -> float:
        """Between its own answer and the next request to it."""
        return cast("float", self._get("pause") or 0.0)

    @property
    def silence(self) -> float:
        """Silence on the line before a request to it, from the last byte of whomever, beyond what its
        table says.
        """
        return cast("float", self._get("silence") or 0.0)

    @property
    def timeout(self) -> float:
        """What it has to begin its answer, beyond the time on the wire; 0 when its turn-around says it."""
        return cast("float", self._get("timeout") or 0.0)

    @property
    def max_registers(self) -> int | None:
        """The longest read that it answers, when that is less than its table says."""
        return cast("int | None", self._get("max_registers"))

    @property
    def skip(self) -> tuple[Skipped, ...]:
        """Spans that no read may contain: it refuses them, or does not answer."""
        return cast("tuple[Skipped, ...]", self._get("skip") or ())

    @property
    def skipped(self) -> tuple[tuple[int, int, int], ...]:
        """The same without the reasons: function, first address, end."""
        return tuple(span[:3] for span in self.skip)

    @property
    def serial(self) -> str:
        """The serial number that it was first seen with; empty when it was not seen."""
        return cast("str", self._get("serial") or "")

    @property
    def serial_now(self) -> str:
        """The one that answers instead, while nobody has confirmed that; empty when it is the same."""
        return cast("str", self._get("serial_now") or "")

    @property
    def given(self) -> tuple[str, ...]:
        """The version of the table that it was read by, and every quantity that it has given by it."""
        return cast("tuple[str, ...]", self._get("given") or ())

    @property
    def reply_unit(self) -> int | None:
        """The unit that it answers as; None: its address."""
        return cast("int | None", self._get("reply_unit"))


def check(name: str, value: object) -> None:
    """Raises ValueError for what is no fact of this name."""
    if name in SECONDS:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value <= LONGEST
    elif name == "max_registers":
        good = _whole(value, 1, 125)
    elif name == "reply_unit":
        good = _whole(value, 0, 255)
    elif name == "reply_protocol":
        good = _whole(value, 0, 0xFFFF)
    elif name in {"serial", "serial_now"}:
        good = isinstance(value, str) and 0 < len(value) <= MOST_SERIAL and visible(value) == value
    elif name in {"reply_number", "reply_length"}:
        good = isinstance(value, str) and _RULE.fullmatch(value) is not None
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
