"""What the first screen says of the energy: today, this month, and what may cost money."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from gateway.energy import Calendar
from gateway.errors import HistoryError
from gateway.status.energy.facts import EnergyHistory
from gateway.status.energy.figures import QUARTER, Figures, total
from gateway.status.energy.gauge import bullet
from gateway.status.energy.month import about, month_forecast
from gateway.status.energy.period import month_of
from gateway.status.energy.reactive import ReactiveView, month_view
from gateway.status.energy.shown import (
    KWH,
    Picture,
    changed,
    kw,
    kwh,
    share_of_all,
    sum_in_short,
    sum_in_words,
)
from gateway.status.energy.today import (
    base_load_of,
    first_usual,
    loads_of_today,
    today_curve,
    usual_today,
)
from gateway.status.energy.where import not_measured, peak_of
from gateway.status.screen.power import NO_SOURCES, PowerSources, beside_usual, power_now, power_sources
from gateway.status.snapshot import Snapshot
from gateway.status.words import check_notices
from gateway.status.words.language import Locale
from gateway.status.words.notices import Notice

KEPT = 60_000
"""ms that what was computed is shown: a quarter hour changes slowly."""
_HEIGHT = 130
_HOUR = 3_600_000
_SUN = 0.05
"""KW from which on the sun is worth a word."""
_SAME = 0.005
"""A change that is none."""


@dataclass(frozen=True, slots=True)
class HomeFigure:
    """A number with what it is compared with, and its bar; `least`: in words, that not all is known."""

    name: str
    least: str
    kwh: str
    says: str
    below: str
    bar: Markup
    href: str


@dataclass(frozen=True, slots=True)
class BuildingNow:
    """What the building uses at this moment; in words its `trend`, what is `usual`, and how much of it is of
    the `sun`: empty where that is not known.
    """

    kw: str
    trend: str
    usual: str
    sun: str


@dataclass(frozen=True, slots=True)
class HomeEnergy:
    """Of the first screen. `rows`, and `more` of them of the month: name, what holds, a word more, address;
    `others` are other periods. `jobs` is what somebody should see to: it will cost money, or makes
    figures wrong. `sources` say what is used at this moment; `hour_ago` is the mean of that quarter
    hour, in kW, `usual` the lowest and highest mean of like days at this hour.
    """

    sources: PowerSources = NO_SOURCES
    hour_ago: float | None = None
    usual: tuple[float, float] | None = None
    jobs: tuple[Notice, ...] = ()
    curve: Picture | None = None
    figures: tuple[HomeFigure, ...] = ()
    rows: tuple[tuple[str, str, str, str], ...] = ()
    more: tuple[tuple[str, str, str, str], ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    preparing: str = ""
    """That the past is being made from what is kept, and how far that is."""


@dataclass(slots=True)
class HomeCache:
    """Computes it at most once a minute and language; for the page's worker thread."""

    _kept: dict[str, tuple[int, HomeEnergy]] = field(default_factory=dict)

    def get(self, history: EnergyHistory | None, now: Snapshot, language: str) -> HomeEnergy:
        """What there is to show; empty while nothing is known."""
        kept = self._kept.get(language)
        if kept is not None and 0 <= now.taken - kept[0] < KEPT:
            return kept[1]
        made = HomeEnergy() if history is None else _home(history, now, language)
        # Where today is known already only seconds are missing.
        if history is not None and history.progress < 1 and made.curve is None:
            made = replace(made, preparing=preparing(history, Locale(language, now.timezone, now.taken)))
        self._kept[language] = (now.taken, made)
        return made


def preparing(history: EnergyHistory, f: Locale) -> str:
    """How far the past is made from what is kept."""
    share = {"share": f.percent(share_of_all(history.progress))}
    return f.gettext("The past is being prepared: %(share)s") % share


def _home(history: EnergyHistory, now: Snapshot, language: str) -> HomeEnergy:
    f = Locale(language, now.timezone, now.taken)
    try:
        with closing(history.open()) as reader:
            figures = Figures(history.facts, reader, Calendar(ZoneInfo(now.timezone)), now.taken)
            sources = power_sources(history.facts, figures)
            if not figures.known or not now.clock.synced:
                return HomeEnergy(sources)
            loads = loads_of_today(figures, "")
            shown = [figure for figure in (_today(figures, f), _month(figures, f)) if figure is not None]
            reactive = month_view(figures, month_of(figures.today), f)
            rows = _rows(figures, reactive, f)
            return HomeEnergy(
                sources,
                _an_hour_ago(figures, now.taken),
                loads.usual(f.slot(now.taken)) if loads else None,
                tuple(_jobs(figures, reactive, f)),
                today_curve(figures, "", loads, f, _HEIGHT),
                tuple(shown),
                tuple(rows),
                tuple(_month_rows(figures, f)),
                tuple(_others(figures, f)),
            )
    except HistoryError:
        return HomeEnergy(power_sources(history.facts))


