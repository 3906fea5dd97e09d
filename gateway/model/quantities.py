"""The closed vocabulary: every quantity that a driver may give, a journal may keep and a page may show.

Sources: OBIS value groups C, D and E from IEC 62056-6-1 (electricity, A=1) and EN 13757-1 (cooling, A=5;
heat, A=6; cold water, A=8). A code is left empty where the standard has none. Signs: import is positive; a
meter with two reactive registers gives import and export (3.8.0, 4.8.0) — quadrants only where the meter has
four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One word of the vocabulary. `low` and `high` bound what physics allows, in `unit`; outside is
    implausible.
    """

    name: str
    unit: str
    kind: Kind
    obis: str
    en: str
    tr: str
    low: float
    high: float
    phase: str = ""
    own: bool = False
    """Of the gateway itself: no table of a meter gives it."""

    @property
    def is_register(self) -> bool:
        """Whether it is a counter of a meter: what intervals are made of."""
        return self.kind == "counter" and not self.own


@dataclass(frozen=True, slots=True)
class Attribute:
    """A fact about a meter that hardly ever changes: read at start, on recovery and daily; not a reading."""

    name: str
    en: str
    tr: str


_BIG: Final = (
    1e9  # kW, A, V: far beyond any building, small enough to catch a float read at the wrong address
)
_COUNT: Final = 1e12
_PHASES: Final = ("l1", "l2", "l3")
_TARIFFS: Final = ("t1", "t2", "t3", "t4")

