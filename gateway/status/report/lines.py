"""The numbers of a report: a line for each month of a year, or for each day of a month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, NamedTuple

from gateway.energy import BuildingSeries, reactive
from gateway.status.energy.figures import QUARTER, Figures, SumsByDay, total
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.reactive import main_meter, reactive_registers

_WEEKS: Final = timedelta(364)
"""A year of whole weeks: a day is compared with the same weekday a year before."""
ENOUGH: Final = 0.99
"""Part of the quarter hours that must be known of two times that are compared."""


class MainQuarters(NamedTuple):
    """Quarter hours of the main meters that should be there by now, and those that are known and measured, of
    the one that has the fewest, suspect and edited, of the one that has the most.
    """

    expected: int = 0
    known: int = 0
    measured: int = 0
    suspect: int = 0
    edited: int = 0


_NONE: Final = MainQuarters()


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A month or a day, both days in it. Energies are Wh and varh of what is known, None: nothing is.

    `used` is what the building used (drawn − fed in + generated), `bands` are those of `drawn`. `peak` is the
    start (ms UTC) of the highest quarter hour drawn, its W, and its letter of quality. `expected` counts the
    quarter hours that are over, `known` those of which it is known what was used, `known_drawn` those of
    which it is known what was drawn. `from_sun` is what the plants gave and the building used, of the `known`
    ones; of the same ones they gave `gave_of_known` in all. `before` is what was used in the same month a
    year before, or on the same weekday 52 weeks before; None when either of the two times is not known as a
    whole. `judged` counts the quarter hours of which is known what was drawn, and both kinds of reactive
    energy. `begins_within`: measuring began after its first day, and nothing counts what was before.
    `lacks_plant`: a plant is in no sum, since nobody can tell yet which register counts its yield.
    """

    first: date
    last: date
    drawn: int | None = None
    fed: int | None = 0
    gave: int | None = None
    used: int | None = None
    from_sun: int | None = None
    gave_of_known: int = 0
    bands: Mapping[str, int] | None = None
    inductive: int | None = None
    capacitive: int | None = None
    peak: tuple[int, int, str] | None = None
    expected: int = 0
    known: int = 0
    known_drawn: int = 0
    mains: MainQuarters = _NONE
    before: int | None = None
    begins_within: bool = False
    judged: int = 0
    lacks_plant: bool = False

    @property
    def complete(self) -> bool:
        """Whether what was used is all that there was; else it is at least that."""
        return self.known >= self.expected and not self.begins_within and not self.lacks_plant

    @property
    def complete_drawn(self) -> bool:
        """The same of what was drawn."""
        return self.known_drawn >= self.expected and not self.begins_within

    @property
    def whole(self) -> bool:
        """Whether it is over, and as good as all of it is known."""
        return self.expected > 0 and self.known >= self.expected * ENOUGH

    @property
    def is_telling(self) -> bool:
        """Whether enough is known of it to say if it kept the reactive limits."""
        return reactive.is_telling(self.judged, self.expected)


def report_lines(figures: Figures, period: Period) -> list[ReportLine]:
    """The lines of a year or a month, those that lie ahead left out. A month is read at a time."""
    found: list[ReportLine] = []
    month = month_of(period.first)
    while month.first <= min(period.last, figures.today):
        if period.span == "year":
            found.append(_month(figures, month.first, min(month.last, figures.today)))
        else:
            found += _days(figures, month.first, min(month.last, figures.today))
        figures.forget()
        month = month.moved(1)
    return found


def since_began(lines: list[ReportLine]) -> list[ReportLine]:
    """Those from the first of which anything is known; a later one of which nothing is, is among them."""
    first = next((place for place, line in enumerate(lines) if line.drawn is not None), len(lines))
    return [line for line in lines[first:] if line.expected or line.drawn is not None]


def total_of(lines: list[ReportLine], period: Period) -> ReportLine:
    """All lines together; `before` is left to `comparable`."""
    bands: dict[str, int] = {}
    for line in lines:
        for name, value in (line.bands or {}).items():
            bands[name] = bands.get(name, 0) + value
    return ReportLine(
        period.first,
        lines[-1].last if lines else period.last,
        drawn=_sum([line.drawn for line in lines]),
        fed=None if any(line.fed is None for line in lines) else _sum([line.fed for line in lines]),
        gave=_sum([line.gave for line in lines]),
        used=_sum([line.used for line in lines]),
        from_sun=_sum([line.from_sun for line in lines]),
        gave_of_known=sum(line.gave_of_known for line in lines),
        bands=bands or None,
        inductive=_sum([line.inductive for line in lines]),
        capacitive=_sum([line.capacitive for line in lines]),
        peak=max((line.peak for line in lines if line.peak), key=lambda each: each[1], default=None),
        expected=sum(line.expected for line in lines),
        known=sum(line.known for line in lines),
        known_drawn=sum(line.known_drawn for line in lines),
        mains=MainQuarters(*map(sum, zip(*(line.mains for line in lines), strict=True))),
        begins_within=bool(lines) and lines[0].first > period.first,
        lacks_plant=any(line.lacks_plant for line in lines),
    )


