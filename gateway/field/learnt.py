"""What is learnt about lines and meters: one home, kept over a reload and a restart, said with the time it
was learnt.

A fact has the name of its key in the configuration. A configured key wins, and then that fact is never
learnt. The file is state that may be lost without harm: a missing, damaged or foreign one is forgotten, and
everything is learnt again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from gateway.common.text import visible
from gateway.common.trial import WRITABLE, newest_writable
from gateway.config import Bus, Config, Meter, SerialBus

log = logging.getLogger(__name__)

LEARNT_FILE = "learnt.json"
"""Its name in the journal's directory."""
VERSION = WRITABLE[LEARNT_FILE][1]
SAVE_EVERY = 60.0
"""s between two writes of the file, at least."""
LONGEST = 30.0
"""s; no learnt time is longer."""
MOST_BYTES = 4_000_000
"""A longer file was not written by us."""
MOST_SPANS = 200
"""Spans that are left out of one meter's reads; what has more is no meter of this table."""

MOST_GIVEN = 1 + 500
"""A version and quantities: more than the vocabulary has."""
MOST_SERIAL = 64
"""Characters of a serial number."""

Skipped = tuple[int, int, int, str]
"""function, first address, end, and the reason why [first, end) is left out of the reads."""
Value = float | int | str | tuple[Skipped, ...] | tuple[str, ...]

_NAME = re.compile(r"[a-z0-9_]{1,64}")
_NUMBER = re.compile(r"asked|swapped|own|[+-]\d{1,5}|=\d{1,5}")
_REASON = re.compile(r"timeout|bad_frame|exception_\d{1,3}|not_available")


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

    def __init__(self, configured: Mapping[str, Value], learnt: dict[str, Fact], home: Learnt) -> None:
        self._configured, self._learnt, self._home = dict(configured), learnt, home

    def fixed(self, name: str) -> bool:
        """Whether the configuration says it: then it is not learnt."""
        return name in self._configured

    def learn(self, name: str, value: Value) -> bool:
        """Take a fact; False when the configuration says it, or when it is known. Raises ValueError for
        what is none.
        """
        _check(name, value)
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


_BUS_NAMES = ("silence", "connect_pause", "reply_number", "reply_unit")
_METER_NAMES = ("pause", "silence", "timeout", "max_registers", "skip", "reply_unit", "serial")


class Learnt:
    """The facts of all lines and meters. `path` is the file that keeps them; None: memory only."""

    def __init__(self, path: Path | None = None, *, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._path = path
        self._changed = asyncio.Event()
        self._facts = _read(path) if path else {}

    def bus(self, bus: Bus) -> BusFacts:
        """The facts of a line."""
        configured = {name: value for name in _BUS_NAMES if (value := getattr(bus, name, None)) is not None}
        return BusFacts(configured, self._facts.setdefault(_bus_key(bus), {}), self)

    def meter(self, bus: Bus, meter: Meter) -> MeterFacts:
        """The facts of a meter; those of another driver, address or line are not its own."""
        configured: dict[str, Value] = {
            name: value
            for name in _METER_NAMES
            if name != "skip" and (value := getattr(meter, name, None)) is not None
        }
        if meter.skip is not None:
            configured["skip"] = tuple((*span, "not_available") for span in meter.skip)
        return MeterFacts(configured, self._facts.setdefault(_meter_key(bus, meter), {}), self)

    def keep(self, config: Config) -> None:
        """Forget the facts of lines and meters that the configuration does not have any more."""
        buses = {bus.name: bus for bus in config.buses}
        wanted = {_bus_key(bus) for bus in config.buses}
        wanted |= {_meter_key(buses[meter.bus], meter) for meter in config.meters if meter.bus in buses}
        for key in [key for key, facts in self._facts.items() if key not in wanted]:
            if self._facts.pop(key):
                self.touch()

    def touch(self) -> None:
        """Something changed: it is written within `SAVE_EVERY`."""
        self._changed.set()

    async def run(self) -> None:
        """Write what changes, at most every `SAVE_EVERY` s."""
        while True:
            await self._changed.wait()
            await self.save()
            await asyncio.sleep(SAVE_EVERY)

    async def save(self) -> None:
        """Write what has changed since the last time. A file that cannot be written costs nothing but the
        knowledge.
        """
        if (
            self._path is None
            or not self._changed.is_set()
            or newest_writable(LEARNT_FILE, VERSION) < VERSION
        ):
            return
        self._changed.clear()
        await asyncio.to_thread(_write, self._path, self._body())

    def _body(self) -> str:
        facts = {
            key: {fact.name: {"value": fact.value, "since": fact.since} for fact in known.values()}
            for key, known in sorted(self._facts.items())
            if known
        }
        return json.dumps({"version": VERSION, "facts": facts}, indent=1, ensure_ascii=False)


def _bus_key(bus: Bus) -> str:
    where = (
        f"{bus.port} {bus.baudrate}{bus.parity}{bus.stopbits}"
        if isinstance(bus, SerialBus)
        else f"{bus.host}:{bus.port}"
    )
    return f"{bus.name} {bus.type} {where}"


def _meter_key(bus: Bus, meter: Meter) -> str:
    return f"{_bus_key(bus)} / {meter.address} {meter.driver}"


def _read(path: Path) -> dict[str, dict[str, Fact]]:
    """What the file holds; nothing of it when it is not ours, and no single fact that is none."""
    if not path.exists():
        return {}
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise ValueError("it is no file of ours")  # noqa: TRY301 - one way out for whatever is wrong with it
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        log.warning(
            "%s is not readable, so what was learnt about lines and meters is learnt again: %s", path, error
        )
        return {}
    if (
        not isinstance(body, dict)
        or body.get("version") != VERSION
        or not isinstance(body.get("facts"), dict)
    ):
        log.warning(
            "%s is of another version, so what was learnt about lines and meters is learnt again", path
        )
        return {}
    return {key: _facts(known) for key, known in body["facts"].items() if isinstance(known, dict)}


def _facts(known: Mapping[str, Any]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for name, entry in known.items():
        with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
            value, since = entry["value"], entry["since"]
            if name == "skip":
                value = tuple(tuple(span) for span in value)
            elif name == "given":
                value = tuple(value)
            _check(name, value)
            if isinstance(since, int) and since >= 0:
                facts[name] = Fact(name, float(value) if name in _SECONDS else value, since)
    return facts


_SECONDS = ("silence", "connect_pause", "pause", "timeout")


def _check(name: str, value: object) -> None:
    """Raises ValueError for what is no fact of this name."""
    if name in _SECONDS:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value <= LONGEST
    elif name == "max_registers":
        good = _whole(value, 1, 125)
    elif name == "reply_unit":
        good = _whole(value, 0, 255)
    elif name in {"serial", "serial_now"}:
        good = isinstance(value, str) and 0 < len(value) <= MOST_SERIAL and visible(value) == value
    elif name == "reply_number":
        good = isinstance(value, str) and _NUMBER.fullmatch(value) is not None
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


def _write(path: Path, body: str) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(body + "\n", encoding="utf-8")
        os.replace(fresh, path)  # noqa: PTH105 - named for what it is
    except OSError as error:
        log.warning(
            "%s cannot be written: what was learnt about lines and meters is lost with the next restart: %s",
            path,
            error,
        )
