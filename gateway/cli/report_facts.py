"""What stands in the hand-over report, from configuration, tables, the running gateway and its journal."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway.catalogue import Driver
from gateway.cli import wiring_words
from gateway.cli.language import _, locale, ngettext
from gateway.cli.physics_words import contradictions
from gateway.commissioning.wiring import WiringVerdict
from gateway.config import Config, Meter, SerialBus
from gateway.field import BusForecast, traffic
from gateway.model import QUANTITIES
from gateway.status import Locale, Snapshot, Words, judge, notices, sentences

ReportRow = dict[str, str]
_VERIFIED = ("hardware", "datasheet", "two-sources", "one-source")


class JudgedWiring(NamedTuple):
    """A verdict, by so many readings from `first` to `last` (UTC, ms)."""

    verdict: WiringVerdict
    rows: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What a report is made of. `wiring`: verdict by meter; `trips`: seconds until the platform had what was
    read for the report, by uplink, None when it did not come.
    """

    config: Config
    drivers: Mapping[str, Driver]
    now: Snapshot
    readings: Mapping[str, Mapping[str, Any]]
    wiring: Mapping[str, JudgedWiring]
    forecasts: list[BusForecast]
    trips: Mapping[str, float | None]
    key: str
    by: str
    note: str
    language: str


def report_content(facts: SiteFacts) -> dict[str, Any]:
    """The report as JSON values: figures, and beside them the words of the page."""
    now = facts.now
    f = locale(now.timezone)
    verdict = judge(now)
    meters = [_meter(meter, facts, f) for meter in _in_order(facts.config.meters)]
    said = [{"text": each.text, "action": each.action} for each in notices.notices(verdict, now, f)]
    open_points = said + list(_open(facts, meters))
    return {
        "schema": "submeter-report/1",
        "language": facts.language,
        "made": now.taken,
        "made_text": f.full(now.taken),
        "by": facts.by,
        "note": facts.note,
        "in_order": not open_points,
        "verdict": _headline(notices.headline(verdict, now, f).text, len(open_points)),
        "open": open_points,
        "building": _building(facts.config, f),
        "gateway": _gateway(facts, f),
        "meters": [*meters, *(_pulse(each.id, each.label, facts, f) for each in facts.config.pulses)],
        "buses": [_bus(forecast, facts, f) for forecast in facts.forecasts],
        "uplinks": [_uplink(uplink.name, facts, f) for uplink in facts.config.uplinks],
        "plan": _plan(facts, f),
    }


def _headline(text: str, count: int) -> str:
    """How the gateway is, and how much is left to do before the site is handed over."""
    if not count:
        return text
    return f"{text} " + ngettext("%(n)s point is open:", "%(n)s points are open:", count) % {"n": count}


def _row(name: str, text: object) -> ReportRow:
    return {"name": name, "text": str(text) if text not in (None, "") else "–"}


def _building(config: Config, f: Locale) -> dict[str, Any]:
    b = config.building
    rows = [
        _row(_("Name"), config.gateway.name),
        _row(_("Area"), b.area and f"{f.number(b.area, 0)} m²"),
        _row(_("Installed power"), b.installed_kva and f"{f.number(b.installed_kva, 0)} kVA"),
        _row(_("Contracted power"), b.contract_kw and f"{f.number(b.contract_kw, 0)} kW"),
        _row(_("Tariff"), b.tariff),
        _row(_("Generation"), ", ".join(plant.meter for plant in b.pv) or _("none")),
        _row(_("Maintenance"), b.service and " ".join(filter(None, (b.service.name, b.service.phone)))),
    ]
    return {"name": config.gateway.name, "area": b.area, "installed_kva": b.installed_kva,
            "contract_kw": b.contract_kw, "tariff": b.tariff, "rows": rows}  # fmt: skip


