"""The values of one meter as tables: by kind, with the phases side by side, each table with one age."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from gateway.model import QUANTITIES
from gateway.status.snapshot import MeterView, ValueView
from gateway.status.words.labels import Words, common_decimals, gives
from gateway.status.words.language import Locale

_SUPPLY = {
    "voltage_ln": ("voltage", ""),
    "voltage_ll": ("voltages", ""),
    "voltage_l12": ("voltages", "l1"),
    "voltage_l23": ("voltages", "l2"),
    "voltage_l31": ("voltages", "l3"),
    "current_n": ("current", "n"),
}
"""Row and column of what is not named after its phase alone."""
_COUNTED = {
    "pulse_count",
    "volume",
    "volume_flow",
    "heat_energy",
    "cooling_energy",
    "heat_power",
    "temperature_flow",
    "temperature_return",
}
_ORDER = {name: index for index, name in enumerate(QUANTITIES)}
_PART = re.compile(r"^(?P<base>.+)_(?P<part>[lts][1-4])n?$")
_SAME_S = 1.0
"""Values of one poll are of one age; a second more is another poll."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number as it is shown; `marked` when a note below the table belongs to it."""

    text: str
    quality: str = ""
    marked: bool = False


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A quantity with its unit and its OBIS code, and a cell for each column, None where the meter has none.

    `hint` says what the columns are in this row, where that is not what stands above them.
    """

    label: str
    hint: str
    code: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class ValueTable:
    """`kind` names it for the page; `columns` are their heads; `age` is that of all values without a note of
    their own.

    `totals`: the first column is that of the totals; `folded`: of the second rank; `notes`: what is not as it
    should be,
    `ages`: what was read at another time, a sentence each.
    """

    kind: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[ValueRow, ...]
    age: str
    notes: tuple[str, ...]
    ages: tuple[str, ...]
    folded: bool
    codes: bool = False
    totals: bool = False


def tables(meter: MeterView, f: Locale) -> list[ValueTable]:
    """Every value of a meter, in tables: what matters first."""
    _ = f.gettext
    sorted_in: dict[str, list[ValueView]] = {}
    for view in sorted(meter.values, key=lambda view: _ORDER.get(view.quantity, len(_ORDER))):
        sorted_in.setdefault(_kind(view.quantity), []).append(view)
    if gives(meter):
        sorted_in.get("register", []).sort(
            key=lambda view: not view.quantity.startswith("active_energy_export")
        )
    total, mean = _("Total"), _("Mean")
    titles = {
        "power": (_("Power"), total),
        "register": (_("Meter readings"), _("Reading")),
        "counted": (_("Meter readings"), _("Value")),
        "supply": (_("Voltage and current"), mean),
        "quality": (_("Quality of supply"), _("Value")),
        "phases": (_("Meter readings by phase"), ""),
        "tariffs": (_("Meter readings by tariff"), ""),
        "inputs": (_("Inputs of direct current"), total),
        "machine": (_("Health of the machine"), _("Value")),
        "other": (_("Other values"), _("Value")),
    }
    found = [
        _table(kind, heads, sorted_in[kind], meter, f) for kind, heads in titles.items() if kind in sorted_in
    ]
    if all(table.folded for table in found):
        return [
            ValueTable(
                t.kind,
                t.title,
                t.columns,
                t.rows,
                t.age,
                t.notes,
                t.ages,
                folded=False,
                codes=t.codes,
                totals=t.totals,
            )
            for t in found
        ]
    return found


def _kind(name: str) -> str:
    """Which table a quantity stands in."""
    base, part = _split(name)
    word = QUANTITIES.get(name)
    if word is None:
        return "other"
    if word.own:
        return "machine"
    if name.startswith("dc_"):
        return "inputs"
    if word.kind == "counter" and "energy" in base and not name.startswith("heat"):
        return "register" if not part else "tariffs" if part.startswith("t") else "phases"
    if base in {"voltage", "voltages", "current"}:
        return "supply"
    if base.startswith("thd_") or base == "frequency":
        return "quality"
    if base.endswith(("_power", "_factor")) and name != "heat_power":
        return "power"
    return "counted" if base in _COUNTED else "other"


def _split(name: str) -> tuple[str, str]:
    """Row and column of a quantity: active_power_l1 → (active_power, l1); the column of a total is empty."""
    if name in _SUPPLY:
        return _SUPPLY[name]
    match = _PART.match(name)
    return (match["base"], match["part"]) if match else (name, "")


def _table(
    kind: str, heads: tuple[str, str], views: list[ValueView], meter: MeterView, f: Locale
) -> ValueTable:
    (title, head), (age, same) = heads, _common(views)
    rows: dict[str, dict[str, ValueView]] = {}
    for view in views:
        base, part = _split(view.quantity)
        rows.setdefault(base, {})[part] = view
    parts = sorted({part for row in rows.values() for part in row})
    codes = kind == "register" and any(_code(view) for view in views)
    counted = kind in {"register", "phases", "tariffs"}
    column = common_decimals(views)
    whole = _whole(views, meter, same, f)
    lines = []
    for base, row in rows.items():
        digits = column if counted else common_decimals(row.values())
        cells = tuple(_cell(row.get(part), digits, meter, f, whole=bool(whole)) for part in parts)
        hint = "L1\u2011L2, L2\u2011L3, L3\u2011L1" if base == "voltages" and len(row) > ("" in row) else ""
        lines.append(
            ValueRow(_label(base, row, f), hint, _code(row[""]) if codes and "" in row else "", cells)
        )
    unknown = [Words(f).quantity(view.quantity) for view in views if kind == "machine" and view.absent]
    told = [view for view in views if not (kind == "machine" and view.absent)]
    notes = [whole] if whole else [note for view in told if (note := _note(view, meter, f))]
    says = f.ago(age) if age is not None else ""
    late = [
        view
        for view in views
        if view.quality in {"good", "suspect"} and not meter.missing and _differs(view, age)
    ]
    ages = tuple(f"{Words(f).quantity(view.quantity)}: {f.ago(view.age)}" for view in late)
    if unknown:  # a machine that has no such sensor is not ill
        ages = (*ages, f.gettext("Not known here: %(what)s") % {"what": ", ".join(unknown)})
    folded = kind not in {"power", "register", "counted", "supply", "machine"}
    return ValueTable(
        kind,
        title,
        tuple(_head(part, head, f) for part in parts),
        tuple(lines),
        says,
        tuple(notes),
        ages,
        folded,
        codes,
        "" in parts,
    )


def _common(views: list[ValueView]) -> tuple[float | None, bool]:
    """The age that most values have, in s, and whether all have it."""
    ages = Counter(round(view.age) for view in views if view.age is not None and view.value is not None)
    if not ages:
        return None, True
    most = ages.most_common(1)[0][0]
    age = next(
        view.age
        for view in views
        if view.age is not None and view.value is not None and round(view.age) == most
    )
    return age, len(ages) == 1


def _whole(views: list[ValueView], meter: MeterView, same: bool, f: Locale) -> str:
    """One sentence where all values share one fault."""
    if not same or meter.missing:
        return ""
    faults = {(view.quality, view.absent) for view in views}
    if len(faults) != 1 or len(views) == 1:
        return ""
    quality, absent = faults.pop()
    if quality == "good" and not absent:
        return ""
    text = Words(f).reason(absent, views[0].quantity) if absent else Words(f).quality(views[0])
    return f.gettext("All values: %(what)s") % {"what": text}


def _note(view: ValueView, meter: MeterView, f: Locale) -> str:
    """What is to be said of one value; of a meter that brings nothing the page says it once."""
    if meter.missing:
        return ""
    says = []
    if view.absent:
        says.append(Words(f).reason(view.absent, view.quantity))
    if view.quality == "stale":
        says.append(f.ago(view.age))
    if view.quality in {"suspect", "stale"}:
        says.append(Words(f).quality(view))
    return f"{Words(f).quantity(view.quantity)}: {', '.join(says)}" if says else ""


def _differs(view: ValueView, age: float | None) -> bool:
    return view.age is None or (age is not None and abs(view.age - age) > _SAME_S)


def _cell(view: ValueView | None, digits: int, meter: MeterView, f: Locale, *, whole: bool) -> Cell | None:
    if view is None:
        return None
    said = bool(view.absent) or view.quality != "good"
    return Cell(
        Words(f).number(view, digits),
        view.quality,
        said and view.value is not None and not whole and not meter.missing,
    )


def _label(base: str, row: dict[str, ValueView], f: Locale) -> str:
    _ = f.gettext
    own = {
        "voltage": _("Phase voltage"),
        "voltages": _("Voltage between phases"),
        "current": _("Current"),
        "thd_voltage": _("Voltage THD"),
        "thd_current": _("Current THD"),
        "dc_voltage": _("DC voltage"),
        "dc_current": _("DC current"),
        "dc_energy": _("DC energy"),
    }
    text = own.get(base) or Words(f).quantity(base)
    word = QUANTITIES.get(next(iter(row.values())).quantity)
    return f"{text.replace('-', chr(0x2011))}, {word.unit}" if word and word.unit else text


def _code(view: ValueView) -> str:
    """The code as it stands on displays and bills, without medium and channel."""
    word = QUANTITIES.get(view.quantity)
    return word.obis.partition(":")[2] if word else ""


def _head(part: str, total: str, f: Locale) -> str:
    if not part:
        return total
    if part == "n":
        return "N"
    number = part[1:]
    kinds = {
        "l": f"L{number}",
        "t": f.gettext("Tariff %(n)s") % {"n": number},
        "s": f.gettext("Input %(n)s") % {"n": number},
    }
    return kinds[part[0]]