def comparable(lines: list[ReportLine]) -> tuple[int, int, int]:
    """Of the lines that are known as a whole this year and the year before: how many, Wh now, Wh then."""
    both = [(line.used, line.before) for line in lines if line.used is not None and line.before is not None]
    return len(both), sum(now for now, _ in both), sum(then for _, then in both)


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _month(figures: Figures, first: date, last: date) -> ReportLine:
    line = _line(figures, first, last, *_read(figures, first, last))
    return replace(line, before=used_a_year_before(figures, line))


def used_a_year_before(figures: Figures, month: ReportLine) -> int | None:
    """Wh of the same month a year before; None when either is not over, or not known as a whole."""
    first, last = month.first, month_of(month.first).last
    is_part = not month.whole or month.begins_within or month.lacks_plant
    if figures.end < figures.calendar.quarters(last)[-1] + QUARTER or is_part:
        return None  # a month that goes on has no like
    before = month_of(first.replace(year=first.year - 1))
    figures.forget()
    return _used_if_whole(figures, before.first, before.last)


def _days(figures: Figures, first: date, last: date) -> Iterator[ReportLine]:
    read = _read(figures, first, last)
    # Asked for the whole month at once: what a day takes of it is not read again.
    _mains(figures, first, last)
    figures.peak("", first, last)
    lines = []
    for number in range((last - first).days + 1):
        day = first + timedelta(number)
        lines.append(_line(figures, day, day, *(_only(each, day) for each in read)))
    figures.forget()
    begin, end = first - _WEEKS, last - _WEEKS
    used = figures.series_sums("used", begin, end)
    for line in lines:
        then = used.get(line.first - _WEEKS)
        over = line.first < figures.today and line.whole and not line.lacks_plant
        if over and then is not None and then.intervals >= then.quarters * ENOUGH:
            yield replace(line, before=then.sum)
        else:
            yield line


def _read(figures: Figures, first: date, last: date) -> tuple[SumsByDay | None, ...]:
    """Used, drawn, fed in, generated, inductive and capacitive of some days."""
    root, registers = main_meter(figures), reactive_registers(figures)
    found: list[SumsByDay | None] = [
        figures.series_sums("used", first, last),
        figures.series_sums("drawn", first, last),
        figures.series_sums("fed", first, last),
        figures.series_sums("generated", first, last) if figures.building.plants else None,
    ]
    for name in ("inductive", "capacitive"):
        if root is None or registers is None:
            found.append(None)
        else:
            found.append(figures.sums(root.id, getattr(registers, name), first, last))
    return tuple(found)


def _only(days: SumsByDay | None, day: date) -> SumsByDay | None:
    return None if days is None else {day: days[day]} if day in days else {}


def _line(  # noqa: PLR0917 - what was read, in its order
    figures: Figures,
    first: date,
    last: date,
    used: SumsByDay | None,
    drawn: SumsByDay | None,
    fed: SumsByDay | None,
    gave: SumsByDay | None,
    inductive: SumsByDay | None,
    capacitive: SumsByDay | None,
) -> ReportLine:
    peak = figures.peak("", first, last)
    mains = _mains(figures, first, last)
    quarters = figures.known_of(used or {}, first, last)
    drawn_of_known, gave_of_known = 0, 0
    if gave:
        series: tuple[BuildingSeries, ...] = ("used", "drawn", "generated")
        _, *both = figures.sums_where_known(series, first, last)
        drawn_of_known, gave_of_known = (total(each.values()) for each in both)
    amount = total(used.values()) if used else None
    judged = figures.known_of_all((each or {} for each in (drawn, inductive, capacitive)), first, last)
    return ReportLine(
        first,
        last,
        drawn=total(drawn.values()) if drawn else None,
        fed=total((fed or {}).values()) if not gave or figures.knows_fed(first, last) else None,
        gave=total(gave.values()) if gave else None,
        used=amount,
        from_sun=None if amount is None or not gave else max(0, amount - drawn_of_known),
        gave_of_known=gave_of_known,
        bands=figures.bands(drawn) if drawn and figures.tariff(first) else None,
        inductive=total(inductive.values()) if inductive else None,
        capacitive=total(capacitive.values()) if capacitive else None,
        peak=(peak.start, peak.power, figures.peak_quality("", peak.start)) if peak else None,
        expected=quarters.expected,
        known=quarters.known,
        known_drawn=figures.known_of(drawn or {}, first, last).known,
        mains=MainQuarters(*map(sum, zip(*mains.values(), strict=True))),
        judged=judged.known,
        lacks_plant=figures.lacks_plant(last),
    )


def _mains(figures: Figures, first: date, last: date) -> dict[date, MainQuarters]:
    """The quarter hours of the main meters, by day."""
    found: dict[date, MainQuarters] = {}
    for root in figures.facts.roots:
        if figures.counter(root):
            for day in figures.quality(root, first, last):
                if not day.expected:
                    continue  # it had not begun
                its = MainQuarters(day.expected, day.known, day.measured, day.suspect, day.edited)
                before = found.get(day.day, its)
                least, most = (MainQuarters(*map(way, before, its)) for way in (min, max))
                found[day.day] = most._replace(known=least.known, measured=least.measured)
    return found


def _used_if_whole(figures: Figures, first: date, last: date) -> int | None:
    """Wh that were used when as good as all is known."""
    used = figures.series_sums("used", first, last)
    quarters = figures.known_of(used, first, last)
    return total(used.values()) if used and quarters.known >= quarters.expected * ENOUGH else None
