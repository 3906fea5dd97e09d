"""The tree of meters: what each took of the building, the unmetered rest, and what is no electricity."""

from __future__ import annotations

from dataclasses import replace

from gateway.status.energy.figures import (
    BuildingRest,
    Figures,
    MeterPart,
    total,
)
from gateway.status.energy.period import Period
from gateway.status.energy.shown import (
    EnergyView,
    Share,
    kwh,
    measure_of,
    quantity_name,
    sum_in_short,
)
from gateway.status.words.language import Locale

_MANY, _FIRST = 12, 8
"""More meters than the first are too many to look through: the second is how many are shown at once."""
_AS_GOOD_AS_ALL = 0.995


def shares(view: EnergyView, figures: Figures, period: Period, f: Locale) -> None:
    """The tree of meters with the unmetered rest."""
    _ = f.gettext
    parts = figures.parts(period)
    below = [part for part in parts if part.depth > 0]
    if not below:
        return
    rests = figures.rests(period)
    most = max([*(part.energy for part in below), *(abs(rest.rest) for rest in rests)]) or 1
    for part in below:
        note = ""
        if part.partial and part.known <= _AS_GOOD_AS_ALL:
            note = _("%(share)s of the time is known") % {"share": f.of_whole(part.known)}
        if not part.known:
            view.shares.append(
                Share(part.meter.label, part.meter.id, part.depth, "–", "", 0.0, _("nothing is known of it"))
            )
            continue
        view.shares.append(
            Share(
                part.meter.label,
                part.meter.id,
                part.depth,
                sum_in_short(kwh(part.energy, f), whole=not part.partial),
                f.percent(part.share) if part.share is not None else "",
                round(part.energy * 100 / most, 1),
                note,
            )
        )
    for rest in rests:
        _add_rest(view, rest, most, f)
    _fold(view, parts, f)
    top = [share for share in view.shares if share.depth == 1 and share.id][:2]
    both = [part.share for part in below if part.meter.id in {share.id for share in top}]
    if len(top) == 2 and None not in both:
        view.shares_title = _("%(share)s of the energy goes to two places: %(one)s and %(two)s") % {
            "share": f.of_whole(sum(each or 0.0 for each in both)),
            "one": top[0].name,
            "two": top[1].name,
        }
    else:
        view.shares_title = _("Where the energy went")


def _add_rest(view: EnergyView, rest: BuildingRest, most: int, f: Locale) -> None:
    """What nobody meters, behind what is below the same main meter."""
    _ = f.gettext
    note = _("± %(kwh)s kWh by the classes of the meters") % {"kwh": kwh(rest.band, f)}
    note += rest_without(rest, f)
    share = f.percent(rest.share) if rest.share is not None else ""
    width = round(abs(rest.rest) * 100 / most, 1)
    place, depth = len(view.shares), 1
    ids = [each.id for each in view.shares]
    if rest.meter.id in ids:
        place, depth = ids.index(rest.meter.id) + 1, 2
        while place < len(view.shares) and view.shares[place].depth > 1:
            place += 1
    view.shares.insert(
        place, Share(_("Unmetered"), "", depth, kwh(rest.rest, f), share, width, note, hollow=True)
    )
    if rest.over_counted:
        view.shares_note = _(
            "The sub meters count more than the meter above them: a transformer ratio or a meter is wrong."
        )


def other_meters(view: EnergyView, figures: Figures, period: Period, f: Locale) -> None:
    """What meters of water, gas, heat and pulses counted, each quantity in its own unit."""
    last = min(period.last, figures.today)
    for meter in figures.others:
        has = figures.quantities_of(meter.id)
        for quantity in has:
            sums, measure = figures.sums(meter.id, quantity, period.first, last), measure_of(quantity, f)
            if not sums:
                continue
            known = figures.known_of(sums, max(period.first, min(sums)), last)
            amount = sum_in_short(measure.amount(total(sums.values()), f), whole=known.whole)
            name = meter.label if len(has) == 1 else f"{meter.label}: {quantity_name(quantity, f)}"
            href = f"/energy?{period.query(meter.id, quantity='' if quantity == has[0] else quantity)}"
            view.others.append((name, href, f"{amount} {measure.unit}"))


def rest_without(rest: BuildingRest, f: Locale) -> str:
    """The days that the rest is not of, where there are any: what follows its uncertainty."""
    text = f.ngettext(
        "; without %(n)s day on which data of the building is missing",
        "; without %(n)s days on which data of the building is missing",
        rest.left_out,
    )
    return text % {"n": rest.left_out} if rest.left_out else ""


def _fold(view: EnergyView, parts: list[MeterPart], f: Locale) -> None:
    """Of many meters the largest, and those of which something is missing, stay in sight, below those that
    they are parts of; what nobody meters goes with its main meter.
    """
    shares = view.shares
    if len(shares) <= _MANY:
        return
    energies = {part.meter.id: part.energy for part in parts}
    largest = sorted(energies, key=lambda meter: -energies[meter])[:_FIRST]
    above = _above(shares)
    stays: set[int] = set()
    for row, share in enumerate(shares):
        if share.id and (share.note or share.id in largest):
            stays |= {row, *above[row]}
    stays |= {row for row, share in enumerate(shares) if not share.id and stays.issuperset(above[row])}
    away = [row for row in range(len(shares)) if row not in stays]
    if not away:
        return
    # Depths are counted anew: below another line than its own a meter would read as a part of that.
    view.folded = [replace(shares[row], depth=1 + len({*above[row]} - stays)) for row in away]
    view.shares = [shares[row] for row in sorted(stays)]
    meters = [row for row in away if shares[row].id]
    # A part of a meter that is folded, too, is in that one's energy.
    energy = sum(energies[shares[row].id] for row in meters if stays.issuperset(above[row]))
    said = {"n": len(meters), "kwh": kwh(energy, f)}
    view.folded_says = (
        f.ngettext("%(n)s more meter, %(kwh)s kWh", "%(n)s more meters, %(kwh)s kWh", len(meters)) % said
    )


def _above(shares: list[Share]) -> list[tuple[int, ...]]:
    """Of each line of the tree the lines that it is a part of, by their places."""
    found: list[tuple[int, ...]] = []
    way: list[int] = []
    for row, share in enumerate(shares):
        while way and shares[way[-1]].depth >= share.depth:
            way.pop()
        found.append(tuple(way))
        way.append(row)
    return found
