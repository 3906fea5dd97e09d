"""What the engine made of a meter's registers, for a terminal of 60 columns: a line per day, then what was found."""

from __future__ import annotations

import textwrap
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime, tzinfo
from decimal import Decimal

from gateway.energy import Finding, Interval, base_unit
from gateway.model import QUANTITIES

WIDTH = 60
MOST_EVENTS = 20
"""Of each register; --json gives them all."""
_GRAIN_DIGITS = 12
_RECENT = 8
"""Intervals whose next version may come."""

WORDS = {
    "gap": "no reading until {until} ({failed_reads} failed): {shape}",
    "rollover": "rolled over from {from} to {to}, modulus {modulus}{assumed}",
    "reset": "began anew: {from}, then {to}; what flowed between is not counted",
    "returned": "showed {from}, then again {to}; it was only away",
    "swap": "another register from here on; the old one ended at {closed}",
    "glitch": "{register} read once between readings near {before}: dropped",
    "negative_step": "ran backwards from {from} to {to}",
    "impossible_rate": "gained from {from} to {to} faster than the wires carry",
    "in_doubt": "{to} after {from}: more readings are needed to judge it",
    "frozen": "stood still in 3 intervals that the power makes {expected} each",
    "incoherent": "gained {register} in an hour, the power read makes {power}",
    "spike": "highest quarter hour {highest}, {percent} % above the third",
    "unusual_day": "{sum} on this day, {usual} on its like days",
    "duplicate": "two readings of one time: {kept} kept, {dropped} not",
    "out_of_order": "a reading older than the one before it: not used",
    "resolution": "the register's step, {step}, is more than it gains in 15 min",
}
_SHAPES = {"line": "a straight line", "like_days": "the shape of like days"}


class Report:
    """Gathers the intervals and findings of one register; `lines` prints them."""

    def __init__(self, meter: str, quantity: str, zone: tzinfo) -> None:
        self._title = f"{meter} · {quantity}"
        self._zone = zone
        self._unit = QUANTITIES[quantity].unit or "pulses"
        self._digits = base_unit(quantity).digits
        self._days: dict[str, dict[str, int]] = {}
        self._newest: OrderedDict[int, Interval] = OrderedDict()
        self._first: Interval | None = None
        self._last: Interval | None = None
        self._events: list[str] = []
        self._more = 0

    def add(self, outcome: Interval | Finding) -> None:
        """Take in what the engine gave."""
        if isinstance(outcome, Finding):
            if len(self._events) < MOST_EVENTS:
                self._events.append(self._event(outcome))
            else:
                self._more += 1
            return
        day = self._days.setdefault(self._time(outcome.start)[:10], dict.fromkeys(("sum", "m", "e", "s", "d"), 0))
        if (earlier := self._newest.get(outcome.start)) is not None:
            day["sum"] -= earlier.value
            day[earlier.quality] -= 1
        else:
            self._last = outcome
        self._first = self._first or outcome
        day["sum"] += outcome.value
        day[outcome.quality] += 1
        self._newest[outcome.start] = outcome
        if len(self._newest) > _RECENT:
            self._newest.popitem(last=False)

    def lines(self) -> Iterator[str]:
        """The days, their sum, and what was found."""
        yield from textwrap.wrap(self._title, WIDTH)
        if self._first is None or self._last is None:
            yield "  no whole quarter hour between its readings"
        else:
            yield f"  {self._time(self._first.start)} to {self._time(self._last.start + self._last.seconds * 1000)}"
            yield f"  {'day':<10} {self._unit:>19} {'measured':>8} {'estim.':>7} {'suspect':>7}"
            total = 0
            for name, day in self._days.items():
                total += day["sum"]
                yield f"  {name} {self._number(day['sum']):>19} {day['m']:>8} {day['e']:>7} {day['s']:>7}"
            yield f"  {'sum':<10} {self._number(total):>19}"
        for event in self._events:
            yield from textwrap.wrap(event, WIDTH, initial_indent="  ", subsequent_indent="      ")
        if self._more:
            yield f"  … and {self._more} more: --json gives every one"

    def _event(self, finding: Finding) -> str:
        words: dict[str, object] = dict(finding.facts)
        words |= {name: f"{self._amount(value)} {self._unit}" for name, value in finding.amounts.items()}
        if "until" in words:
            words["until"] = self._time(int(finding.facts["until"]))
        if "shape" in words:
            words["shape"] = _SHAPES[str(words["shape"])]
        if "assumed" in words:
            words["assumed"] = ", which is assumed" if words["assumed"] else ""
        return f"{self._time(finding.t)} {finding.kind}: {WORDS[finding.kind].format_map(words)}"

    def _time(self, t: int) -> str:
        return datetime.fromtimestamp(t // 1000, self._zone).strftime("%Y-%m-%d %H:%M")

    def _number(self, whole: int) -> str:
        return f"{Decimal(f'{whole}E-{self._digits}'):.{self._digits}f}"

    def _amount(self, grains: int) -> str:
        text = f"{Decimal(f'{grains}E-{self._digits + _GRAIN_DIGITS}'):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
