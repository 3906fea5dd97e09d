"""submeter bill: our meter beside the distributor's, by band, with what explains a difference."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config.rules import rules_path
from gateway.energy import Calendar, Interval
from gateway.history import History, bills

ISTANBUL = Calendar(ZoneInfo("Europe/Istanbul"))
DAYS = [date(2026, 10, n) for n in range(1, 32)]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"gateway: {{id: g}}\njournal: {{directory: {tmp_path}}}\n"
        "buses: [{name: line, type: serial, port: /dev/ttyUSB0}]\n"
        "meters:\n"
        "  - {id: main, bus: line, driver: eastron-sdm630, address: 1, class: B, ct_class: 0.5}\n"
        "  - {id: hvac, bus: line, driver: eastron-sdm630, address: 2, parent: main}\n"
    )
    history = History(tmp_path, ISTANBUL)
    for meter, quantity, value in (
        ("main", "active_energy_import", 1000),
        ("main", "reactive_energy_q1", 150),
        ("main", "reactive_energy_q4", 20),
        ("hvac", "active_energy_import", 300),
    ):
        past = history.past(meter, quantity)
        for day in DAYS:
            for start in ISTANBUL.quarters(day):
                letter = "e" if day.day == 9 else "m"
                past.put(Interval(meter, quantity, start, value, letter), corrected=False)
    history.save()
    history.close()
    return path


def bill(config, *words):
    done = CliRunner().invoke(
        cli, ["--lang", "en", "bill", "-c", str(config), "--from", "2026-10-01", "--to", "2026-10-31", *words]
    )
    return done, " ".join(done.output.split())


def test_too_much_is_told_also_where_some_of_ours_is_missing(config) -> None:
    """The missing can only make it more."""
    words = ["--lang", "en", "bill", "-c", str(config), "--t1", "1100", "--from", "2026-10-01", "--to"]
    text = " ".join(CliRunner().invoke(cli, [*words, "2026-11-01"]).output.split())
    assert "t1, kWh ≥ 1,364.0 1,100.0 24.0% more than the classes of both meters allow" in text


def test_a_bill_of_one_sum_stands_beside_that_of_our_bands(config) -> None:
    """The tariff has three: that nothing was measured here was not so. 31 days with 24 h of 4 kWh."""
    done, text = bill(config, "--t0", "2990", "--inductive", "446")
    assert done.exit_code == 0
    assert "t0, kWh 2,976.0 2,990.0 −0.5%" in text
    assert "is not measured here" not in text
    assert "inductive, kvarh 446.4 446.0 0.1%" in text
    [kept] = bills(config.parent)
    assert [(each.name, each.measured) for each in kept.amounts] == [
        ("t0", 2_976_000),
        ("inductive", 446_400),
    ]
    # Without it nobody asks for the sum, and what no tariff here has is not measured.
    _, text = bill(config, "--t1", "1364")
    assert "t0" not in text


def test_a_band_that_a_tariff_of_one_does_not_have_is_not_measured(config) -> None:
    config.write_text(config.read_text() + "building: {tariff: tr-single-time}\n")
    _, text = bill(config, "--t0", "2976", "--t1", "1364")
    assert "t0, kWh 2,976.0 2,976.0 0.0%" in text
    assert "t1, kWh is not measured here" in text


def test_bands_and_reactive_energy_stand_beside_the_bill(config) -> None:
    # 31 days with 1 kWh a quarter hour: 11, 5 and 8 hours a day.
    words = ["--t1", "1364", "--t2", "620", "--t3", "1200", "--inductive", "446.4"]
    done, text = bill(config, *words)
    assert done.exit_code == 0, done.output
    assert "t1, kWh 1,364.0 1,364.0 0.0%" in text
    assert "t2, kWh 620.0 620.0 0.0%" in text
    assert "17.3% more than the classes of both meters allow" in text
    assert "inductive, kvarh 446.4 446.4 0.0%" in text
    assert "capacitive, kvarh 59.5" in text
    assert text.count("more than the classes") == 1
    assert "2026-10-09 96" in text
    assert "2026-10-10" not in text


def test_of_days_that_are_not_known_our_meter_counted_at_least_so_much(config, tmp_path) -> None:
    words = ["--lang", "en", "bill", "-c", str(config), "--t1", "1408", "--from", "2026-10-01", "--to"]
    done = CliRunner().invoke(cli, [*words, "2026-11-01"])
    text = " ".join(done.output.split())
    assert done.exit_code == 0, done.output
    assert "t1, kWh ≥ 1,364.0 1,408.0 –" in text
    assert "more than the classes" not in text, "what is missing may be what they differ by"
    assert "nothing is known of 24.0 h: our meter counted at least so much" in text
    assert bills(tmp_path)[0].missing == 96
    done = CliRunner().invoke(cli, [*words, "2026-10-31"])
    assert "≥" not in done.output
    assert "nothing is known" not in done.output
    assert [bill.missing for bill in bills(tmp_path)] == [0, 96]


def test_a_water_meter_that_stands_first_is_not_the_one_that_is_billed(config) -> None:
    water = "  - {id: water, bus: line, driver: siemens-mag6000, address: 9}\n"
    config.write_text(config.read_text().replace("meters:\n", "meters:\n" + water))
    done, text = bill(config, "--t1", "1364")
    assert done.exit_code == 0, done.output
    assert "t1, kWh 1,364.0 1,364.0 0.0%" in text
    assert "water" not in text
    done, _ = bill(config, "--meter", "water", "--t1", "5")
    assert done.exit_code == 1
    assert "has counted no energy that is drawn → it has main, hvac" in str(done.exception)
    assert len(bills(config.parent)) == 1


def test_a_plant_that_stands_first_is_not_the_one_that_is_billed(config) -> None:
    text = config.read_text()
    config.write_text(
        text.replace("meters:\n", "meters:\n  - {id: pv, bus: line, driver: eastron-sdm630, address: 9}\n")
        + "building: {pv: [{meter: pv, yield: import}]}\n"
    )
    history = History(config.parent, ISTANBUL)
    past = history.past("pv", "active_energy_import")
    for day in DAYS:
        for start in ISTANBUL.quarters(day):
            past.put(Interval("pv", "active_energy_import", start, 70, "m"), corrected=False)
    history.save()
    history.close()
    done, text = bill(config, "--t1", "1364")
    assert done.exit_code == 0, done.output
    assert "main, 2026-10-01" in text
    assert "t1, kWh 1,364.0 1,364.0 0.0%" in text
    done, text = bill(config, "--t1", "95.5", "--meter", "pv")
    assert "pv, 2026-10-01" in text, "who asks for it gets it"


def test_what_is_not_billed_at_all_is_no_difference_of_nothing(config) -> None:
    done, text = bill(config, "--t1", "0")
    assert done.exit_code == 0, done.output
    assert "t1, kWh 1,364.0 0.0 – more than the classes" in text


def test_a_tariff_of_one_band_has_its_own_option(config) -> None:
    config.write_text(config.read_text() + "building: {tariff: tr-single-time}\n")
    done, text = bill(config, "--t0", "2976")
    assert done.exit_code == 0, done.output
    assert "t0, kWh 2,976.0 2,976.0 0.0%" in text
    assert "not measured here" not in text


def test_a_difference_within_both_classes_is_left_alone(config) -> None:
    assert "more than" not in bill(config, "--t1", "1380")[1]  # 1.2 %: 1.1 % of ours, 0.5 % of theirs
    assert "more than" in bill(config, "--t1", "1390")[1]


def test_what_cannot_be_compared_is_said(config) -> None:
    done, _ = bill(config, "--meter", "nobody")
    assert "no such meter: nobody → it has main, hvac" in str(done.exception)
    done = CliRunner().invoke(
        cli, ["--lang", "en", "bill", "-c", str(config), "--from", "2026-10-31", "--to", "2026-10-01"]
    )
    said = " ".join(done.output.replace("│", " ").split())
    assert "--to is before --from (2026-10-01, 2026-10-31): exchange the two" in said
    done, text = bill(config, "--meter", "hvac", "--t1", "5", "--inductive", "3")
    assert "inductive, kvarh is not measured here" in text


@pytest.mark.parametrize("amount", ["-5", "nan", "inf"])
def test_what_is_no_amount_of_energy_is_refused(config, tmp_path, amount) -> None:
    done, text = bill(config, "--t2", amount)
    assert done.exit_code == 2
    assert "--t2" in text
    assert bills(tmp_path) == []


@pytest.mark.parametrize("days", [("2025-10-01", "2025-10-31"), ("2026-11-01", "2026-11-30")])
def test_days_that_the_history_does_not_have_are_no_bill_of_nothing(config, tmp_path, days) -> None:
    words = ["--lang", "en", "bill", "-c", str(config), "--from", days[0], "--to", days[1], "--t1", "5"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "nothing of these days → it has 2026-10-01 to 2026-10-31" in str(done.exception)
    assert bills(tmp_path) == []


def test_an_empty_history_is_told_as_that(config, tmp_path) -> None:
    for file in tmp_path.glob("history.db*"):
        file.unlink()
    history = History(tmp_path, ISTANBUL)
    history.save()
    history.close()
    done, _ = bill(config, "--t1", "5")
    assert done.exit_code == 1
    assert "no quarter hour has been computed yet → start the gateway" in str(done.exception)


def test_a_day_is_refused_by_the_name_of_its_option(config) -> None:
    done = CliRunner().invoke(
        cli, ["--lang", "en", "bill", "-c", str(config), "--from", "1.10.2026", "--to", "2026-10-31"]
    )
    assert done.exit_code == 2
    assert "--from" in done.output
    assert "'1.10.2026'" in done.output or "1.10.2026 is not a date" in done.output


def test_a_comparison_is_kept_for_the_report_and_a_newer_one_takes_its_place(config, tmp_path) -> None:
    done, text = bill(config, "--t1", "1364", "--inductive", "400")
    assert done.exit_code == 0, done.output
    assert "kept for the report on the page: /report/2026" in text
    (kept,) = bills(tmp_path)
    assert (kept.meter, kept.first, kept.last) == ("main", DAYS[0], DAYS[-1])
    assert [(each.name, each.measured, each.billed) for each in kept.amounts] == [
        ("t1", 1_364_000, 1_364_000),
        ("inductive", 446_400, 400_000),
    ]
    assert abs(kept.amounts[1].measured - kept.amounts[1].billed) > kept.amounts[1].allowed
    assert kept.lacking == ((date(2026, 10, 9), 96),)
    bill(config, "--t1", "1400")
    assert [each.billed for each in bills(tmp_path)[0].amounts] == [1_400_000]
    assert len(bills(tmp_path)) == 1


def test_without_an_amount_of_the_bill_nothing_is_kept(config, tmp_path) -> None:
    done, text = bill(config)
    assert done.exit_code == 0
    assert "kept" not in text
    assert bills(tmp_path) == []


@pytest.mark.parametrize("by_profile", [False, True])
def test_each_day_is_counted_by_the_bands_that_hold_on_it(config, tmp_path, monkeypatch, by_profile) -> None:
    """From the 11th on the evening begins an hour earlier, and the night has a name of its own."""
    rules = tmp_path / "tr.yaml"
    shipped = rules_path().read_text(encoding="utf-8")
    second = (
        "    - {valid_from: 2026-10-11, bands: {t1: 06-16, t2: 16-22, t4: 22-06}, source: a decision}\n"
        "  tr-single-time:\n"
    )
    rules.write_text(shipped.replace("  tr-single-time:\n", second, 1), encoding="utf-8")
    monkeypatch.setattr("gateway.cli.bill_sums.rules_path", lambda _country: rules)
    words = ["--t1", "1300"]
    if by_profile:
        profile = tmp_path / "osos.csv"
        hours = ((day, hour) for day in DAYS for hour in range(24))
        rows = "".join(f"{day};{hour:02}:00;4\n" for day, hour in hours)
        profile.write_text(f"date;hour;kWh\n{rows}")
        words = [str(profile)]
    done, text = bill(config, *words)
    assert done.exit_code == 0, done.output
    # 1 kWh a quarter hour: 10 days of 11, 5 and 8 hours, 21 days of 10, 6 and 8.
    for band, hours in (("t1", 110 + 210), ("t2", 50 + 126), ("t3", 80), ("t4", 168)):
        said = f" {hours * 4:,}.0 0.0%" if by_profile else ""
        assert f"{band}, kWh {hours * 4:,}.0{said}" in text
