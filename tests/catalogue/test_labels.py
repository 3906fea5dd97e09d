"""What stands on a meter's label finds its table, as `submeter drivers list` looks for it."""

from __future__ import annotations

import pytest

from gateway.catalogue import load_file, shipped
from gateway.catalogue.listing import labelled

LIBRARY = [load_file(path) for path in shipped()]
LABELS = {
    "SDM630-Modbus V2": "eastron-sdm630",
    "SDM630MCT": "eastron-sdm630",
    "B+G SDM630": "eastron-sdm630",
    "SDM120CT": "eastron-sdm120",
    "SDM530-MT": "eastron-sdm530",
    "SDM320C": "eastron-sdm320",
    "Iskra WM3M4C": "iskra-wm3m4",
    "ABB M1M 20 Modbus": "abb-m1m",
    "M4M 30 Ethernet": "abb-m4m",
    "UMG 512-PRO": "janitza-umg511",
    "DTS1946": "elecnova-dts1946",
    "Nemo 96HD": "ime-nemo-96hd",
    "SDM72DM-V2": "eastron-sdm72d-m-v2",
    "B+G e-tech DRT428M": "bgetech-drt428m",
    "WS100": "orno-we525",
    "DS100": "bgetech-ds100",
    "KDK PRO20": "inepro-pro380",
    "KDK 2PUCT": "inepro-pro380",
    "PRO380-Mod": "inepro-pro380",
    "WAGO 879-3020": "wago-879-3000",
    "Hiking DDS238": "hiking-dds238",
    "Chint DTSU666-CT": "chint-dtsu666",
    "DTSU666-H": "huawei-sun2000-meter",
    "PZEM-004T": "peacefair-pzem016",
    "OR-WE-515": "orno-we514",
    "Orno WE-517": "orno-we516",
    "iEM3355": "schneider-iem3155",
    "A9MEM3255": "schneider-iem3255",
    "PM5340": "schneider-pm5320",
    "EM24DINAV93XISX": "carlogavazzi-em24",
    "EM340DINAV23XS1X": "carlogavazzi-em340",
    "GNM3D": "carlogavazzi-em340",
    "EM21 72D": "carlogavazzi-em21",
    "WattNode WND-WR-MB": "solaredge-se-mtr-3y",
    "UMG 96RM-E": "janitza-umg96rm",
    "UMG 96-PA": "janitza-umg511",
    "METSEPM5320": "schneider-pm5320",
    "METSEPM2220": "schneider-pm2220",
    "PowerLogic PM710": "schneider-pm710",
    "Janitza UMG 604-PRO": "janitza-umg604",
    "7KM2200-2EA30-1CA1": "siemens-pac2200",
    "PAC2200CLP": "siemens-pac2200",
    "7KM3220": "siemens-pac3200",
    "7KT1665": "siemens-pac1600",
    "B23 112-100": "abb-b23",
    "ABB A43 512-100": "abb-b23",
    "CVM Mini": "circutor-cvm-mini",
    "Circutor CVM-C11": "circutor-cvm-c10",
    "Powys 3121": "klemsan-klea220p",
    "RAPIDUS 231R": "klemsan-rapidus",
    "MPR-26S-21": "entes-mpr2x",
    "MPR-15S": "entes-mpr1x",
    "COUNTIS E44": "socomec-countis-e34",
    "Fronius Smart Meter TS 65A-3": "sunspec-meter",
    "TQ EM420": "sunspec-meter",
    "WNC-3Y-400-MB": "solaredge-se-mtr-3y",
    "Honeywell EEM230-D-MO": "saia-ald1",
    "SBC ALE3": "saia-ale3",
    "U2289": "gossen-energymid",
    "DSE7320 MKII": "dse-mains",
    "T550": "siemens-uh50",
}


@pytest.mark.parametrize(("label", "table"), LABELS.items())
def test_a_label_finds_its_table(label: str, table: str) -> None:
    found = [driver.name for driver in labelled(LIBRARY, label.split())]
    assert table in found
    assert len(found) <= 5, found


@pytest.mark.parametrize("label", ["EM3400", "B230", "DMG 9999", "no such meter", "SDX630"])
def test_what_is_no_label_of_the_library_finds_nothing(label: str) -> None:
    """A number that only begins like a model's is another model."""
    assert labelled(LIBRARY, label.split()) == []


def test_without_words_it_is_the_whole_library() -> None:
    assert labelled(LIBRARY, []) == LIBRARY
