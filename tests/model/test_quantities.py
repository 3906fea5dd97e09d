"""The vocabulary is closed, complete and unambiguous."""

import re

import pytest

from gateway.model import ATTRIBUTES, QUANTITIES

# Unit by the end of the name: a word that carries another unit would be a trap for every reader.
UNITS = {
    "active_power": "kW",
    "reactive_power": "kvar",
    "apparent_power": "kVA",
    "power_factor": "",
    "displacement_factor": "",
    "voltage": "V",
    "current": "A",
    "frequency": "Hz",
    "active_energy": "kWh",
    "reactive_energy": "kvarh",
    "apparent_energy": "kVAh",
    "thd": "%",
    "pulse_count": "",
    "volume_flow": "m³/h",
    "volume": "m³",
    "heat_energy": "kWh",
    "cooling_energy": "kWh",
    "heat_power": "kW",
    "temperature": "°C",
    "dc_power": "kW",
    "dc_energy": "kWh",
    "dc_voltage": "V",
    "dc_current": "A",
    "cpu_temperature": "°C",
    "undervoltage": "",
    "cpu_load": "",
    "memory_free": "MB",
    "disk_free": "MB",
    "disk_written": "GB",
    "disk_life_used": "%",
    "clock_offset": "ms",
    "certificate_days": "d",
    "bus_error_rate": "%",
    "journal_days": "d",
}


@pytest.mark.parametrize("word", QUANTITIES.values(), ids=lambda word: word.name)
def test_a_word_is_whole(word) -> None:
    stem = max((stem for stem in UNITS if word.name.startswith(stem)), key=len)
    assert word.unit == UNITS[stem]
    assert re.fullmatch(r"[a-z0-9_]+", word.name)
    assert word.en
    assert word.tr
    assert word.low < word.high
    assert word.kind == (
        "counter"
        if "energy" in word.name or word.name in {"pulse_count", "volume", "disk_written"}
        else "gauge"
    )
    assert word.obis == "" or re.fullmatch(r"[1568]-0:\d{1,3}\.\d{1,2}\.\d{1,3}", word.obis)


def test_no_two_words_share_an_obis_code() -> None:
    codes = [word.obis for word in QUANTITIES.values() if word.obis]
    assert len(codes) == len(set(codes))


def test_no_two_words_share_a_label() -> None:
    for language in ("en", "tr"):
        labels = [getattr(word, language) for word in (*QUANTITIES.values(), *ATTRIBUTES.values())]
        assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("name", "obis"),
    [
        ("active_energy_import", "1-0:1.8.0"),
        ("active_energy_export", "1-0:2.8.0"),
        ("active_energy_total", "1-0:15.8.0"),
        ("reactive_energy_import", "1-0:3.8.0"),
        ("reactive_energy_export", "1-0:4.8.0"),
        ("reactive_energy_q1", "1-0:5.8.0"),
        ("reactive_energy_q4", "1-0:8.8.0"),
        ("active_energy_import_t2", "1-0:1.8.2"),
        ("active_energy_import_l1", "1-0:21.8.0"),
    ],
)
def test_the_codes_that_the_platform_relies_on(name, obis) -> None:
    assert QUANTITIES[name].obis == obis
