"""What stands on a meter's label finds its table, as `submeter drivers list` looks for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.catalogue import load_file, shipped
from gateway.catalogue.labels import labelled, why_not
from gateway.catalogue.listing import markdown
from gateway.catalogue.load import not_here
from gateway.cli.drivers import command
from gateway.cli.drivers_show import unit

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
    "Huawei DTSU666-HW": "huawei-sun2000-meter",
    "Chint DTSU666-H": "chint-dtsu666-h",
    "SDM72CT-M": "eastron-sdm72ct-m",
    "B+G SDM72CT-M": "eastron-sdm72ct-m",
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
    "ENTES MPR-26S": "entes-mpr2x",
    "Entes MPR47S": "entes-mpr3x",
    "MPR-53S": "entes-mpr53s",
    "Klemsan KLEA 320P": "klemsan-klea320p",
    "ECRAS 220": "klemsan-klea220p",
    "Schneider Acti9 iEM3155": "schneider-iem3155",
    "Schneider PM5110": "schneider-pm5320",
    "ABB B24": "abb-b23",
    "ABB A44 352-100": "abb-b23",
    "SENTRON PAC3220": "siemens-pac3200",
    "Janitza UMG 96-PQ": "janitza-umg511",
    "Carlo Gavazzi EM111": "carlogavazzi-em112",
    "Gavazzi ET112": "carlogavazzi-em112",
    "Lovato DMG800": "lovato-dmg210",
    "DMED330": "lovato-dmed330",
    "Circutor CVM-C10": "circutor-cvm-c10",
    "Socomec COUNTIS E23": "socomec-countis-e23",
    "DIRIS A14": "socomec-diris-a14",
    "Eastron SDM120M": "eastron-sdm120",
    "Eastron SDM54": "eastron-sdm54",
    "CHINT DDSU666": "chint-ddsu666",
    "Hager ECR180D": "hager-ecm",
    "Finder 7M.38": "finder-7m38",
    "7E.23.8.230.0210": "finder-7e23",
    "Acrel ADL400": "acrel-adl400",
    "Acrel DTSD1352": "acrel-adl400-ct",
    "Shelly EM Gen4": "shelly-pro-em",
    "Kamstrup MULTICAL 403": "kamstrup-multical-403",
    "Kamstrup MULTICAL 603": "kamstrup-multical-603",
    "Sontex Supercal": "sontex-supercal-531",
    "Supercal 5": "sontex-supercal-5",
    "Superstatic 440": "sontex-supercal-531",
    "Aquametro CALEC ST": "aquametro-calec-st",
    "MFE600H": "microsensor-mfe600h",
    "Siemens MAG 6000": "siemens-mag6000",
    "SITRANS F M MAG 6000": "siemens-mag6000",
    "Spirax TVA": "spiraxsarco-tva",
    "ultraD": "dynaflox-ultrad",
    "Conzerv EM6400NG": "schneider-pm2220",
    "Victron ET340": "carlogavazzi-et340",
    "Owen Brothers OB737": "algodue-uem",
    "7KM4212-0BA00-3AA0": "siemens-pac4200",
    "UEM80-4D": "algodue-uem",
    "DATAKOM D-500": "datakom-genset",
    "AGC 150": "deif-agc150",
    "Smart-UPS SRT3000": "apc-smart-ups",
    "Smart-UPS 1500": "apc-smart-ups",
    "M1M 30": "abb-m1m",
    "879-3021": "wago-879-3000",
    "MPR-42-OGT": "entes-mpr3x",
    "MPR-16S-21": "entes-mpr1x",
    "ECR310D": "hager-ecm",
    "Gavazzi EM340DINAV23XS1X": "carlogavazzi-em340",
    "ABB EQ B23": "abb-b23",
    "TUF-2000M": "tuf-2000m",
    "Circutor CEM-C31": "circutor-cem-c",
    "Hager ECM300C": "hager-ecm",
    "ECP180T": "hager-ecm",
    "Sungrow SG110CX": "sungrow-sg",
    "SMILE5": "alphaess-smile-meter",
    "UEM6-4E": "algodue-uem",
    "7KM3120-0BA01-1EA0": "siemens-pac3120",
    "PowerTag M63": "schneider-powertag",
    "A9XMWD20": "schneider-powertag",
    "Kamstrup MC603": "kamstrup-multical-603",
    "WNC-3D-240-MB": "solaredge-se-mtr-3y",
    "SDM72V2": "eastron-sdm72d-m-v2",
    "Deye SUN-12K-SG04LP3": "deye-hybrid-meter",
    "Fox H3-10.0-E": "foxess-h3-meter",
    "HYD 10KTL-3PH": "sofar-g3-meter",
    "DTS238-7 ZN/S": "hiking-dts238",
    "DTS238-7": "hiking-dts238",
    "MOD 10KTL3-XH": "growatt-tlxh-meter",
    "MOD 10KTL3-X": "growatt-mic",
    "Growatt MIN 6000TL-XH": "growatt-tlxh",
    "MIN 3000TL-X": "growatt-mic",
    "MIC 1500TL-X": "growatt-mic",
    "MID 25KTL3-X2": "growatt-mic",
    "MAX 100KTL3-X LV": "growatt-mic",
    "SPH 6000TL BL-UP": "growatt-sph-meter",
    "SPH5000": "growatt-sph-meter",
    "SUN-50K-SG01HP3-EU": "deye-hybrid-meter",
    "SUN-29.9K-SG01HP3-EU-BM3": "deye-hybrid-meter",
    "SUN-8K-SG05LP3-EU-SM2": "deye-hybrid-meter",
    "SUN-M80G4-EU-Q0": "deye-string",
    "SUN600G3-EU-230": "deye-string",
    "SUN-10K-G05": "deye-string",
    "SG10RT": "sungrow-sg",
    "Sungrow SG5.0RS-ADA": "sungrow-sg",
    "SH10RT": "sungrow-sh-meter",
    "SH10RT-V112": "sungrow-sh-meter",
    "SH5.0RS": "sungrow-sh-meter",
    "SH3K6-30": "sungrow-sh-meter",
    "SH15T": "sungrow-sh-meter",
    "GW10K-ET": "goodwe-meter",
    "GW29.9K-ET": "goodwe-meter",
    "GoodWe GW6000-EH": "goodwe-meter",
    "GW5K-BT": "goodwe-meter",
    "S6-EH3P10K-H": "solis-hybrid-meter",
    "S6-EH3P10K2-H": "solis-hybrid",
    "S5-EH1P6K-L": "solis-hybrid",
    "RHI-5K-48ES-5G": "solis-hybrid-meter",
    "S6-GR1P3.6K": "solis-string",
    "Solis-3P10K-4G": "solis-string-meter",
    "X3-Hybrid-10.0-D": "solax-hybrid-meter",
    "AC3-10.0-E": "foxess-h3-meter",
    "SmartLogger3000A": "huawei-smartlogger-meter",
    "SUN2000-10KTL-M1": "huawei-sun2000-meter",
    "STP 10.0-3AV-40": "sma-sunny",
    "STP 25000TL-30": "sma-sunny",
    "SB5.0-1AV-41": "sma-sunny",
    "STP 50-40": "sma-sunny",
    "STP 20000TLEE-10": "sma-sunny",
    "STP 10.0-3SE-40": "sma-hybrid",
    "STP5.0-3SE": "sma-shm20",
    "HM-20": "sma-shm20",
    "SPEM-003CEBEU400": "shelly-pro-3em",
    "Acuvim IIR-D-5A-P1": "accuenergy-acuvim-ii",
    "SE-WNC-3Y-400-MB-K1": "solaredge-se-mtr-3y",
    "TQ EM310": "bcontrol-em300",
    "Eltako DSZ15DZMOD": "eltako-dsz15dzmod",
    "DSZ16WDZ": "eltako-dsz16dze",
    "WSZ16DZE-65A": "eltako-dsz16dze",
    "EMM-µD3h-485": "contrel-ud3h",
    "Anker X1-H12K-T": "anker-solix-x1-meter",
    "SPEM-002CEBEU50": "shelly-pro-em",
    "SPEM-003CEBEU120": "shelly-pro-3em",
    "S3EM-003CXCEU63": "shelly-pro-3em",
    "Shelly Pro 3EM-3CT63": "shelly-pro-3em",
}
OTHER_SIZES = ["H3-10.0-Smart", "H3-10.0-M", "SH5000TL", "GW-ET", "SPH5000X", "GW8K-DT", "SUN-8K-SG LP1"]
"""What has a size, and stands in no table: another letter behind it is another model."""
ABSENT = {
    "Makel": "IEC 62056-21",
    "LUNA": "IEC 62056-21",
    "Köhler": "IEC 62056-21",
    "Viko": "IEC 62056-21",
    "Panasonic": "IEC 62056-21",
    "Federal": "IEC 62056-21",
    "Sigma": "IEC 62056-21",
    "Elektromed": "IEC 62056-21",
    "Entes RGSR": "klemsan-rapidus",
    "RGA": "klemsan-rapidus",
    "EPM-07S": "copies",
    "MPR-53CS": "copies",
    "EMK-01": "second source",
    "Kael VARkombi 18": "48-bit",
    "ABB D13": "versions with Modbus",
    "ABB M2M": "step of the energies",
    "Galaxy VS": "apc-smart-ups",
    "iEM3335": "another bus",
    "PM8000": "W or kW",
    "UMG 806": "dispute the energies",
    "SHARKY 775": "M-Bus",
    "CF Echo II": "whole numbers or floats",
    "MAG-11": "one counter",
    "OB418": "second source",
    "RGSR-12": "klemsan-rapidus",
    "Luna LSM40": "IEC 62056-21",
    "KLEA 324P": "KLEA 320P",
    "Superstatic 789": "M-Bus",
    "MULTICAL 601": "codes",
    "NSX": "their lists",
    "AWD3": "transformers",
    "DMG110": "one register apart",
    "iEM3110": "another bus",
    "Schneider PM3210": "another bus",
    "KOHLER AEL.MF.07": "IEC 62056-21",
    "Acrel ADW210": "ratios",
    "OMNIPOWER": "Modbus module",
    "Janitza B23": "other meanings",
    "AcuRev 1310": "second source",
    "EM4M-3P-C-100A": "their lists",
    "DVS76": "SML",
    "SUN-2000G2": "no Modbus",
    "SUN-1000G2-M": "no Modbus",
    "DCRL8": "their lists",
    "DCRG8": "their lists",
    "Lovato DCRJ8": "their lists",
    "DCRL 8": "their lists",
    "RGK800": "the steps",
    "S3EM-002CXCEU": "no Modbus",
    "Shelly 1PM Gen4": "registers of a switch",
    "ION7650": "their lists",
    "A9MEM3165": "another bus",
    "A9MEM3275": "another bus",
    "A9MEM3365": "another bus",
    "SmartGen": "lists of the makers",
    "HGM6120": "lists of the makers",
    "Woodward easYgen-3500": "lists of the makers",
    "PowerCommand 3.3": "lists of the makers",
    "LE-01MR": "orno-we525",
    "F&F LE-03MW CT": "their lists",
    "EMH DIZ": "beginning was read",
    "PM5350": "its list",
    "Kamstrup MULTICAL 303": "M-Bus",
}


@pytest.mark.parametrize(("label", "table"), LABELS.items())
def test_a_label_finds_its_table(label: str, table: str) -> None:
    found = [driver.name for driver in labelled(LIBRARY, label.split())]
    assert table in found
    assert len(found) <= 5, found


@pytest.mark.parametrize(
    "label", ["EM3400", "B230", "DMG 9999", "no such meter", "SDX630", "ECMA-6", *OTHER_SIZES]
)
def test_what_is_no_label_of_the_library_finds_nothing(label: str) -> None:
    """A number that only begins like a model's is another model."""
    assert labelled(LIBRARY, label.split()) == []


