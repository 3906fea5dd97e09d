"""A plausible town hall for the tests of the page: eight meters, one lost, one partial, one old, a
backlog.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.status.snapshot import (
    Beat,
    BusView,
    ClockView,
    JournalView,
    MeterView,
    Snapshot,
    UplinkView,
    ValueView,
)
from gateway.status.source import Changes
from gateway.status.trend import STEP_MS, Trend

NOW = 1_795_278_300_000
"""2026-11-21 16:25:00 UTC, 19:25 in Istanbul."""
BOOTED = 86_400_000
MINUTE = 60_000
HOUR = 3_600_000


def value(quantity: str, number: float | None, age: float | None = 3.0, **more) -> ValueView:
    more.setdefault("interval", 60.0 if "energy" in quantity else 10.0)
    return ValueView(quantity, number, age, **more)


def electric(
    power: float, energy: float, age: float = 3.0, *, voltage: float = 231.4
) -> tuple[ValueView, ...]:
    current = power / 3 / voltage * 1000
    return (
        value("active_power", power, age, decimals=3),
        value("active_power_l1", power * 0.36, age, decimals=3),
        value("active_power_l2", power * 0.33, age, decimals=3),
        value("active_power_l3", power * 0.31, age, decimals=3),
        value("reactive_power", power * 0.24, age, decimals=3),
        value("power_factor", 0.972, age, decimals=3),
        value("voltage_l1n", voltage, age, decimals=1),
        value("voltage_l2n", voltage - 1.2, age, decimals=1),
        value("voltage_l3n", voltage + 0.7, age, decimals=1),
        value("current_l1", current * 1.08, age, decimals=2),
        value("current_l2", current, age, decimals=2),
        value("current_l3", current * 0.93, age, decimals=2),
        value("frequency", 49.98, age, decimals=2),
        value("active_energy_import", energy, age + 21, decimals=2),
        value("active_energy_export", 12.5, age + 21, decimals=2),
        value("reactive_energy_import", energy * 0.2, age + 21, decimals=2),
    )


def meter(name: str, label: str, number: int, views: tuple[ValueView, ...] = (), **more) -> MeterView:
    fields = {
        "address": number,
        "state": "answering",
        "bus": "line1",
        "driver": "eastron-sdm630",
        "model": "Eastron SDM630-Modbus V2",
        "since": NOW - 9 * HOUR,
        "age": 3.0,
    }
    return MeterView(id=name, label=label, values=views, **{**fields, **more})


def lost(view: MeterView, since: int, age: float) -> MeterView:
    old = tuple(replace(v, age=age, absent="timeout") for v in view.values)
    return replace(
        view,
        state="lost",
        since=since,
        age=age,
        values=old,
        missing="timeout",
        error="no answer within 0.21 s",
    )


METERS = (
    meter(
        "main",
        "Ana sayaç",
        1,
        electric(84.213, 184_223.91),
        feeds="Bina girişi",
        attributes={"serial_number": "23481771", "ct_ratio": "200/5"},
    ),
    meter(
        "hvac",
        "Klima santrali",
        2,
        electric(31.07, 61_902.4),
        feeds="Çatı, klima ve havalandırma",
        parent="main",
    ),
    lost(
        meter(
            "chiller",
            "Soğutma grubu",
            3,
            electric(22.4, 40_118.2),
            feeds="Bodrum kat, soğutma",
            parent="main",
        ),
        NOW - 41 * MINUTE,
        41 * 60 + 7.0,
    ),
    meter("lighting", "Aydınlatma", 4, electric(9.885, 20_771.66), feeds="Tüm katlar", parent="main"),
    meter(
        "server",
        "Sistem odası",
        5,
        tuple(
            replace(v, value=None, absent="exception_2")
            if v.quantity in {"current_l3", "reactive_energy_import"}
            else v
            for v in electric(6.02, 31_444.07)
        ),
        feeds="Sunucular",
        parent="main",
        state="partial",
    ),
    meter(
        "lift",
        "Asansörler",
        6,
        electric(1.204, 5_402.18, age=96.0),
        driver="eastron-sdm72d-m-v2",
        model="Eastron SDM72D-M v2",
        age=96.0,
    ),
    meter(
        "solar",
        "Güneş panelleri",
        1,
        tuple(replace(v, suspect=v.quantity == "frequency") for v in electric(-18.4, 310.2)),
        bus="plant",
        feeds="Çatı GES, 40 kWp",
        driver="abb-b23",
        model="ABB B23 112-100",
    ),
    meter(
        "water",
        "Su sayacı",
        0,
        (value("volume", 1_842.317, 7.0, decimals=3),),
        bus="pins",
        address=None,
        driver="pulse",
        model="",
        feeds="Ana vana",
    ),
)

BUSES = (
    BusView(
        "line1",
        "serial",
        "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
        "open",
        NOW - 9 * HOUR,
        41_822,
        127,
        3,
        64,
        24.3,
        0.61,
    ),
    BusView("plant", "tcp", "192.0.2.10:502", "open", NOW - 2 * HOUR, 9_718, 0, 0, 0, 4.1, 0.03),
)

SNAPSHOT = Snapshot(
    gateway="izm-konak-017",
    name="Konak Belediye Binası",
    version="0.1.0",
    timezone="Europe/Istanbul",
    language="tr",
    taken=NOW,
    booted=BOOTED,
    uptime=9 * 3600 + 120.0,
    clock=ClockView(synced=True),
    journal=JournalView(
        "b7f2c6d05a91e3f4",
        41_822,
        newest=NOW - 6_000,
        batches=41_822,
        readings=334_576,
        bytes=61_300_000,
        budget=4_000_000_000,
        room_days=41.7,
        taken=26_160,
        pending=5,
    ),
    meters=METERS,
    buses=BUSES,
    uplinks=(
        UplinkView(
            "city",
            "platform.example:8883",
            "waiting",
            NOW - 5 * HOUR - 23 * MINUTE,
            155,
            1_240,
            NOW - 5 * HOUR - 23 * MINUTE,
            0,
            3_115,
            True,
            NOW - 5 * HOUR - 24 * MINUTE,
            "connection refused",
        ),
    ),
    beats=(Beat("loop", 0.2, 30.0), Beat("journal", 1.1, 60.0), Beat("uplink city", 0.4, 60.0)),
)
"""Turkish by default, as the configuration is."""

CALM = replace(
    SNAPSHOT,
    meters=METERS[:2],
    uplinks=(
        UplinkView(
            "city", "platform.example:8883", "connected", NOW - HOUR, delivered=360, last_receipt=NOW - 4_000
        ),
    ),
)
"""Nothing is wrong."""


class Building:
    """A source whose snapshot a test may replace."""

    def __init__(self, snapshot: Snapshot = SNAPSHOT) -> None:
        self.now = snapshot
        self.history = None
        self.changes = Changes()
        self.trend = Trend()
        for slot in range(360):
            if not 140 <= slot < 170:  # a gap, as after a power cut
                self.trend.add(
                    "main",
                    BOOTED - (359 - slot) * STEP_MS,
                    60 + slot % 90 / 4 + (12 if slot % 40 < 12 else 0),
                )

    def snapshot(self) -> Snapshot:
        return self.now

    def energy_history(self):
        return self.history

    def change(self, **fields) -> None:
        self.now = replace(self.now, **fields)
        self.changes.notify()
