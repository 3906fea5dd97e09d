"""A range of local days that somebody looks at: named in the address, with what comes before and after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

PeriodKind = Literal["day", "week", "month", "year", "range"]
Step = Literal["quarter", "hour", "day", "month", "year"]

SPANS: Final[tuple[PeriodKind, ...]] = ("day", "week", "month", "year")
STEPS: Final[Mapping[PeriodKind, tuple[Step, ...]]] = {
    "day": ("quarter", "hour"),
    "week": ("hour", "day"),
    "month": ("hour", "day"),
    "year": ("day", "month"),
    "range": ("hour", "day", "month", "year"),
}
"""What a span can be cut into, a range of many days not into hours."""
LONG: Final = frozenset({"month", "year"})
"""Steps of many days."""
MOST_DAYS_OF_HOURS: Final = 31
_USUAL: Final[Mapping[PeriodKind, Step]] = {
    "day": "hour",
    "week": "day",
    "month": "day",
    "year": "month",
    "range": "day",
}
MOST_BARS: Final = 400
"""Days up to which a range is cut into days where nobody asks for it, and on a page at all."""
LONGEST: Final = 3700
"""Days of a range."""
WORDS: Final = (*SPANS, "from", "to")
"""What names a range in an address."""
_ISO: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Period:
    """`first` and `last` are local days, both in it."""

    span: PeriodKind
    first: date
    last: date
    step: Step

    @property
    def days(self) -> int:
        """How many local days it has."""
        return (self.last - self.first).days + 1

    @property
    def name(self) -> str:
        """Its year, its month, or its first day."""
        match self.span:
            case "month":
                return f"{self.first:%Y-%m}"
            case "year":
                return f"{self.first:%Y}"
            case _:
                return str(self.first)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a page cuts it into."""
        if self.days > MOST_BARS:
            return ("month", "year")
        steps = STEPS[self.span]
        return tuple(step for step in steps if step != "hour" or self.days <= MOST_DAYS_OF_HOURS)

    def bar_of(self, day: date) -> date:
        """The first day of the bar that a day is in."""
        match self.step:
            case "year":
                return day.replace(month=1, day=1)
            case "month":
                return day.replace(day=1)
            case _:
                return day

    def end_of_bar(self, first: date) -> date:
        """The last day of the bar that begins on a day."""
        match self.step:
            case "year":
                return year_of(first.year).last
            case "month":
                return month_of(first).last
            case _:
                return first

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def moved(self, by: int) -> Period:
        """The period so many before (negative) or after."""
        match self.span:
            case "day" | "week" | "range":
                shift = timedelta(self.days * by)
                return Period(self.span, self.first + shift, self.last + shift, self.step)
            case "month":
                return month_of(_month(self.first, by), self.step)
            case "year":
                return year_of(self.first.year + by, self.step)

    @property
    def like(self) -> Period:
        """What it is compared with: four weeks before, so that the weekdays match; a month with the month
        before it, a year with the year before.
        """
        if self.span in {"month", "year"}:
            return self.moved(-1)
        shift = timedelta(max(28, self.days))
        return Period(self.span, self.first - shift, self.last - shift, self.step)

    def query(self, meter: str = "", step: Step | None = None, quantity: str = "") -> str:
        """The part of an address that names it, and what is looked at."""
        usual = "month" if self.span == "range" and self.days > MOST_BARS else _USUAL[self.span]
        by = f"&by={step or self.step}" if (step or self.step) != usual else ""
        which = f"&meter={meter}" if meter else ""
        which += f"&quantity={quantity}" if quantity else ""
        if self.span == "range":
            return f"from={self.first}&to={self.last}{by}{which}"
        return f"{self.span}={self.name}{by}{which}"


def parse(query: Mapping[str, str], today: date) -> Period:
    """The period of an address; without one the month of `today`. Raises ValueError with what is wrong."""
    step = query.get("by")
    if len({"from" if word == "to" else word for word in WORDS if word in query}) > 1:
        raise ValueError(
            "the address names more than one range: write day, week, month, year, or from and to"
        )
    if "from" in query or "to" in query:
        first = _day(query.get("from", query.get("to", "")))
        last = _day(query.get("to", query.get("from", "")))
        _check_order(first, last)
        usual = "day" if (last - first).days < MOST_BARS else "month"
        period = Period("range", first, last, _step("range", step or usual))
        if period.step == "hour" and period.days > MOST_DAYS_OF_HOURS:
            raise ValueError(f"by=hour goes with at most {MOST_DAYS_OF_HOURS} days: write by=day")
        return period
    for span in SPANS:
        if span in query:
            return _of(span, query[span], _step(span, step))
    return month_of(today, _step("month", step))


def _check_order(first: date, last: date) -> None:
    """Raises ValueError where these are no range, with the one that can be meant."""
    if last < first:
        raise ValueError(f"the last day, {last}, is before the first, {first}: write from={last}&to={first}")
    if (last - first).days >= LONGEST:
        least = last - timedelta(LONGEST - 1)
        raise ValueError(
            f"from {first} to {last} is longer than ten years: write from={least}&to={last}, or less"
        )


def _of(span: PeriodKind, text: str, step: Step) -> Period:
    match span:
        case "day":
            day = _day(text)
            return Period("day", day, day, step)
        case "week":
            day = _day(text)
            first = day - timedelta(day.weekday())
            return Period("week", first, first + timedelta(6), step)
        case "month":
            return month_of(_day(text, "-01"), step)
        case _:
            return year_of(_day(text, "-01-01").year, step)


def month_of(day: date, step: Step = "day") -> Period:
    """The month of a day."""
    first = day.replace(day=1)
    return Period("month", first, _month(first, 1) - timedelta(1), step)


def year_of(year: int, step: Step = "month") -> Period:
    """A calendar year."""
    return Period("year", date(year, 1, 1), date(year, 12, 31), step)


def year_before(day: date) -> date:
    """29 February has the 28th before it."""
    leap = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - 1, day=28 if leap else day.day)


def _month(first: date, by: int) -> date:
    number = first.year * _MONTHS + first.month - 1 + by
    return date(number // _MONTHS, number % _MONTHS + 1, 1)


def _day(text: str, rest: str = "") -> date:
    """A day, or with the `rest` of its date the first one of a month or year."""
    try:
        day = date.fromisoformat(text + rest if _ISO.fullmatch(text + rest) else "")
    except ValueError:
        match rest:
            case "":
                raise ValueError(f"{text[:20]!r} is no day: write one like 2026-11-25") from None
            case "-01":
                raise ValueError(f"{text[:20]!r} is no month: write one like 2026-11") from None
            case _:
                raise ValueError(f"{text[:20]!r} is no year: write one like 2026") from None
    if not 2000 <= day.year <= 2099:
        raise ValueError(f"{text[:20]!r} is too far away: write a day from 2000 to 2099")
    return day


def _step(span: PeriodKind, text: str | None) -> Step:
    steps = STEPS[span]
    if text is None:
        return _USUAL[span]
    step = next((step for step in steps if step == text), None)
    if step is None:
        raise ValueError(f"by={text[:20]!r} does not go with this range: write one of {', '.join(steps)}")
    return step