@pytest.mark.parametrize(
    ("label", "table"),
    [
        ("rapıdus", "klemsan-rapidus"), ("RAPİDUS", "klemsan-rapidus"), ("dırıs a14", "socomec-diris-a14"),
        ("multıcal 603", "kamstrup-multical-603"), ("sıemens pac3200", "siemens-pac3200"),
        ("Schneıder PM5320", "schneider-pm5320"), ("ıem3155", "schneider-iem3155"),
        ("mın 6000tl-xh", "growatt-tlxh"), ("weidmuller em525", "weidmueller-em525"),
        ("WEİDMÜLLER EM525", "weidmueller-em525"),
    ],
)  # fmt: skip
def test_a_label_in_turkish_letters_or_without_marks_finds_its_table(label: str, table: str) -> None:
    """RAPIDUS is rapıdus in small Turkish letters, rapidus is RAPİDUS in capitals."""
    assert table in [driver.name for driver in labelled(LIBRARY, label.split())]


def test_what_somebody_writes_with_marks_is_not_what_has_none() -> None:
    """Köhler makes meters of the utility, Kohler controllers of generators."""
    assert labelled(LIBRARY, ["Köhler"]) == []
    assert [driver.name for driver in labelled(LIBRARY, ["Kohler"])] == ["kohler-decision-maker"]