def building_now(energy: HomeEnergy, now: Snapshot, f: Locale) -> BuildingNow | None:
    """The number that leads; None: what the building uses cannot be said, its meters stand for themselves."""
    _ = f.gettext
    power = power_now(energy.sources, now)
    if power.used is None:
        return None
    trend, sun = "", ""
    if energy.hour_ago is not None:
        more = power.used - energy.hour_ago
        decimals = 0 if power.used >= 10 else 1
        trend = _("as much as an hour ago")
        if round(abs(more), decimals):
            text = _("%(kw)s kW more than an hour ago") if more > 0 else _("%(kw)s kW less than an hour ago")
            trend = text % {"kw": f.number(abs(more), decimals)}
    if power.sun is not None and (of_sun := min(power.sun, power.used)) >= _SUN:
        sun = _("%(kw)s kW of it from the sun") % {"kw": kw(of_sun * 250, f)}
    return BuildingNow(kw(power.used * 250, f), trend, beside_usual(power.used, energy.usual, f), sun)


def _an_hour_ago(figures: Figures, now: int) -> float | None:
    """Mean kW of the building an hour ago; None where it is not known, or a quarter hour tells no power."""
    if figures.step_of(""):
        return None
    start = (now - _HOUR) // QUARTER * QUARTER
    day = figures.calendar.place(start)[0]
    value = figures.quarters(figures.used(day, day)).get(start)
    return None if value is None else value * 4 / 1000


def _today(figures: Figures, f: Locale) -> HomeFigure | None:
    _ = f.gettext
    values = figures.series_sums("used", figures.today, figures.today)
    if not values:
        return None
    used, known = total(values.values()), figures.known_of(values, figures.today, figures.today)
    usual = usual_today(figures, "")
    like = figures.like_days(figures.today)
    sums = [figures.series_sums("used", day, day) for day in like]
    whole = [one.sum for each in sums for one in each.values() if one.whole]
    mean = sum(whole) / len(whole) if whole else 0.0
    says, below = "", ""
    if usual is not None:
        word = changed(usual.value, usual.mean, f)
        share = usual.value / usual.mean - 1 if usual.mean else 0.0
        sign = "+" if share > 0 else "−"
        near = f"{sign}{f.percent(abs(share))}" if abs(share) >= _SAME else f.percent(0)
        usually = _("as usual (%(change)s)") % {"change": near}
        says = _("%(change)s usual") % {"change": word} if usual.is_unusual else usually
        below = _("by now usually %(now)s, the whole day %(day)s kWh") % {
            "now": f"{kwh(usual.mean, f)} ± {kwh(usual.deviation, f)}",
            "day": kwh(mean, f),
        }
    else:
        below = first_usual(figures, f)
    bar = bullet(used, mean or used, mark=float(usual.mean) if usual else None)
    name = _("Today %(until)s") % {"until": f.until(figures.counted_until())}
    least = "" if known.whole and not figures.lacks_plant(figures.today) else _("at least")
    return HomeFigure(name, least, kwh(used, f), says, below, bar, f"/energy?day={figures.today}")


def _month(figures: Figures, f: Locale) -> HomeFigure | None:
    _ = f.gettext
    period = month_of(figures.today)
    sums = figures.series_sums("used", period.first, figures.today)
    used, known = total(sums.values()), figures.known_of(sums, period.first, figures.today)
    if not used:
        return None
    forecast = month_forecast(figures)
    before = period.moved(-1)
    old_sums = figures.series_sums("used", before.first, before.last)
    old = total(old_sums.values())
    whole = old > 0 and figures.known_of(old_sums, before.first, before.last).whole
    whole = whole and not figures.lacks_plant(figures.today)
    says, below = "", ""
    if forecast is not None:
        says = _("heading for about %(kwh)s") % {"kwh": about(forecast / 1000, 0, f)}
        if whole:
            below = _("%(month)s: %(kwh)s kWh; %(change)s that") % {
                "month": f.month(before.first),
                "kwh": kwh(old, f),
                "change": changed(forecast, old, f),
            }
    bar = bullet(used, old if whole else used, mark=float(old) if whole else None, forecast=forecast)
    name = _("%(month)s, day %(n)s") % {"month": f.month(period.first, year=False), "n": figures.today.day}
    least = "" if known.whole and not figures.lacks_plant(figures.today) else _("at least")
    return HomeFigure(name, least, kwh(used, f), says, below, bar, f"/energy?month={period.first:%Y-%m}")


def _jobs(figures: Figures, reactive: ReactiveView, f: Locale) -> list[Notice]:
    """A charge that is coming, and can still be kept away or kept small; what makes the figures wrong."""
    found = [_contract_passed(figures, f)]
    if reactive.level == "bad":
        whom = f.gettext("Tell the maintenance firm: the compensation does not keep up.")
        found.append(Notice("bad", f"{reactive.title}.", f"{reactive.lead} {whom}", "/reactive"))
    labels = {meter.id: meter.label for meter in figures.facts.meters}
    wrong = check_notices.jobs(figures.findings, labels, figures.end, f)
    return [each for each in (*found, *wrong) if each is not None]