def _gateway(facts: SiteFacts, f: Locale) -> dict[str, Any]:
    now = facts.now
    machine = machine_name()
    rows = [
        _row(_("Id"), now.gateway),
        _row(_("Version"), now.version),
        _row(_("Machine"), machine),
        _row(_("Runs since"), f.full(now.taken - int(now.uptime * 1000))),
        _row(_("Time zone"), now.timezone),
    ]
    return {"id": now.gateway, "version": now.version, "machine": machine, "key": facts.key, "rows": rows}


def machine_name() -> str:
    """Which machine this is, as its firmware says, and its system."""
    try:
        model = Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0 \n")
    except OSError:
        model = platform.machine()
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        system = platform.system()
    return f"{model}, {system}, Linux {platform.release()}"


def _meter(meter: Meter, facts: SiteFacts, f: Locale) -> dict[str, Any]:
    words, driver = Words(f), facts.drivers.get(meter.driver)
    reading = facts.readings.get(meter.id, {})
    values, view = dict(reading.get("values", {})), facts.now.meter(meter.id)
    attributes = {**(view.attributes if view else {}), **reading.get("attributes", {})}
    serial = str(attributes.get("serial_number", "") or meter.serial or "")
    registers = [
        {"quantity": name, "obis": QUANTITIES[name].obis, "value": value, "unit": QUANTITIES[name].unit,
         "label": words.quantity(name), "text": f"{f.number(value, 3)} {QUANTITIES[name].unit}"}
        for name, value in values.items()
        if name in QUANTITIES and QUANTITIES[name].is_register
    ]  # fmt: skip
    whole = [each for each in registers if not QUANTITIES[str(each["quantity"])].phase]
    main = next(
        (each for each in whole if each["quantity"] == "active_energy_import"), whole[0] if whole else None
    )
    wiring = facts.wiring.get(meter.id)
    verdict = wiring.verdict if wiring else None
    broken = contradictions(values, reading.get("absent", {})) if values else []
    model = f"{driver.maker} {driver.model}" if driver else meter.driver
    rows = [
        _row(_("Model"), model),
        _row(_("Table"), f"{meter.driver}: {verification(driver.verified if driver else '')}"),
        _row(_("Serial number"), serial),
        _row(
            _("Place"), _("line %(bus)s, address %(address)s") % {"bus": meter.bus, "address": meter.address}
        ),
        _row(_("Feeds"), meter.feeds),
        _row(_("Main meter"), meter.parent),
        _row(_("Transformers"), _ratios(meter, attributes, words)),
        _row(_("Accuracy class"), meter.class_ + (f" + {meter.ct_class}" if meter.ct_class else "")),
        _row(_("State"), words.meter_state(view) if view else _("not read")),
        _row(_("Now"), _gauges(values, words, f)),
        _row(_("Wiring"), _wiring(wiring, f)),
    ]
    return {
        "id": meter.id, "label": meter.label, "parent": meter.parent,
        "depth": _depth(meter, facts.config.meters),
        "driver": meter.driver, "verified": driver.verified if driver else "",
        "model": model, "serial": serial,
        "ct": meter.ct, "vt": meter.vt, "values": meter.values, "read": bool(values),
        "read_text": _("read at %(time)s") % {"time": f.clock(facts.now.taken)} if values else _("not read"),
        "register_text": main["text"] if main else "–", "registers": whole, "rows": rows, "remarks": broken,
        "wiring": None if verdict is None else {
            "speaks": verdict.speaks, "certainty": verdict.certainty, "inputs": verdict.inputs,
            "code": verdict.code,
        },
    }  # fmt: skip


def _ratios(meter: Meter, attributes: Mapping[str, object], words: Any) -> str:
    told = [
        f"{words.attribute(name)}: {attributes[name]}"
        for name in attributes
        if "ratio" in name or "primary" in name
    ]
    side = _("values as the primary side") if meter.values == "primary" else _("values of the secondary side")
    return ", ".join([f"CT {meter.ct:g}, VT {meter.vt:g}", side, *told])