@pytest.mark.parametrize("maker", sorted({driver.maker for driver in LIBRARY}))
def test_a_maker_does_not_stand_for_its_models(maker: str) -> None:
    """Of a model that is not here no other one of its maker is proposed: it would be read wrongly. What
    describes itself is never read wrongly: Kostal's inverters with SunSpec.
    """
    found = labelled(LIBRARY, [*maker.split(), "XYZ-9000"])
    assert all(driver.discovery for driver in found), [driver.name for driver in found]


@pytest.mark.parametrize(
    "remark", ["Energy Meter", "Heat meter", "One phase", "Modbus", "Hybrid", "Generator", "Grid meter"]
)
def test_what_is_said_of_a_model_is_not_its_name(remark: str) -> None:
    assert labelled(LIBRARY, [*remark.split(), "9000"]) == []


@pytest.mark.parametrize(("label", "why"), ABSENT.items())
def test_a_meter_that_is_not_here_says_why(label: str, why: str) -> None:
    """Never another maker's table that only has the letters in the middle of a word, and never silence."""
    assert labelled(LIBRARY, label.split()) == []
    assert why in " ".join(why_not(label.split(), {driver.maker for driver in LIBRARY}))


@pytest.mark.parametrize(
    ("word", "table"),
    [
        ("M2M", "selec-em2m"),
        ("RG3", "sofar-g3-meter"),
        ("UPS", "carlogavazzi-em270"),
        ("nova", "elecnova-dts1946"),
    ],
)
def test_the_middle_of_a_word_is_no_label(word: str, table: str) -> None:
    """EM2M is no M2M, and groups are no UPS."""
    assert table not in {driver.name for driver in labelled(LIBRARY, [word])}


