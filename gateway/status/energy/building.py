"""The page `/energy`: a period of the building or of one meter, beside the one that it is compared with."""

from __future__ import annotations

from gateway.status.energy.bars import band_sums, main_picture
from gateway.status.energy.figures import Figures
from gateway.status.energy.month import heat_map, month_so_far
from gateway.status.energy.period import Period
from gateway.status.energy.picker import picker
from gateway.status.energy.shown import EnergyView, kwh, name_of
from gateway.status.energy.today import compared, today_curve
from gateway.status.energy.where import figures_below, shares, sun
from gateway.status.words.language import Locale


def energy_view(figures: Figures, period: Period, meter: str, f: Locale) -> EnergyView:
    """The page for one period; `meter` is empty for the building."""
    _ = f.gettext
    view = EnergyView(name=name_of(period, f))
    picker(view, figures, period, meter, f)
    last = min(period.last, figures.today)
    values = figures.of(meter, period.first, last)
    if not values:
        view.title = _("%(period)s: nothing is known of it yet") % {"period": view.name}
        span = figures.span
        if span is not None:
            view.lead = _("Measuring began on %(day)s.") % {"day": f.day(span[0], year=True)}
        return view
    total = figures.total(values)
    view.title = _("%(period)s: %(kwh)s kWh") % {"period": view.name, "kwh": kwh(total, f)}
    view.lead = compared(figures, period, meter, values, f)
    view.main = main_picture(figures, period, meter, values, f)
    band_sums(view, figures, period, values, f)
    if period.span == "month" and last == figures.today:
        view.run = month_so_far(figures, period, meter, f)
    view.today = today_curve(figures, meter, f)
    heat_map(view, figures, meter, f)
    if not meter:
        shares(view, figures, period, f)
        sun(view, figures, period, f)
    figures_below(view, figures, period, meter, f)
    return view