# name | unit | OBIS total, L1, L2, L3 | English | Turkish | low | high
_POWERS: Final = (
    (
        "active_power",
        "kW",
        "1-0:16.7.0 1-0:36.7.0 1-0:56.7.0 1-0:76.7.0",
        "Active power",
        "Aktif güç",
        -_BIG,
        _BIG,
    ),
    (
        "reactive_power",
        "kvar",
        "1-0:131.7.0 1-0:151.7.0 1-0:171.7.0 1-0:191.7.0",
        "Reactive power",
        "Reaktif güç",
        -_BIG,
        _BIG,
    ),
    (
        "apparent_power",
        "kVA",
        "1-0:9.7.0 1-0:29.7.0 1-0:49.7.0 1-0:69.7.0",
        "Apparent power",
        "Görünür güç",
        -_BIG,
        _BIG,
    ),
    (
        "power_factor",
        "",
        "1-0:13.7.0 1-0:33.7.0 1-0:53.7.0 1-0:73.7.0",
        "Power factor",
        "Güç faktörü",
        -1.0,
        1.0,
    ),
    (
        "displacement_factor",
        "",
        "",
        "Displacement factor (cos φ)",
        "Temel bileşen güç faktörü (cos φ)",
        -1.0,
        1.0,
    ),
)
# name | unit | OBIS total, L1, L2, L3 | OBIS of tariffs without the number | English | Turkish
_ENERGIES: Final = (
    (
        "active_energy_import",
        "kWh",
        "1-0:1.8.0 1-0:21.8.0 1-0:41.8.0 1-0:61.8.0",
        "1-0:1.8.",
        "Active energy import",
        "Çekilen aktif enerji",
    ),
    (
        "active_energy_export",
        "kWh",
        "1-0:2.8.0 1-0:22.8.0 1-0:42.8.0 1-0:62.8.0",
        "1-0:2.8.",
        "Active energy export",
        "Verilen aktif enerji",
    ),
    (
        "active_energy_total",
        "kWh",
        "1-0:15.8.0 1-0:35.8.0 1-0:55.8.0 1-0:75.8.0",
        "1-0:15.8.",
        "Active energy total",
        "Toplam aktif enerji",
    ),
    (
        "reactive_energy_import",
        "kvarh",
        "1-0:3.8.0 1-0:23.8.0 1-0:43.8.0 1-0:63.8.0",
        "1-0:3.8.",
        "Reactive energy import",
        "Çekilen reaktif enerji",
    ),
    (
        "reactive_energy_export",
        "kvarh",
        "1-0:4.8.0 1-0:24.8.0 1-0:44.8.0 1-0:64.8.0",
        "1-0:4.8.",
        "Reactive energy export",
        "Verilen reaktif enerji",
    ),
    ("reactive_energy_total", "kvarh", "", "", "Reactive energy total", "Toplam reaktif enerji"),
    (
        "apparent_energy",
        "kVAh",
        "1-0:9.8.0 1-0:29.8.0 1-0:49.8.0 1-0:69.8.0",
        "1-0:9.8.",
        "Apparent energy",
        "Görünür enerji",
    ),
)
# name | unit | kind | OBIS | English | Turkish | low | high
_SINGLES: Final = (
    ("voltage_l1n", "V", "gauge", "1-0:32.7.0", "Voltage L1-N", "Gerilim L1-N", 0.0, 1e6),
    ("voltage_l2n", "V", "gauge", "1-0:52.7.0", "Voltage L2-N", "Gerilim L2-N", 0.0, 1e6),
    ("voltage_l3n", "V", "gauge", "1-0:72.7.0", "Voltage L3-N", "Gerilim L3-N", 0.0, 1e6),
    ("voltage_ln", "V", "gauge", "", "Voltage L-N, mean", "Gerilim L-N, ortalama", 0.0, 1e6),
    ("voltage_l12", "V", "gauge", "", "Voltage L1-L2", "Gerilim L1-L2", 0.0, 1e6),
    ("voltage_l23", "V", "gauge", "", "Voltage L2-L3", "Gerilim L2-L3", 0.0, 1e6),
    ("voltage_l31", "V", "gauge", "", "Voltage L3-L1", "Gerilim L3-L1", 0.0, 1e6),
    ("voltage_ll", "V", "gauge", "", "Voltage L-L, mean", "Gerilim L-L, ortalama", 0.0, 1e6),
    ("current_l1", "A", "gauge", "1-0:31.7.0", "Current L1", "Akım L1", -1e6, 1e6),
    ("current_l2", "A", "gauge", "1-0:51.7.0", "Current L2", "Akım L2", -1e6, 1e6),
    ("current_l3", "A", "gauge", "1-0:71.7.0", "Current L3", "Akım L3", -1e6, 1e6),
    ("current_n", "A", "gauge", "1-0:91.7.0", "Neutral current", "Nötr akımı", -1e6, 1e6),
    ("current", "A", "gauge", "", "Current, mean of the phases", "Akım, faz ortalaması", -1e6, 1e6),
    ("frequency", "Hz", "gauge", "1-0:14.7.0", "Frequency", "Frekans", 0.0, 500.0),
    (
        "active_power_demand",
        "kW",
        "gauge",
        "1-0:1.4.0",
        "Active power demand",
        "Aktif güç talebi",
        -_BIG,
        _BIG,
    ),
    (
        "active_power_demand_max",
        "kW",
        "gauge",
        "1-0:1.6.0",
        "Maximum active power demand",
        "En yüksek aktif güç talebi",
        -_BIG,
        _BIG,
    ),
    ("thd_voltage_l1", "%", "gauge", "1-0:32.7.124", "Voltage THD L1", "Gerilim THB L1", 0.0, 1000.0),
    ("thd_voltage_l2", "%", "gauge", "1-0:52.7.124", "Voltage THD L2", "Gerilim THB L2", 0.0, 1000.0),
    ("thd_voltage_l3", "%", "gauge", "1-0:72.7.124", "Voltage THD L3", "Gerilim THB L3", 0.0, 1000.0),
    ("thd_current_l1", "%", "gauge", "1-0:31.7.124", "Current THD L1", "Akım THB L1", 0.0, 1000.0),
    ("thd_current_l2", "%", "gauge", "1-0:51.7.124", "Current THD L2", "Akım THB L2", 0.0, 1000.0),
    ("thd_current_l3", "%", "gauge", "1-0:71.7.124", "Current THD L3", "Akım THB L3", 0.0, 1000.0),
    (
        "reactive_energy_q1",
        "kvarh",
        "counter",
        "1-0:5.8.0",
        "Reactive energy Q1",
        "Reaktif enerji Q1",
        -_COUNT,
        _COUNT,
    ),
    (
        "reactive_energy_q2",
        "kvarh",
        "counter",
        "1-0:6.8.0",
        "Reactive energy Q2",
        "Reaktif enerji Q2",
        -_COUNT,
        _COUNT,
    ),
    (
        "reactive_energy_q3",
        "kvarh",
        "counter",
        "1-0:7.8.0",
        "Reactive energy Q3",
        "Reaktif enerji Q3",
        -_COUNT,
        _COUNT,
    ),
    (
        "reactive_energy_q4",
        "kvarh",
        "counter",
        "1-0:8.8.0",
        "Reactive energy Q4",
        "Reaktif enerji Q4",
        -_COUNT,
        _COUNT,
    ),
    ("pulse_count", "", "counter", "", "Pulses", "Darbe sayısı", 0.0, 1e18),
    ("volume", "m³", "counter", "8-0:1.0.0", "Volume", "Hacim", 0.0, _COUNT),
    ("volume_flow", "m³/h", "gauge", "8-0:2.0.0", "Volume flow", "Debi", -_BIG, _BIG),
    ("heat_energy", "kWh", "counter", "6-0:1.0.0", "Heat energy", "Isı enerjisi", 0.0, _COUNT),
    ("cooling_energy", "kWh", "counter", "5-0:1.0.0", "Cooling energy", "Soğutma enerjisi", 0.0, _COUNT),
    ("heat_power", "kW", "gauge", "6-0:8.0.0", "Heat power", "Isıl güç", -_BIG, _BIG),
    ("temperature_flow", "°C", "gauge", "6-0:10.0.0", "Flow temperature", "Gidiş sıcaklığı", -60.0, 250.0),
    (
        "temperature_return",
        "°C",
        "gauge",
        "6-0:11.0.0",
        "Return temperature",
        "Dönüş sıcaklığı",
        -60.0,
        250.0,
    ),
    ("dc_power", "kW", "gauge", "", "DC power", "DC güç", -_BIG, _BIG),
    ("dc_voltage", "V", "gauge", "", "DC voltage", "DC gerilim", -1e6, 1e6),
    ("dc_current", "A", "gauge", "", "DC current", "DC akım", -1e6, 1e6),
)

