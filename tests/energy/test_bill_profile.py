"""A load profile of the distributor as a CSV file beside our meter: whatever its columns, dates and
numbers look like.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from test_bill_cli import DAYS, ISTANBUL, config  # noqa: F401 - a fixture

from gateway.cli import cli
from gateway.cli.load_profile import read_profile
from gateway.errors import GatewayError
from gateway.history import bills

ZONE = ZoneInfo("Europe/Istanbul")


def lines(minutes=15, *, days=DAYS, ends=False, kwh=lambda _day, _hour: 4.0):
    """(day, text of the time, kWh, inductive, capacitive) of each row; kWh are those of an hour."""
    step = timedelta(minutes=minutes)
    for day in days:
        at = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the wall clock's
        for k in range(24 * 60 // minutes):
            begin = at + k * step
            shown = begin + step if ends else begin
            share = minutes / 60
            value = kwh(day, begin.hour) * share
            yield shown, value, 0.6 * share, 0.08 * share


def semicolons(rows) -> str:
    text = "\n".join(
        f"{at:%d.%m.%Y};{at:%H:%M};{kwh:.3f};{ind:.3f};{cap:.3f}".replace(".", ",").replace(",", ".", 2)
        for at, kwh, ind, cap in rows
    )
    return "Tarih;Saat;Aktif Çekiş (kWh);Endüktif (kVArh);Kapasitif (kVArh)\n" + text + "\n"


def commas(rows) -> str:
    text = "\n".join(f"{at:%Y-%m-%d},{at:%H:%M},{kwh:.4f},{ind:.3f},{cap:.3f}" for at, kwh, ind, cap in rows)
    return "date,hour,kWh,inductive kvarh,capacitive kvarh\n" + text + "\n"


def one_column(rows) -> str:
    text = "\r\n".join(
        f"{at:%d/%m/%Y %H:%M:%S}\t{kwh:.3f}\t{ind:.3f}\t{cap:.3f}" for at, kwh, ind, cap in rows
    )
    return "\ufeffOSOS\tdemo\r\nTarih Saat\tTüketim (kWh)\tRI enduktif\tRC kapasitif\r\n" + text + "\r\n"


def spans(rows) -> str:
    text = "\n".join(
        f'"{at:%d.%m.%Y}";"{at:%H:%M}-{at + timedelta(hours=1):%H:%M}";"1.{at.hour:03},50"' for at, *_ in rows
    )
    return '"Gün";"Saat Dilimi";"Aktif (kWh)"\n' + text + "\n"


def run(config, *words, language="en"):  # noqa: F811
    done = CliRunner().invoke(cli, ["--lang", language, "bill", "-c", str(config), *map(str, words)])
    return done, " ".join(done.output.split())


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        (semicolons(lines()), 15),
        (commas(lines(60)), 60),
        (one_column(lines(30)), 30),
        (one_column(lines(15, ends=True)), 15),
        (commas(lines(60, ends=True)).replace(" 00:00", " 24:00"), 60),
    ],
    ids=["semicolons", "commas", "one-column", "ends", "ends-hours"],
)
def test_every_shape_says_the_same(tmp_path, text, minutes) -> None:
    path = tmp_path / "osos.csv"
    path.write_bytes(text.encode("utf-8"))
    profile = read_profile(path, ZONE)
    assert profile.minutes == minutes
    assert profile.not_understood == []
    first = ISTANBUL.quarters(DAYS[0])[0]
    assert [row.start for row in profile.rows] == [
        first + k * minutes * 60_000 for k in range(31 * 24 * 60 // minutes)
    ]
    assert sum(row.amounts["active"] for row in profile.rows) == pytest.approx(31 * 24 * 4)
    assert sum(row.amounts["inductive"] for row in profile.rows) == pytest.approx(31 * 24 * 0.6, rel=0.02)


def test_hours_that_count_to_24_and_a_file_of_windows(tmp_path) -> None:
    rows = "\r\n".join(f"0{1 + k // 24}.10.2026;{k % 24 + 1};{k},25" for k in range(48))
    path = tmp_path / "osos.csv"
    path.write_bytes(f"Gün;Saat;Tüketim (kWh) İl Özel\r\n{rows}\r\n".encode("cp1254"))
    profile = read_profile(path, ZONE)
    assert profile.rows[0].start == ISTANBUL.quarters(date(2026, 10, 1))[0]
    assert [row.amounts["active"] for row in profile.rows] == [k + 0.25 for k in range(48)]


def test_points_are_thousands_where_a_comma_is_the_decimal_mark(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    path.write_text(spans(lines(60, days=DAYS[:2])))
    profile = read_profile(path, ZONE)
    assert [row.amounts["active"] for row in profile.rows[:3]] == [1000.5, 1001.5, 1002.5]


@pytest.mark.parametrize(
    ("cells", "understood"),
    [
        (["0,5", "1.234,5", "12", "1.000.000"], [0.5, 1234.5, 12.0, 1e6]),
        (["0.5", "1,234.5", "12", "0.125"], [0.5, 1234.5, 12.0, 0.125]),
        # A point of another file among commas is no sign for thousands.
        (["0,5", "0.5", "12.34", "0.125"], [0.5]),
        (["0,5", "1.23,5", "-4", "nan", "1e3", "١", ""], [0.5]),
    ],
    ids=["commas", "points", "mixed", "no-numbers"],
)
def test_a_number_is_understood_or_named_never_read_as_another_one(tmp_path, cells, understood) -> None:
    good = "".join(f"01.10.2026;{hour:02}:00;1\n" for hour in range(8, 20))
    rows = "".join(f"01.10.2026;{hour:02}:00;{cell}\n" for hour, cell in enumerate(cells))
    path = tmp_path / "osos.csv"
    path.write_text("Tarih;Saat;kWh\n" + rows + good, encoding="utf-8")
    profile = read_profile(path, ZONE)
    assert [row.amounts["active"] for row in profile.rows][: -len(good.splitlines())] == understood
    assert [each.line for each in profile.not_understood] == list(range(len(understood) + 2, len(cells) + 2))


@pytest.mark.parametrize(
    ("head", "factor"),
    [("Aktif Çekiş (kWh)", 1), ("Aktif (MWh)", 1000), ("Tüketim [Wh]", 0.001), ("Tüketim", 1)],
)
def test_the_unit_in_a_head_counts(tmp_path, head, factor) -> None:
    path = tmp_path / "osos.csv"
    path.write_text(f"Tarih;Saat;{head}\n01.10.2026;00:00;8\n01.10.2026;01:00;4\n", encoding="utf-8")
    assert [row.amounts["active"] for row in read_profile(path, ZONE).rows] == [8 * factor, 4 * factor]


@pytest.mark.parametrize(
    ("head", "cells", "kwh"),
    [
        ("Tüketim (Wh)", ("10.132", "950", "1.250.000"), (10.132, 0.95, 1250)),
        ("Tüketim (kWh)", ("10.132", "950", "9.000"), (10.132, 950, 9)),
        ("Tüketim (Wh)", ("10132.000", "950.000", "8.000"), (10.132, 0.95, 0.008)),
        ("Tüketim (Wh)", ("950.000", "812.000", "8.000"), (0.95, 0.812, 0.008)),
        ("Tüketim (Wh)", ("10.132", "950.5", "8"), (0.010132, 0.9505, 0.008)),
    ],
)
def test_whole_watt_hours_have_points_for_thousands(tmp_path, head, cells, kwh) -> None:
    path = tmp_path / "osos.csv"
    rows = "".join(f"01.10.2026;{hour:02}:00;{cell}\n" for hour, cell in enumerate(cells))
    path.write_text(f"Tarih;Saat;{head}\n{rows}", encoding="utf-8")
    assert [row.amounts["active"] for row in read_profile(path, ZONE).rows] == pytest.approx(kwh)


@pytest.mark.parametrize(
    ("heads", "found"),
    [
        ("1.8.0 (kWh);5.8.0 (kVArh);8.8.0 (kVArh)", (1, 2, 3)),
        ("2.8.0 (kWh);1.8.0 (kWh);3.8.0;4.8.0", (2, 3, 4)),
        ("1.8.1 (kWh);1.8.2 (kWh);1.8.0 (kWh);6.8.0 kVArh;8.8.0 kVArh;5.8.0 kVArh", (3, 6, 5)),
        ("A- (kWh);A+ (kWh);Ri+ (kVArh);Rc- (kVArh);Ri- (kVArh);Rc+ (kVArh)", (2, 3, 4)),
        ("-A;+A;-Ri;+Rc;+Ri;-Rc", (2, 5, 6)),
        ("Aktif Tüketim (kWh);Rİ (kVArh);RC (kVArh)", (1, 2, 3)),
        ("Aktif Endeks (kWh);Aktif Tüketim (kWh);Endüktif İndeks;İndüktif;Kapasitif", (2, 4, 5)),
        ("Üretim Aktif;Tüketim Aktif;Tüketim Endüktif;Tüketim Kapasitif", (2, 3, 4)),
        ("Aktif Güç (kW);Aktif (kWh);Endüktif Güç (kVAr);Endüktif (kVArh);Kapasitif", (2, 4, 5)),
        ("Aktif Demand (kW);Talep;Aktif Çekiş;Q1 (kVArh);Q2 (kVArh);Q4 (kVArh)", (3, 4, 6)),
        ("T1 (kWh);T2 (kWh);T3 (kWh);Toplam (kWh);Ri;Rc", (4, 5, 6)),
        ("Toplam;T1;T2;T3;Ri;Rc", (1, 5, 6)),
        ("Gündüz (kWh);Puant (kWh);Gece (kWh);Ri;Rc", (1 + 2 + 3, 4, 5)),
        ("Tüketim (kWh);Çarpanlı Tüketim (kWh);Ri;Rc", (2, 3, 4)),
        ("Çarpanlı Tüketim;Çarpanlı Kayıplı Tüketim;Ri;Rc", (1, 3, 4)),
        ("T1;T2;T3;Toplam (T1+T2+T3) (kWh);Ri;Rc", (4, 5, 6)),
        ("Veriş T1;Veriş T2;Çekiş T1;Çekiş T2;Ri;Rc", (3 + 4, 5, 6)),
        ("Gündüz İndüktif;Gündüz Aktif;Gece Aktif;Kapasitif", (2 + 3, 1, 4)),
        ("T1;T1 Çarpanlı;T2;T2 Çarpanlı;Ri;Rc", (2 + 4, 5, 6)),
        ("Toplam Tutar (TL);Aktif Çekiş (kWh);Ri;Rc", (2, 3, 4)),
        ("Aktif Çekiş kW-h;Ri;Rc", (1, 2, 3)),
        ("Tüketim kW saat;Ri;Rc", (1, 2, 3)),
    ],
)
def test_codes_and_short_names_in_heads_say_what_a_column_is(tmp_path, heads, found) -> None:
    cells = ";".join(str(k + 1) for k in range(heads.count(";") + 1))
    path = tmp_path / "osos.csv"
    path.write_text(f"Endeks Tarihi;Saat;{heads}\n01.10.2026;00:00;{cells}\n01.10.2026;01:00;{cells}\n")
    amounts = read_profile(path, ZONE).rows[0].amounts
    assert (amounts["active"], amounts["inductive"], amounts["capacitive"]) == found


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y-%m-%dT%H:%M:%S"]
)
def test_a_date_has_any_sign_between_its_numbers(tmp_path, form) -> None:
    path = tmp_path / "osos.csv"
    rows = "".join(
        f"{datetime(2026, 10, 3, hour):{form}};{hour:02}:00;{hour}\n"  # noqa: DTZ001 - the wall clock's
        for hour in range(24)
    )
    path.write_text(f"Tarih;Saat;kWh\n{rows}")
    profile = read_profile(path, ZONE)
    assert profile.not_understood == []
    begin = ISTANBUL.quarters(date(2026, 10, 3))[0]
    assert [row.start for row in profile.rows] == [begin + hour * 3_600_000 for hour in range(24)]


@pytest.mark.parametrize(
    ("heads", "cells"),
    [
        ("Date;Time", "%Y-%m-%d;%I:%M %p"),
        ("Date", "%Y-%m-%d %I:%M:%S %p"),
        ("Tarih;Saat", "%d.%m.%Y;%I:%M ÖH"),
        ("Zaman", "%Y-%m-%dT%H:%M:%S+03:00"),
        ("Tarih;Saat", "%d.%m.%Y;%H:%M:%S ÖH"),
        ("Tarih;Saat", "%d.%m.%Y;ÖH %I:%M"),
        ("Zaman", "%Y-%m-%d %H:%M:%S+03:00"),
        ("Tarih;Saat", "%d.%m.%Y;%H:%M:%S-01:00:00"),
        ("Tarih;Saat", "%d.%m.%Y;%H:%M-24:00"),
        ("Tarih;Saat", "%d.%m.%Y;%H:%M-01:00"),
    ],
)
def test_a_time_is_what_its_row_says(tmp_path, heads, cells) -> None:
    """Of half days, with its zone, or with the end of its hour behind it."""
    path = tmp_path / "osos.csv"
    rows = ""
    for hour in range(24):
        at = datetime(2026, 10, 3, hour)  # noqa: DTZ001 - the wall clock's
        said = f"{at:{cells}}".replace("ÖH", "ÖS" if hour >= 12 else "ÖÖ")
        rows += f"{said};{hour}\n"
    path.write_text(f"{heads};kWh\n{rows}")
    profile = read_profile(path, ZONE)
    assert profile.not_understood == []
    begin = ISTANBUL.quarters(date(2026, 10, 3))[0]
    assert [(row.start, row.amounts["active"]) for row in profile.rows] == [
        (begin + hour * 3_600_000, hour) for hour in range(24)
    ]


def test_a_time_in_utc_is_one_of_the_building(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    rows = "".join(
        f"{datetime(2026, 10, 2, 21) + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ};{hour}\n"  # noqa: DTZ001
        for hour in range(24)
    )
    path.write_text(f"Zaman;kWh\n{rows}")
    begin = ISTANBUL.quarters(date(2026, 10, 3))[0]
    assert [row.start for row in read_profile(path, ZONE).rows] == [
        begin + hour * 3_600_000 for hour in range(24)
    ]


def test_a_row_that_ends_a_second_before_the_quarter_hour_ends_with_it(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    at = datetime(2026, 10, 3, 0, 14, 59)  # noqa: DTZ001 - the wall clock's
    rows = "".join(f"{at + k * timedelta(minutes=15):%d.%m.%Y;%H:%M:%S};{k}\n" for k in range(96))
    path.write_text(f"Tarih;Saat;kWh\n{rows}")
    assert [row.start for row in read_profile(path, ZONE).rows] == [*ISTANBUL.quarters(date(2026, 10, 3))]


def test_bands_that_do_not_run_may_be_empty(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    path.write_text(
        "Tarih;Saat;T1;T2;T3\n01.10.2026;00:00;;;8,5\n01.10.2026;01:00;1;;2\n01.10.2026;02:00;;;\n"
    )
    profile = read_profile(path, ZONE)
    assert [row.amounts["active"] for row in profile.rows] == [8.5, 3.0]
    assert [each.line for each in profile.not_understood] == [4]


@pytest.mark.parametrize("heads", ["T1 Endeks (kWh);T2 Endeks;T3 Endeks", "Gündüz Endeks;Gece Endeks"])
def test_of_the_indices_of_bands_nothing_is_billed(tmp_path, heads) -> None:
    path = tmp_path / "osos.csv"
    cells = ";".join("700" for _ in heads.split(";"))
    path.write_text(f"Tarih;Saat;{heads}\n01.10.2026;00:00;{cells}\n01.10.2026;01:00;{cells}\n")
    with pytest.raises(GatewayError, match="no line with the heads"):
        read_profile(path, ZONE)


def test_a_file_of_powers_is_no_profile(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    path.write_text("Tarih;Saat;Aktif Güç (kW)\n01.10.2026;00:00;8\n01.10.2026;00:15;4\n", encoding="utf-8")
    with pytest.raises(GatewayError, match="no line with the heads"):
        read_profile(path, ZONE)


def test_of_an_index_alone_nothing_is_billed(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    path.write_text("Tarih;Saat;Aktif Endeks (kWh)\n01.10.2026;00:00;184223\n01.10.2026;01:00;184224\n")
    with pytest.raises(GatewayError, match="no line with the heads"):
        read_profile(path, ZONE)


def test_lines_that_are_not_understood_are_named(tmp_path, config, monkeypatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    text = commas(lines(60)).splitlines()
    text[5] = "2026-10-01,04:00,vier,0,0"
    text[9] = "yesterday,08:00,1,0,0"
    text[12] = "2026-10-01,25:00,1,0,0"
    text[20] = "2026-10-01,19:00"
    text[30] = text[29]
    (tmp_path / "osos.csv").write_text("\n".join(text))
    done, said = run(config, "osos.csv")
    assert done.exit_code == 0, said
    for line, why in ((6, "'vier' is not a number"), (10, "'yesterday' is not a date"), (13, "is not a time"),
                      (21, "too few columns"), (31, "stands there twice")):  # fmt: skip
        assert f"osos.csv:{line}: " in said
        assert why in said
    assert "not understood, and count for nothing: 5" in said
    # What it does not have is not set against our meter.
    assert "quarter hours that the load profile does not have: 20" in said
    assert "no day is apart" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no line with the heads"),
        ("a;b;c\n1;2;3\n", "no line with the heads"),
        ("date;hour;kWh\n", "0 of 0 lines"),
        ("date;hour;kWh\nx;y;z\nx;y;z\n", "2 of 2 lines were not understood.*osos.csv:2: 'x' is not a date"),
        ("date;hour;kWh\n31.02.2026;01:00;1\n", "osos.csv:2: '31.02.2026' is not a date"),
        ("date;hour;kWh\n31.12.9999;24:00;1\n", "osos.csv:2: '31.12.9999' is not a date"),
        ("date;hour;kWh\n01.01.0001;00:00;1\n", "osos.csv:2: '01.01.0001' is not a date"),
        ("date;hour;kWh\n2026-10-01;00:00;1\n2026-10-01;00:07;1\n2026-10-01;00:14;1\n", "7 minutes apart"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path, text, words) -> None:
    path = tmp_path / "osos.csv"
    path.write_text(text)
    with pytest.raises(GatewayError, match=words):
        read_profile(path, ZONE)


@pytest.mark.parametrize(
    ("encoding", "begin"),
    [("utf-16", ""), ("utf-8", "\ufeffsep=;\r\n"), ("cp1254", "Müşteri: Şişli İlçesi;;\r\n")],
)
def test_a_file_as_excel_writes_it(tmp_path, encoding, begin) -> None:
    path = tmp_path / "osos.csv"
    head = "Tarih;Saat;Çekiş (kWh);Reaktif İndüktif;Reaktif Kapasitif\r\n"
    rows = "".join(f"01.10.2026;{hour:02}:00;1.204,5;0,5;0,1\r\n" for hour in range(24))
    path.write_bytes((begin + head + rows).encode(encoding))
    profile = read_profile(path, ZONE)
    assert profile.not_understood == []
    assert len(profile.rows) == 24
    assert profile.rows[3].amounts == {"active": 1204.5, "inductive": 0.5, "capacitive": 0.1}


@pytest.mark.parametrize("begin", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_is_told_from_a_file_of_text(tmp_path, begin) -> None:
    path = tmp_path / "osos.xlsx"
    path.write_bytes(begin + bytes(range(256)))
    with pytest.raises(GatewayError, match=r"is an Excel workbook.*save it as CSV"):
        read_profile(path, ZONE)


def test_a_decimal_comma_between_commas_is_no_column_of_its_own(tmp_path) -> None:
    path = tmp_path / "osos.csv"
    path.write_text("date,hour,kWh\n" + "".join(f"2026-10-01,{hour:02}:00,12,5\n" for hour in range(24)))
    with pytest.raises(
        GatewayError, match=r"24 of 24 lines.*osos\.csv:2: it has more columns than there are heads"
    ):
        read_profile(path, ZONE)
    quoted = "".join(f'2026-10-01,{hour:02}:00,"12,5",\n' for hour in range(24))
    path.write_text("date,hour,kWh\n" + quoted)  # and an empty column at the end, as Excel leaves one
    assert {row.amounts["active"] for row in read_profile(path, ZONE).rows} == {12.5}


@pytest.mark.parametrize("ends", [False, True], ids=["begins", "ends"])
@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_on_a_day_when_the_clock_is_changed_no_hour_is_lost_or_twice(tmp_path, ends, day, hours) -> None:
    """As a meter in a country with summer time writes it: an hour is there twice, or not at all."""
    berlin = ZoneInfo("Europe/Berlin")
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=berlin).timestamp())
    shown = [midnight + 900 * (k + ends) for k in range(hours * 4)]
    text = "".join(f"{datetime.fromtimestamp(t, berlin):%d.%m.%Y;%H:%M};{k}\n" for k, t in enumerate(shown))
    path = tmp_path / "osos.csv"
    path.write_text("Tarih;Saat;kWh\n" + text)
    profile = read_profile(path, berlin)
    assert profile.not_understood == []
    assert [row.start for row in profile.rows] == [(midnight + 900 * k) * 1000 for k in range(hours * 4)]


def test_the_days_that_explain_the_difference(tmp_path, config) -> None:  # noqa: F811
    """Our meter slept through the 9th and the distributor's sees more on the 20th."""
    path = tmp_path / "osos.csv"
    more = {date(2026, 10, 20): 9.0, date(2026, 10, 9): 5.0}
    path.write_text(semicolons(lines(kwh=lambda day, _hour: more.get(day, 4.0))))
    done, said = run(config, path)
    assert done.exit_code == 0, said
    assert "accuracy: our meter 1.12%, the distributor's 0.50%" in said
    assert "days that explain the difference" in said
    # 24 h · 4 kWh against 24 h · 9 kWh.
    assert "2026-10-20 96.0 216.0 −120.0" in said
    assert said.index("2026-10-20 96.0") < said.index(
        "2026-10-09 96.0 120.0 −24.0 96 quarter hours not measured"
    )
    [kept] = bills(config.parent)
    assert {each.name: each.billed for each in kept.amounts}["inductive"] == pytest.approx(
        31 * 24 * 600, rel=0.01
    )
    assert sum(each.billed for each in kept.amounts if each.name[0] == "t") == (31 * 24 * 4 + 24 * 6) * 1000
    assert kept.lacking == ((date(2026, 10, 9), 96),)
    assert kept.apart == ((date(2026, 10, 20), 96_000, 216_000), (date(2026, 10, 9), 96_000, 120_000))