def _contract_passed(figures: Figures, f: Locale) -> Notice | None:
    """The month's highest measured demand above the contracted power; another one proves nothing."""
    _ = f.gettext
    period, most = month_of(figures.today), figures.facts.contract_kw
    found = figures.measured_peak(period.first, figures.today, most * 1000) if most else None
    if found is None or most is None:
        return None
    day = figures.calendar.place(found.start)[0]
    text = _("The contracted power of %(most)s kW was passed: %(kw)s kW on %(when)s.")
    said = {"most": KWH.power(most * 1000, f), "kw": KWH.power(found.power, f)}
    action = _("It may cost extra: look what ran at that time, or have the contract raised.")
    said["when"] = f"{f.short_day(day)} {f.time(found.start)}"
    return Notice("bad", text % said, action, f"/energy?month={period.first:%Y-%m}#peak")


def _rows(figures: Figures, reactive: ReactiveView, f: Locale) -> list[tuple[str, str, str, str]]:
    _ = f.gettext
    rows = []
    if reactive.kinds:
        worst = max(reactive.kinds, key=lambda kind: ("ok", "warn", "bad").index(kind.level))
        word = {
            "ok": _("none expected"),
            "warn": _("near the limit"),
            "bad": _("coming"),
        }[worst.level]
        if worst.since is not None:
            word = _("not known as a whole")
        more = _("%(ratio)s, limit %(limit)s") % {"ratio": worst.ratio, "limit": worst.limit}
        rows.append((_("Reactive charge"), word, more, "/reactive"))
    if figures.building.plants:
        gave = figures.series_sums("generated", figures.today, figures.today)
        lacks_plant = figures.lacks_plant(figures.today)
        whole = figures.known_of(gave, figures.today, figures.today).whole and not lacks_plant
        sun, out = max(0, total(gave.values())), figures.total(figures.fed_in(figures.today, figures.today))
        told = figures.knows_fed(figures.today, figures.today)
        more = _("all used in the building") if told else ""
        if out > 0:
            more = _("%(kwh)s kWh fed to the grid") % {"kwh": sum_in_short(kwh(out, f), whole=told)}
        href = f"/energy?day={figures.today}#sun"
        said = sum_in_words(f"{kwh(sun, f)} kWh", f, whole=whole)
        rows.append((_("The sun today"), said, more if sun > 0 else "", href))
    return rows


def _month_rows(figures: Figures, f: Locale) -> list[tuple[str, str, str, str]]:
    """Of this month: who used most, the peak; and what never stops."""
    _ = f.gettext
    rows, period = [], month_of(figures.today)
    address = f"/energy?month={period.first:%Y-%m}"
    top = [part for part in figures.parts(period) if part.depth == 1][:2]
    shares = [f.percent(part.share) for part in top if part.share is not None]
    if shares:
        more = shares[0]
        if len(top) > 1:
            said = {"first": shares[0], "meter": top[1].meter.label, "second": shares[1]}
            more = _("%(first)s, then %(meter)s %(second)s") % said
        rows.append((_("Used most"), top[0].meter.label, more, f"{address}#where"))
    found = peak_of(figures, period)
    if found is not None:
        day = figures.calendar.place(found.start)[0]
        more = f"{f.short_day(day)} {f.time(found.start)}"
        more += _("; %(meter)s rose most") % {"meter": found.meter} if found.meter else ""
        more += not_measured(figures.peak_quality("", found.start), f)
        if figures.facts.plants:
            more = _("from the grid") + f", {more}"
        drawn = figures.series_sums("drawn", period.first, figures.today)
        whole = figures.known_of(drawn, period.first, figures.today).whole
        rows.append(
            (_("Peak"), f"{sum_in_short(KWH.power(found.power, f), whole=whole)} kW", more, f"{address}#peak")
        )
    base, has_risen = base_load_of(figures, "")
    if base is not None and base.power:
        more = _("yesterday, never switched off: %(share)s of the day") % {"share": f.of_whole(base.share)}
        more += "; " + _("more than on the closed days before") if has_risen else ""
        rows.append((_("At night"), f"{f.number(base.power / 1000, 1)} kW", more, f"{address}#night"))
    return rows


def _others(figures: Figures, f: Locale) -> list[tuple[str, str]]:
    """Other periods, by name and address."""
    _ = f.gettext
    today = figures.today
    return [
        (_("yesterday"), f"/energy?day={today - timedelta(1)}"),
        (_("this week"), f"/energy?week={today}"),
        (_("this year"), f"/energy?year={today.year}"),
    ]