# of an inverter's inputs s1 to s4: name | unit | kind | English | Turkish | low | high
_INPUTS: Final[tuple[tuple[str, str, Kind, str, str, float, float], ...]] = (
    ("dc_power", "kW", "gauge", "DC power", "DC güç", -_BIG, _BIG),
    ("dc_voltage", "V", "gauge", "DC voltage", "DC gerilim", -1e6, 1e6),
    ("dc_current", "A", "gauge", "DC current", "DC akım", -1e6, 1e6),
    ("dc_energy", "kWh", "counter", "DC energy", "DC enerji", 0.0, _COUNT),
)

OWN_METER: Final = "gateway"
"""The id of the meter that the gateway itself is."""
# of the gateway itself: name | unit | kind | English | Turkish | low | high
_OWN: Final[tuple[tuple[str, str, Kind, str, str, float, float], ...]] = (
    ("cpu_temperature", "°C", "gauge", "Processor temperature", "İşlemci sıcaklığı", -60.0, 200.0),
    ("undervoltage", "", "gauge", "Supply voltage too low", "Besleme gerilimi düşük", 0.0, 1.0),
    ("cpu_load", "", "gauge", "Processor load", "İşlemci yükü", 0.0, 1e6),
    ("memory_free", "MB", "gauge", "Free memory", "Boş bellek", 0.0, _BIG),
    ("disk_free", "MB", "gauge", "Free disk space", "Boş disk alanı", 0.0, _BIG),
    ("disk_written", "GB", "counter", "Written to the disk", "Diske yazılan", 0.0, _BIG),
    ("disk_life_used", "%", "gauge", "Life of the disk used up", "Diskin tükenen ömrü", 0.0, 200.0),
    ("clock_offset", "ms", "gauge", "Clock offset", "Saat sapması", -_COUNT, _COUNT),
    (
        "certificate_days",
        "d",
        "gauge",
        "Days until a certificate ends",
        "Sertifikanın bitmesine kalan gün",
        -1e5,
        1e5,
    ),
    ("bus_error_rate", "%", "gauge", "Failed requests", "Başarısız sorgular", 0.0, 100.0),
    ("journal_days", "d", "gauge", "Days of room for an outage", "Kesinti için kalan gün", 0.0, _BIG),
)


