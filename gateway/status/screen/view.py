"""The lobby screen in words: one sentence for everybody, now, today, and what it compares with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from gateway.status.energy import charts
from gateway.status.energy.charts import Curve
from gateway.status.energy.shown import kw, kwh, share_of_all, sum_in_short, sum_in_words
from gateway.status.screen.day import ScreenDay
from gateway.status.screen.power import BuildingPower, beside_usual, power_now
from gateway.status.snapshot import Snapshot
from gateway.status.words.language import LANGUAGES, Locale

TURN: Final = 20_000
"""ms of one language."""
_PLACE: Final = 120_000
"""ms that the picture stays where it is, so that nothing burns in."""
_SIDES: Final = 1_800_000
"""ms until what stood left stands right."""
_PLACES: Final = 8
_DAYLIGHT: Final = range(7, 19)
_NIGHT: Final = (*range(6), 22, 23)
_TEA_KWH: Final = 4.186 * (100 - 15) / 3600 / 10
"""Water for a glass of 0.1 l from 15 to 100 °C: 4.186 kJ/(kg·K)."""
_LAMP_KWH: Final = 0.010 * 24
"""A lamp of 10 W for a day."""
_HALF: Final = 0.5
_WHOLE_SHARE: Final = 0.995


@dataclass(frozen=True, slots=True)
class ScreenNumber:
    """A number with its unit, what it is, and a line about it."""

    name: str
    number: str
    unit: str
    says: str = ""

    @property
    def size(self) -> str:
        """The longer the number, the smaller its digits."""
        return f"n{min(7, max(3, len(self.number)))}"


@dataclass(slots=True)
class LobbyScreen:
    """Everything that is shown; empty and None: nothing is known of it. `place` is where the picture stands
    now, `turned` whether its sides are exchanged.
    """

    language: str
    dark: bool
    place: int
    turned: bool
    date: str = ""
    time: str = ""
    sentence: str = ""
    now: ScreenNumber | None = None
    curve: Markup | None = None
    curve_says: str = ""
    today: ScreenNumber | None = None
    tiles: list[ScreenNumber] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def language_of(now: Snapshot) -> str:
    """Whose turn it is."""
    return tuple(LANGUAGES)[now.booted // TURN % len(LANGUAGES)]


def lobby_screen(day: ScreenDay, now: Snapshot, language: str) -> LobbyScreen:
    """The screen at this moment."""
    f = Locale(language, now.timezone, now.taken)
    synced, hour = now.clock.synced, int(f.time(now.taken)[:2])
    shown = LobbyScreen(
        language,
        dark=not synced or hour not in _DAYLIGHT,
        place=now.booted // _PLACE % _PLACES,
        turned=bool(now.booted // _SIDES % 2),
    )
    if synced:
        shown.date, shown.time = f.day(f.day_of(now.taken)), f.time(now.taken)
    power = power_now(day.sources, now)
    usual = day.usual_power(f.slot(now.taken)) if synced else None
    shown.now = _now(power, usual, f)
    _today(shown, day, f)
    shown.tiles += _tiles(day, f)
    shown.sentence = _sentence(day, power, hour if synced else None, f)
    shown.notes += _notes(day, power, now, f)
    return shown


def _now(power: BuildingPower, usual: tuple[float, float] | None, f: Locale) -> ScreenNumber | None:
    if power.used is None:
        return None
    return ScreenNumber(f.gettext("Now"), kw(power.used * 250, f), "kW", beside_usual(power.used, usual, f))


def _today(shown: LobbyScreen, day: ScreenDay, f: Locale) -> None:
    _ = f.gettext
    if day.used is None or day.until is None:
        return
    says = ""
    if day.missing:
        says = _("at least: %(hours)s h are not known") % {"hours": f.number(day.missing / 4, 1)}
    elif day.usual:
        said = {"kwh": kwh(day.usual, f), "until": f.until(day.until)}
        says = _("usual %(until)s: %(kwh)s") % said
    shown.today = ScreenNumber(_("Today"), kwh(day.used, f), "kWh", says)
    if day.loads is not None:
        mine = day.loads.today
        shown.curve_says = _("Today hour by hour") if day.loads.band is None else _("Today; grey: usual")
        lines = [Curve(tuple(each), "prev") for each in day.loads.like] if day.loads.band is None else []
        shown.curve = charts.sketch([*lines, Curve(tuple(mine), "now")], height=200, band=day.loads.band)


def _tiles(day: ScreenDay, f: Locale) -> list[ScreenNumber]:
    """The sun's share, CO2, and plain comparisons."""
    _ = f.gettext
    found, whole = [], not day.missing
    if day.sun and day.fed is None:
        found.append(ScreenNumber(_("Sun"), kwh(day.sun, f), "kWh", _("given by the sun today")))
    elif day.sun is not None and day.used:
        share = min(1.0, max(0.0, (day.sun - (day.fed or 0)) / day.used))
        found.append(
            ScreenNumber(_("Sun"), f.percent(share), "", _("of what we used today"))
            if day.sun > 0
            else ScreenNumber(_("Sun"), f.percent(0), "", _("no sun yet today"))
        )
    if day.co2 is not None:
        says = _("by what we drew today")
        if day.saved and day.saved >= 1:
            saved = sum_in_words(f.number(day.saved, 0), f, whole=whole)
            says += "; " + _("the sun saved %(kg)s kg") % {"kg": saved}
        found.append(ScreenNumber("CO₂", sum_in_short(f.number(day.co2, 0), whole=whole), "kg", says))
    if day.used:
        used, name = day.used / 1000, _("As much as") if whole else _("At least as much as")
        found += [
            ScreenNumber(name, _about(used / _TEA_KWH, f), _("glasses"), _("of water boiled for tea")),
            ScreenNumber(
                name,
                _about(used / _LAMP_KWH, f),
                _("lamps"),
                _("of 10 W, lit all day"),
            ),
        ]
    return found