def test_what_a_label_also_means_and_is_not_here_is_said_beside_what_is_found(tmp_path: Path) -> None:
    """EM6400 begins EM6400NG, and is another meter; a KLEA 220P has a table without energies."""
    for label, table in (
        ("EM6400", "schneider-pm2220"),
        ("KLEA 220P", "klemsan-klea220p"),
        ("DDSU666-H", "huawei-sun2000-meter"),
    ):
        found = CliRunner().invoke(command, ["list", *label.split(), "--directory", str(tmp_path)]).output
        assert table in found
        assert "not here: " in found
    found = CliRunner().invoke(command, ["list", "EM6400NG", "--directory", str(tmp_path)]).output
    assert "not here" not in found


def test_a_makers_name_alone_brings_nothing_of_its_other_meters() -> None:
    makers = {driver.maker for driver in LIBRARY}
    assert why_not(["Entes", "XYZ-9"], makers) == []
    assert why_not(["Entes", "EMK-01"], makers)
    for other in ("SDM999", "ABB99", "MPR99", "Entes MPR99", "UMG99", "EM340"):
        assert why_not(other.split(), makers) == [], (
            "letters that many of a maker's meters have are no family"
        )
    assert {driver.maker for driver in labelled(LIBRARY, ["SMA"])} <= {"SMA", "SunSpec"}, "no smart meters"


def test_what_is_not_here_is_on_one_line_each_and_on_the_page() -> None:
    page = markdown(LIBRARY)
    assert len(not_here()) > 30
    for names, why in not_here():
        assert f"| {names} | {why} |" in page
        assert len(why) > 3


def test_without_words_it_is_the_whole_library() -> None:
    assert labelled(LIBRARY, []) == LIBRARY


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("MOD 10KTL3-XH", "growatt-mic"),
        ("MOD 10KTL3-X", "growatt-tlxh"),
        ("STP 10.0-3SE-40", "sma-sunny"),
        ("STP 10.0-3AV-40", "sma-hybrid"),
    ],
)
def test_what_stands_behind_a_size_tells_models_apart(label: str, other: str) -> None:
    assert other not in [driver.name for driver in labelled(LIBRARY, label.split())]


@pytest.mark.parametrize(
    "name", sorted({name for driver in LIBRARY for name in driver.covers if "…" in name})
)
@pytest.mark.parametrize("size", ["5", "29.9", "10000"])
def test_every_model_that_comes_in_sizes_is_found_in_each(name: str, size: str) -> None:
    label = name.replace("…", size)
    wanted = {driver.name for driver in LIBRARY if name in driver.covers}
    assert wanted <= {driver.name for driver in labelled(LIBRARY, label.split())}


def test_a_reading_has_a_unit_and_what_an_attribute_is_called_has_none() -> None:
    table = next(driver for driver in LIBRARY if driver.name == "eastron-sdm630")
    units = {row.name: unit(row) for row in table.rows}
    assert (units["active_power"], units["active_energy_import"]) == ("kW", "kWh")
    assert units["serial_number"] == ""