OWN_QUANTITIES: Final = tuple(name for name, *_ in _OWN)
"""What that meter measures."""


def _vocabulary() -> dict[str, Quantity]:
    words: list[Quantity] = []
    for name, unit, obis, en, tr, low, high in _POWERS:
        total, *each = obis.split() or ("", "", "", "")
        words.append(Quantity(name, unit, "gauge", total, en, tr, low, high))
        words += [
            Quantity(
                f"{name}_{p}", unit, "gauge", code, f"{en} {p.upper()}", f"{tr} {p.upper()}", low, high, p
            )
            for p, code in zip(_PHASES, each, strict=True)
        ]
    for name, unit, obis, tariff, en, tr in _ENERGIES:
        total, *each = obis.split() or ("", "", "", "")
        words.append(Quantity(name, unit, "counter", total, en, tr, -_COUNT, _COUNT))
        words += [
            Quantity(
                f"{name}_{p}",
                unit,
                "counter",
                code,
                f"{en} {p.upper()}",
                f"{tr} {p.upper()}",
                -_COUNT,
                _COUNT,
                p,
            )
            for p, code in zip(_PHASES, each, strict=True)
        ]
        words += [
            Quantity(
                f"{name}_{t}",
                unit,
                "counter",
                tariff and tariff + t[1],
                f"{en} tariff {t[1]}",
                f"{tr} tarife {t[1]}",
                -_COUNT,
                _COUNT,
            )
            for t in _TARIFFS
        ]
    for name, unit, kind, en, tr, low, high in _INPUTS:
        words += [
            Quantity(f"{name}_s{n}", unit, kind, "", f"{en}, input {n}", f"{tr}, giriş {n}", low, high)
            for n in range(1, 5)
        ]
    for name, unit, kind, obis, en, tr, low, high in _SINGLES:
        phase = next((p for p in _PHASES if name.endswith((f"_{p}", f"_{p}n"))), "")
        words.append(
            Quantity(name, unit, "counter" if kind == "counter" else "gauge", obis, en, tr, low, high, phase)
        )
    words += [Quantity(name, unit, kind, "", en, tr, low, high, own=True)
              for name, unit, kind, en, tr, low, high in _OWN]  # fmt: skip
    return {word.name: word for word in words}


QUANTITIES: Final = _vocabulary()

ATTRIBUTES: Final = {
    word.name: word
    for word in (
        Attribute("serial_number", "Serial number", "Seri numarası"),
        Attribute("firmware", "Firmware version", "Yazılım sürümü"),
        Attribute("model_name", "Model", "Model"),
        Attribute("ct_ratio", "Current transformer ratio", "Akım trafosu oranı"),
        Attribute("ct_primary", "Current transformer, primary", "Akım trafosu, primer"),
        Attribute("ct_secondary", "Current transformer, secondary", "Akım trafosu, sekonder"),
        Attribute("vt_ratio", "Voltage transformer ratio", "Gerilim trafosu oranı"),
        Attribute("vt_primary", "Voltage transformer, primary", "Gerilim trafosu, primer"),
        Attribute("vt_secondary", "Voltage transformer, secondary", "Gerilim trafosu, sekonder"),
    )
}