def _about(value: float, f: Locale) -> str:
    """To two figures."""
    if value < 1:
        return f.number(value, 1)
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return f.number(round(value / step) * step, 0)


def _sentence(day: ScreenDay, power: BuildingPower, hour: int | None, f: Locale) -> str:
    """One that a child understands: the most remarkable thing that is true."""
    _ = f.gettext
    if power.used is None and power.silent is not None:
        return _("At the moment we cannot see what our building uses.")
    if not power.electric:
        return _("Nobody measures the electricity of our building here.")
    if power.used is None and day.used is None:
        return _("Soon you will see here how much electricity our building uses.")
    share = power.sun / power.used if power.used and power.sun is not None else 0.0
    if share >= _WHOLE_SHARE:
        return _("Right now the sun gives all the electricity that we use.")
    if share > _HALF:
        return _("Right now the sun gives more than half of the electricity that we use.")
    if hour in _NIGHT and power.used is not None:
        return _("It is night, and our building still uses %(kw)s kW: for everything that stays on.") % {
            "kw": kw(power.used * 250, f)
        }
    if day.used is None or day.usual is None or day.missing:
        return _("This is what our building uses.")
    if day.unusual and day.used > day.usual:
        return _("Today we use more than usual. Whoever leaves a room last turns off the light.")
    if day.unusual:
        return _("Today we use less than usual. Well done, everybody!")
    return _("Today we use as much electricity as on other days like this.")


def _notes(day: ScreenDay, power: BuildingPower, now: Snapshot, f: Locale) -> list[str]:
    """What is not as it should be, so that nobody takes the numbers for more than they are."""
    _ = f.gettext
    found = []
    if power.silent is not None:
        age = power.silent.age
        found.append(
            _("%(meter)s has not answered yet.") % {"meter": power.silent.label}
            if age is None
            else _("%(meter)s has been silent for %(span)s.")
            % {"meter": power.silent.label, "span": f.span(age)}
        )
    if not now.clock.synced:
        found.append(_("The clock is not set yet: what today brought is shown when it is."))
    elif day.progress < 1:
        found.append(
            _("The past is being prepared: %(share)s") % {"share": f.percent(share_of_all(day.progress))}
        )
    elif day.used is None and power.electric:
        found.append(_("Today's energy is known a quarter hour after the first reading."))
    elif day.usual is None and not day.missing and power.electric:
        found.append(_("What is usual is known after two weeks."))
    return found