def _gauges(values: Mapping[str, float], words: Any, f: Locale) -> str:
    phases = [
        f"{name}_l{number}{end}" for name, end in (("voltage", "n"), ("current", "")) for number in (1, 2, 3)
    ]
    shown = ["active_power", *phases, "power_factor", "frequency"]
    return ", ".join(f"{words.quantity(name)} {f.number(values[name])} {QUANTITIES[name].unit}".rstrip()
                     for name in shown if name in values)  # fmt: skip


def _wiring(judged: JudgedWiring | None, f: Locale) -> str:
    if judged is None:
        return _("not judged")
    lines = list(wiring_words.lines(judged.verdict))
    text = ngettext("%(n)s reading in %(span)s", "%(n)s readings in %(span)s", judged.rows) % {
        "n": f.whole(judged.rows), "span": f.span(max(1.0, (judged.last - judged.first) / 1000)),
    }  # fmt: skip
    return " ".join([lines[0], *(wiring_words.text(each) for each in judged.verdict.findings), f"({text})"])


def verification(verified: str) -> str:
    """How well a table is proven, in words."""
    level = verified.split("(", maxsplit=1)[0].strip()
    words = {
        "hardware": _("proven on a meter"),
        "datasheet": _("by the maker's register list, not yet proven on a meter"),
        "two-sources": _("by two independent sources, not yet proven on a meter"),
        "one-source": _("by one source only, not yet proven on a meter"),
    }
    return words.get(level, level or _("of your own"))


def _pulse(key: str, label: str, facts: SiteFacts, f: Locale) -> dict[str, Any]:
    view = facts.now.meter(key)
    registers = [
        {"quantity": each.quantity, "obis": QUANTITIES[each.quantity].obis, "value": each.value,
         "unit": QUANTITIES[each.quantity].unit, "label": each.quantity,
         "text": f"{f.number(each.value, 3)} {QUANTITIES[each.quantity].unit}"}
        for each in (view.values if view else ()) if each.value is not None and each.quantity in QUANTITIES
    ]  # fmt: skip
    model = view.model if view else ""
    return {
        "id": key, "label": label, "parent": None, "depth": 0, "driver": "", "verified": "", "model": model,
        "serial": "", "read": bool(registers), "read_text": "", "registers": registers, "remarks": [],
        "register_text": registers[0]["text"] if registers else "–", "wiring": None,
        "rows": [_row(_("Pulse input"), model)],
    }  # fmt: skip


def _bus(forecast: BusForecast, facts: SiteFacts, f: Locale) -> dict[str, Any]:
    bus = forecast.bus
    view = next((each for each in facts.now.buses if each.name == bus.name), None)
    where = bus.place
    if isinstance(bus, SerialBus):
        where += f" {bus.setting}"
    faults = view.timeouts + view.bad_frames if view else 0
    rate = faults / view.requests if view and view.requests else None
    rows = [
        _row(_("Where"), where),
        _row(_("State"), sentences.bus(view, f) if view else _("not read")),
        _row(
            _("Requests without a good answer"),
            None if rate is None else f"{f.percent(rate, 2)} ({faults} / {view.requests if view else 0})",
        ),
        _row(
            _("Turn-around"),
            (view and view.turnaround is not None and f"{f.number(view.turnaround, 1)} ms") or "",
        ),
        _row(_("Planned load"), f.percent(forecast.load)),
    ]
    return {"name": bus.name, "label": bus.label or bus.name, "where": where, "error_rate": rate,
            "load": forecast.load, "rows": rows}  # fmt: skip


