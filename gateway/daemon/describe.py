"""How the gateway describes its meters: retained on P/meters, and as events in the journal so that history
explains itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.catalogue import Driver, quantities
from gateway.config import Config, Meter
from gateway.daemon import later
from gateway.daemon.own_meter import DECIMALS
from gateway.errors import ConfigError
from gateway.model import OWN_METER, QUANTITIES, Event
from gateway.status.energy.facts import BuildingFacts, EnergyMeter

if TYPE_CHECKING:
    from gateway.energy import DatedRules

log = logging.getLogger(__name__)


def driver_version(driver: Driver) -> str:
    """A fingerprint of what the table says, tables that it builds on included: the same everywhere for the
    same rows.
    """
    said = (driver.rows, driver.variants, driver.discovery, driver.limits, driver.order)
    return hashlib.blake2b(repr(said).encode(), digest_size=6).hexdigest()


class MeterDescription:
    """What is known of the meters, gathered from configuration, drivers and what the meters say of
    themselves.
    """

    def __init__(
        self, config: Config, drivers: Mapping[str, Driver], attributes: Callable[[str], Mapping[str, object]]
    ) -> None:
        self._config = config
        self._drivers = {name: _driver(driver) for name, driver in drivers.items()}
        self._attributes = attributes
        self.key = ""
        """The fingerprint of the gateway's signing key; empty while there is none."""

    resolutions: Callable[[], Mapping[str, Mapping[str, float]]] = staticmethod(dict)
    """Meter → quantity → the register's step in Wh …, where it is coarse; who knows it sets it."""

    def meters(self) -> list[dict[str, Any]]:
        """One entry a meter, pulse inputs and the gateway itself included."""
        entries = [self._meter(meter) for meter in self._config.meters if meter.enabled]
        entries += [
            _present(
                id=pulse.id,
                name=pulse.name,
                pin=pulse.pin,
                per_unit=pulse.per_unit,
                quantities=_quantities(("pulse_count", pulse.quantity)),
            )
            for pulse in self._config.pulses
        ]
        if self._config.own_interval is not None:
            health = self._config.health
            entries.append(_present(id=OWN_METER, interval=health.interval, quantities=_quantities(DECIMALS)))
        return entries

    def _meter(self, meter: Meter) -> dict[str, Any]:
        known = {name: str(value) for name, value in self._attributes(meter.id).items()}
        return _present(
            id=meter.id,
            name=meter.name,
            feeds=meter.feeds,
            parent=meter.parent,
            bus=meter.bus,
            address=meter.address,
            driver=meter.driver,
            interval=meter.interval,
            slow_interval=meter.slow,
            ct=meter.ct,
            vt=meter.vt,
            values=meter.values,
            attributes=known or None,
            resolution=self.resolutions().get(meter.id),
        )

    def payload(self) -> bytes:
        """The message on P/meters."""
        gateway = self._config.gateway
        message = {
            "gateway": gateway.id,
            "name": gateway.name,
            "timezone": gateway.timezone,
            "version": __version__,
            **({"key": self.key} if self.key else {}),
            "drivers": self._drivers,
            "meters": self.meters(),
        }
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()

    def events(self, uptime: int, known: Iterable[str] = ()) -> list[Event]:
        """The same as events, one a driver and one a meter; those whose text is in `known` are left out."""
        told = set(known)
        events = [Event("driver", uptime, {"driver": name, **entry}) for name, entry in self._drivers.items()]
        events += [Event("meter", uptime, {"meter": entry.pop("id"), **entry}) for entry in self.meters()]
        return [event for event in events if text_of(event) not in told]


def text_of(event: Event) -> str:
    """An event's content without its time, to tell whether it is news."""
    return json.dumps([event.kind, event.fields], sort_keys=True, ensure_ascii=False)


def _driver(driver: Driver) -> dict[str, Any]:
    return {
        "maker": driver.maker,
        "model": driver.model,
        "version": driver_version(driver),
        "verified": driver.verified,
        "quantities": _quantities(quantities(driver)),
    }


def _quantities(names: Iterable[str]) -> dict[str, dict[str, str]]:
    words = (QUANTITIES[name] for name in dict.fromkeys(names))
    return {
        word.name: {"unit": word.unit, "kind": word.kind, **({"obis": word.obis} if word.obis else {})}
        for word in words
    }


def _present(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def energy_meters(config: Config) -> tuple[EnergyMeter, ...]:
    """The meters of the building's tree."""
    plants = {plant.meter: plant.yield_ or "auto" for plant in config.building.pv}
    return tuple(
        EnergyMeter(
            meter.id,
            meter.label,
            meter.parent or "",
            meter.feeds or "",
            plants.get(meter.id, ""),
            meter.class_,
            meter.ct_class or "",
            assumed="class_" not in meter.model_fields_set,
        )
        for meter in config.meters
        if meter.enabled
    )


def maintenance_firm(config: Config) -> tuple[str, str]:
    """Whom to call about the building: name and telephone number, empty where nobody has said it."""
    service = config.building.service
    return (service.name, service.phone or "") if service else ("", "")


def building_facts(config: Config) -> BuildingFacts:
    """What the pages of energy need to know of the building, from the configuration, the rules file and the
    file of temperatures.
    """
    building = config.building
    return BuildingFacts(
        meters=energy_meters(config),
        area=building.area,
        installed_kva=building.installed_kva,
        contract_kw=building.contract_kw,
        exempt=building.exempt,
        tariff=building.tariff,
        old_clock=building.clock == "old",
        open_days=tuple(_WEEKDAYS.index(day) for day in building.opening.days),
        open_slots=building.opening.slots,
        forgiven=building.forgiven,
        rules=_rules(),
        temperatures=_temperatures(building.temperatures) if building.temperatures else {},
    )


def _temperatures(name: str) -> Mapping[date, float]:
    """What the file holds now; none, and a line in the log, where it cannot be used."""
    try:
        changed = Path(name).stat().st_mtime_ns
    except OSError:
        changed = 0
    return _temperatures_of(name, changed)


@lru_cache(maxsize=2)
def _temperatures_of(name: str, _changed: int) -> Mapping[date, float]:
    try:
        return later.temperatures.load_temperatures(Path(name))
    except ConfigError as error:
        log.error("the temperatures of degree days: %s", error)  # noqa: TRY400 - it says file, line and mend
        return {}


@lru_cache(maxsize=2)
def _rules(path: Path | None = None) -> DatedRules | None:
    """The rules, or None and a line in the log: a page without tariffs is better than none."""
    try:
        return later.energy.DatedRules(later.rules.load_rules(path or later.rules.rules_path()))
    except ConfigError as error:
        log.error("the rules of tariffs and limits: %s", error)  # noqa: TRY400 - it says file, line and mend
        return None