def test_within_two_days_only(tmp_path, config) -> None:  # noqa: F811
    path = tmp_path / "osos.csv"
    path.write_text(commas(lines(60)))
    _, said = run(config, path, "--from", "2026-10-12", "--to", "2026-10-13")
    assert "2026-10-12 to 2026-10-13" in said
    assert "every quarter hour was measured" in said
    done, said = run(config, path, "--from", "2026-11-12")
    assert "nothing of these days" in str(done.exception)


def test_a_profile_or_a_bill_not_both(tmp_path, config) -> None:  # noqa: F811
    path = tmp_path / "osos.csv"
    path.write_text(commas(lines(60)))
    assert run(config, path, "--t1", "5")[0].exit_code == 2
    assert run(config)[0].exit_code == 2
    assert run(config, tmp_path / "none.csv")[0].exit_code == 1


@pytest.mark.parametrize("language", ["tr", "en"])
def test_it_fits_60_columns(tmp_path, config, language, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.chdir(tmp_path)
    text = semicolons(lines(kwh=lambda day, _hour: 4.0 + day.day % 3)).splitlines()
    text[5] = "01.10.2026;04:00;dört;0;0"
    (tmp_path / "osos.csv").write_text("\n".join(text))
    done, _ = run(config, "osos.csv", language=language)
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 60
