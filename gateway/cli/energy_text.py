"""What the engine made of a meter's registers, for a terminal of 60 columns: a line per day, then what was
found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime, tzinfo
from decimal import Decimal

from gateway.cli.language import N_, _, figure, ngettext
from gateway.cli.prose import said, wrapped
from gateway.energy import Finding, Interval, base_unit
from gateway.model import QUANTITIES

MOST_EVENTS = 20
"""Of each register; --json gives them all."""
_GRAIN_DIGITS = 12
_RECENT = 8
"""Intervals whose next version may come."""

WORDS = {
    "gap": N_("no reading until %(until)s, %(failed_reads)s failed: %(shape)s"),
    "rollover": N_("the register rolled over from %(from)s to %(to)s, after %(modulus)s"),
    "assumed": N_(
        "the register rolled over from %(from)s to %(to)s, after %(modulus)s as is assumed → give --digits "
        "or --width"
    ),
    "reset": N_(
        "the register began anew: %(to)s after %(from)s; what flowed between is not counted → if the meter "
        "was exchanged, give --swap"
    ),
    "returned": N_("the register was only away: %(to)s after %(from)s"),
    "swap": N_("another register from here on; the old one ended at %(closed)s"),
    "glitch": N_("one read of %(register)s beside %(before)s: dropped"),
    "negative_step": N_("the register ran backwards from %(from)s to %(to)s"),
    "impossible_rate": N_("the register gained more than can flow: %(from)s, then %(to)s"),
    "leap": N_(
        "the register leapt from %(from)s to %(to)s and then went on as before → if the meter was "
        "exchanged, give --swap"
    ),
    "in_doubt": N_("%(to)s after %(from)s: not used until more readings tell what it is"),
    "frozen": N_(
        "the register stood still though the power makes %(expected)s in a quarter hour → look at the meter"
    ),
    "incoherent": N_(
        "the register gained %(register)s in an hour, the power read makes %(power)s → compare registers, "
        "scale and transformer ratio"
    ),
    "spike": N_(
        "the highest quarter hour of the day, %(highest)s, is %(percent)s %% above the third highest"
    ),
    "unusual_day": N_("%(sum)s on this day, %(usual)s on days like it"),
    "sum": N_("the quarter hours of the day are %(apart)s apart from the register's %(register)s"),
    "jump": N_("%(value)s after %(before)s: %(percent)s %% more or less"),
    "duplicate": N_("two readings of one time: %(kept)s is kept, %(dropped)s is not"),
    "out_of_order": N_("a reading older than the one before it: not used"),
    "resolution": N_(
        "the register moves in steps of %(step)s, which is more than a quarter hour brings: no figure is "
        "finer than that"
    ),
}
"""What each event says; amounts carry their unit."""
_SHAPES = {"line": N_("a straight line"), "like_days": N_("the shape of like days")}


class EnergyReport:
    """Gathers the intervals and findings of one register; `lines` prints them."""

    def __init__(self, meter: str, quantity: str, zone: tzinfo) -> None:
        self._title = f"{meter} · {quantity}"
        self._zone = zone
        self._unit = QUANTITIES[quantity].unit or _("pulses")
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
        if self._first is None or self._last is None:
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
        words: dict[str, object] = dict(finding.facts)
        words |= {name: f"{self._amount(value)} {self._unit}" for name, value in finding.amounts.items()}
        if "until" in words:
            words["until"] = self._time(int(finding.facts["until"]))
        if "shape" in words:
            words["shape"] = _(_SHAPES[str(words["shape"])])
        kind = "assumed" if words.get("assumed") else finding.kind
        return self._time(finding.t) + " " + _(WORDS[kind]) % words

    def _time(self, t: int) -> str:
        return datetime.fromtimestamp(t // 1000, self._zone).strftime("%Y-%m-%d %H:%M")

    def _number(self, whole: int) -> str:
        return figure(f"{Decimal(f'{whole}E-{self._digits}'):.{self._digits}f}")

    def _amount(self, grains: int) -> str:
        text = f"{Decimal(f'{grains}E-{self._digits + _GRAIN_DIGITS}'):f}"
        return figure(text.rstrip("0").rstrip(".") if "." in text else text)
