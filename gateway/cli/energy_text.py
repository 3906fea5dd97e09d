"""What the engine made of a meter's registers: for a terminal of 60 columns a line per day, then what was
found; for programs a line of JSON each.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal

from gateway.cli import later
from gateway.cli.language import N_, _, figure, ngettext
from gateway.cli.prose import said, wrapped
from gateway.energy import Finding, Interval, base_unit
from gateway.model import QUANTITIES

MOST_EVENTS = 20
"""Of each register; --json gives them all."""
_RECENT = 8
"""Intervals whose next version may come."""

ACTIONS = {
    "assumed": N_("give --digits or --width"),
    "reset": N_("if the meter was exchanged, give --swap"),
    "leap": N_("if the meter was exchanged, give --swap"),
    "frozen": N_("look at the meter"),
    "incoherent": N_("compare registers, scale and transformer ratio"),
}
"""What is to be done where readings come from a file."""


def print_outcome(meter: str, quantity: str, outcome: Interval | Finding) -> None:
    """A line of JSON for an interval or a finding of a register; of a meter `quantity` is empty."""
    line: dict[str, object]
    if isinstance(outcome, Interval):
        line = {"meter": meter, "quantity": quantity, "start": outcome.start, "seconds": outcome.seconds}
        line |= {"value": outcome.value, "quality": outcome.quality, "version": outcome.version}
    else:
        line = {"event": outcome.kind, "meter": meter, "quantity": quantity, "t": outcome.t}
        line |= outcome.evidence()
    print(json.dumps(line, ensure_ascii=False))


class EnergyReport:
    """Gathers the intervals and findings of one register; `lines` prints them."""

    def __init__(self, meter: str, quantity: str, zone: tzinfo, actions: Mapping[str, str] = ACTIONS) -> None:
        """`quantity`: empty for what was found of the meter as a whole. `actions`: by kind of finding."""
        self._meter, self._title = meter, f"{meter} · {quantity}" if quantity else meter
        self._zone = zone
        self._actions = actions
        self._unit = quantity and (QUANTITIES[quantity].unit or _("pulses"))
        self._digits = base_unit(quantity).digits if quantity else 0
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
        day = self._days.setdefault(
            self._time(outcome.start)[:10], dict.fromkeys(("sum", "m", "e", "s", "d"), 0)
        )
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
        yield from wrapped(self._title)
        if not self._unit:
            pass  # of the meter there are no intervals
        elif self._first is None or self._last is None:
            yield from said(_("no whole quarter hour between its readings"), "  ")
        else:
            until = self._last.start + self._last.seconds * 1000
            yield from said(
                _("%(since)s to %(until)s")
                % {"since": self._time(self._first.start), "until": self._time(until)},
                "  ",
            )
            day_word, measured, estimated, suspect, sum_word = (
                _("day"),
                _("measured"),
                _("estimated"),
                _("suspect"),
                _("sum"),
            )
            yield f"  {day_word:<10} {self._unit:>17} {measured:>8} {estimated:>9} {suspect:>8}"
            total = 0
            for name, day in self._days.items():
                total += day["sum"]
                yield f"  {name} {self._number(day['sum']):>17} {day['m']:>8} {day['e']:>9} {day['s']:>8}"
            edited = sum(day["d"] for day in self._days.values())
            known = sum(day[letter] for day in self._days.values() for letter in "mesd")
            missing = (until - self._first.start) // (self._last.seconds * 1000) - known
            number = self._number(total)
            yield f"  {sum_word:<10} {f'≥ {number}' if missing else number:>17}"
            if missing:
                text = _("nothing is known of %(hours)s h between these times: the sum is at least that")
                yield from said(text % {"hours": figure(f"{missing * self._last.seconds / 3600:.2f}")}, "  ")
            if edited:
                text = ngettext(
                    "%(n)s quarter hour was edited by a person",
                    "%(n)s quarter hours were edited by a person",
                    edited,
                )
                yield from said(text % {"n": edited}, "  ")
        for event in self._events:
            yield from said(event, "  ")
        if self._more:
            yield from said(_("… and %(n)s more: --json gives every one") % {"n": self._more}, "  ")

    def _event(self, finding: Finding) -> str:
        said = later.status.checks.sentence(finding, self._amount, self._time, figure, _)
        action = self._actions.get("assumed" if finding.facts.get("assumed") else finding.kind, "")
        action = action and _(action) % {"meter": self._meter}
        return f"{self._time(finding.t)} {said}" + (f" → {action}" if action else "")

    def _time(self, t: int) -> str:
        return datetime.fromtimestamp(t // 1000, self._zone).strftime("%Y-%m-%d %H:%M")

    def _number(self, whole: int) -> str:
        return figure(f"{Decimal(f'{whole}E-{self._digits}'):.{self._digits}f}")

    def _amount(self, grains: int) -> str:
        return f"{figure(later.status.checks.decimal_amount(grains, self._digits))} {self._unit}"