def _uplink(name: str, facts: SiteFacts, f: Locale) -> dict[str, Any]:
    view = next((each for each in facts.now.uplinks if each.name == name), None)
    trip = facts.trips.get(name)
    what = _("the platform's receipt") if view and view.receipts else _("the broker's acknowledgement")
    text = (
        _("%(what)s came after %(n)s s") % {"what": what, "n": f.number(trip, 1)}
        if trip is not None
        else _("no answer")
    )
    rows = [
        _row(_("Where"), view.where if view else ""),
        _row(
            _("State"),
            f"{Words(f).uplink_state(view)}. {sentences.uplink(facts.now, view, f)}" if view else "",
        ),
        _row(_("Round trip"), text),
    ]
    return {"name": name, "label": view.called if view else name, "round_trip": trip, "rows": rows}


def _plan(facts: SiteFacts, f: Locale) -> dict[str, Any]:
    config = facts.config
    slot, own = config.gateway.commit_interval, config.own_interval
    total = traffic(facts.forecasts, slot, own=own, remounted=config.card.remount)
    now = facts.now
    rows = [
        _row(_("Values a second"), f.number(total.values_per_second, 1)),
        _row(_("To each platform"), f"{f.number(total.mb_per_month, 0)} MB / " + _("month")),
        _row(_("To the card"), f"{f.number(total.gb_per_year, 0)} GB / " + _("year")),
        _row(_("Store"), sentences.stored(now, f, page=False)),
        _row(_("Power cut"), sentences.power_cut(now, f)),
        _row(_("Clock"), Words(f).clock(now.clock)),
    ]
    return {"values_per_second": total.values_per_second, "mb_per_month": total.mb_per_month,
            "gb_per_year": total.gb_per_year, "clock_synced": now.clock.synced, "rows": rows}  # fmt: skip


def _open(facts: SiteFacts, meters: list[dict[str, Any]]) -> Iterable[ReportRow]:
    """What the gateway does not see as a trouble, and a person has to know."""
    for meter in meters:
        name, wiring = meter["label"], meter["wiring"]
        if meter["remarks"]:
            yield _point(
                _("%(meter)s: values that cannot be."),
                _("submeter drivers try --meter %(id)s tells which table fits."),
                meter=name,
                id=meter["id"],
            )
        if wiring is not None and wiring["code"] == 1:
            yield _point(_("%(meter)s: its wiring is wrong: see there."), "", meter=name)
        elif wiring is not None and wiring["code"]:
            yield _point(
                _("%(meter)s: its wiring is not proven."),
                _("Under load: submeter wiring %(id)s"), meter=name, id=meter["id"],
            )  # fmt: skip
    unproven = [str(meter["label"]) for meter in meters if not str(meter["verified"]).startswith("hardware")]
    if unproven:
        yield _point(
            _("Their tables are not proven on a meter: %(meters)s."),
            _("Compare energy and power with the displays."), meters=", ".join(unproven),
        )  # fmt: skip
    for uplink in facts.config.uplinks:
        if facts.trips.get(uplink.name) is None:
            yield _point(_("Platform %(name)s has not answered the round trip."), "", name=uplink.name)
    if not facts.config.uplinks:
        yield _point(_("No platform is configured."), _("Write it into the configuration, under uplinks:"))
    if not facts.config.building.area:
        yield _point(
            _("The building's area is not known: nothing is shown by m²."),
            _("Write it into the configuration, under building:"),
        )


def _point(text: str, action: str, **values: str) -> ReportRow:
    return {
        "text": text % values if values else text,
        "action": action % values if values else action,
    }


def _in_order(meters: Iterable[Meter]) -> list[Meter]:
    """Main meters first, each with what is below it."""
    every = [meter for meter in meters if meter.enabled]
    ids = {meter.id for meter in every}

    def below(parent: str | None) -> list[Meter]:
        mine = [m for m in every if (m.parent if m.parent in ids else None) == parent]
        return [each for meter in mine for each in (meter, *below(meter.id))]

    return below(None)


def _depth(meter: Meter, meters: Iterable[Meter]) -> int:
    parents, at, depth = {each.id: each.parent for each in meters}, meter.parent, 0
    while at in parents and depth < len(parents):
        at, depth = parents[at], depth + 1
    return depth
