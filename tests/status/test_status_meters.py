"""The meters on the page: who leads, who gives, what stands in which table, what the last hour's picture
says in words.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from status_building import BOOTED, BUSES, CALM, METERS, NOW, SNAPSHOT, Building, electric, lost, meter, value

from gateway.model import QUANTITIES
from gateway.status.page.chart import hour, power_chart
from gateway.status.page.overview import overview, single
from gateway.status.page.render import MarkedNames, Visitor, fragment
from gateway.status.page.tables import tables
from gateway.status.snapshot import ClockView
from gateway.status.trend import POINTS
from gateway.status.verdict import judge
from gateway.status.words import causes
from gateway.status.words.labels import Words, common_decimals, counter, gives
from gateway.status.words.language import Locale
from gateway.status.words.notices import notices

EXPORTED = value("active_energy_export", 48_211.37, 24.0, decimals=2)


def locale(language: str = "tr") -> Locale:
    return Locale(language, "Europe/Istanbul", NOW)


def pv(power: float, *more, **fields):
    return meter("pv", "Güneş", 7, (value("active_power", power, decimals=3), *more), parent="main", **fields)


def render(page: str, snapshot, language: str = "tr", meter_id: str = "") -> str:
    return fragment(page, snapshot, Visitor(language, "/", asked=False), meter_id, [None] * POINTS)


# -- who gives


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ((EXPORTED,), True),
        ((EXPORTED, value("active_energy_import", 310.2)), True),
        ((EXPORTED, value("active_energy_import", 139_238.1)), False),
        ((EXPORTED, value("active_energy_import", None, absent="timeout")), False),
        ((value("active_energy_export", None, absent="exception_2"),), False),
        ((value("active_energy_import", 0.0), value("active_energy_export", 0.0)), False),
        ((value("active_energy_total", 9.0),), False),
        ((value("dc_power_s1", 4.0), value("active_energy_import", 310.2)), True),
        ((value("active_power", -5.0), value("active_energy_import", 310.2)), False),
        ((), False),
    ],
)
def test_a_meter_gives_when_its_own_registers_say_so(views, expected):
    view = meter("x", "Güneş paneli", 1, views)
    assert gives(view) is expected
    if expected and EXPORTED in views:
        assert counter(view) == EXPORTED


@pytest.mark.parametrize(
    ("power", "extra", "turkish", "english"),
    [
        (-12.345, (EXPORTED,), ("12,3", "veriyor"), ("12.3", "gives")),
        (0.0, (EXPORTED,), ("0,0", "şu anda vermiyor"), ("0.0", "gives nothing now")),
        (0.31, (EXPORTED,), ("0,310", "çekiyor"), ("0.310", "draws")),
        (-5.0, (value("active_energy_import", 310.2),), ("5,00", "veriyor"), ("5.00", "gives")),
        (5.0, (value("active_energy_import", 310.2),), ("5,00", ""), ("5.00", "")),
    ],
)
def test_the_way_of_power_is_said_in_words(power, extra, turkish, english):
    for language, expected in (("tr", turkish), ("en", english)):
        line = single(pv(power, *extra), locale(language))
        assert (line.now, line.way) == expected


def test_what_was_read_long_ago_gives_nothing_now():
    for view in (
        pv(-12.0, EXPORTED, state="lost", missing="timeout"),
        meter("pv", "G", 7, (value("active_power", -12.0, 400.0), EXPORTED)),
    ):
        assert single(view, locale()).way == ""
        assert single(view, locale()).old


def test_the_yield_of_one_that_gives_stands_first():
    view = pv(-12.345, value("active_energy_import", 310.2), EXPORTED)
    line = single(view, locale())
    assert (line.register, line.counted) == ("Verilen enerji", "48.211,4\u00a0kWh")
    register = next(table for table in tables(view, locale()) if table.kind == "register")
    assert [row.code for row in register.rows] == ["2.8.0", "1.8.0"]
    assert single(METERS[0], locale()).register == "Sayaç endeksi"


# -- the overview


def test_the_one_meter_above_others_leads_and_the_others_compare_down_their_columns():
    found = overview(SNAPSHOT, locale())
    assert found.lead is not None
    assert found.lead.meter.id == "main"
    assert [line.now for line in found.lines] == ["31,1", "22,4", "9,9", "6,0", "1,2", "18,4", ""]
    decimals = {
        len(line.counted.partition(",")[2].partition("\u00a0")[0])
        for line in found.lines
        if line.counted.endswith("kWh")
    }
    assert decimals == {1}
    bars = {line.meter.id: line.bar for line in found.lines}
    assert bars["hvac"] == pytest.approx(36.9, abs=0.1)
    assert bars["chiller"] is bars["lift"] is bars["water"] is None, "what is old or not known has no bar"


def test_two_that_could_lead_do_not():
    second = replace(METERS[1], id="other", parent="", label="İkinci")
    below = replace(METERS[3], id="below", parent="other")
    assert overview(replace(SNAPSHOT, meters=(*METERS, second, below)), locale()).lead is None


def test_parts_stand_below_their_whole_also_when_they_come_before_it():
    floor = replace(METERS[3], id="floor", parent="hvac")
    room = replace(METERS[3], id="room", parent="floor")
    found = overview(replace(CALM, meters=(room, floor, *METERS[:2])), locale())
    assert [(line.meter.id, line.depth) for line in found.lines] == [("hvac", 0), ("floor", 1), ("room", 2)]


def test_a_ring_of_parents_hides_nobody():
    ring = tuple(replace(METERS[n], parent=METERS[1 - n].id) for n in (0, 1))
    assert {line.meter.id for line in overview(replace(CALM, meters=ring), locale()).lines} == {
        "main",
        "hvac",
    }


def test_a_lost_meter_has_one_verdict():
    html = render("overview", replace(CALM, meters=(METERS[0], METERS[2])))
    card = html[html.index('id="meter-chiller"') :].partition("</li>")[0]
    assert card.count("yanıt yok") == 1
    assert "18:44&#39;ten beri yanıt yok; sayılar son okunanlar" in card
    assert "iyi" not in card
    assert "eski" not in card


@pytest.mark.parametrize(("count", "shown"), [(12, 12), (13, 8), (40, 8)])
def test_of_many_meters_the_largest_are_shown_and_every_one_with_a_note(count, shown):
    many = [
        replace(METERS[1], id=f"m{n}", parent="main", values=electric(1.0, 10.0 * n)) for n in range(count)
    ]
    found = overview(replace(CALM, meters=(METERS[0], *many)), locale())
    assert len(found.lines) == shown
    assert len(found.rest) == count - shown
    assert bool(found.rest) == (found.more == f"{count - shown} sayaç daha")
    many[0] = lost(many[0], NOW, 70.0)
    found = overview(replace(CALM, meters=(METERS[0], *many)), locale())
    assert "m0" in {line.meter.id for line in found.lines}


# -- tables


def test_every_quantity_of_the_vocabulary_stands_in_one_cell():
    for language in ("tr", "en"):
        everything = meter(
            "all",
            "Hepsi",
            1,
            tuple(value(name, 1.25, interval=10.0) for name in (*QUANTITIES, "not_in_the_vocabulary")),
        )
        found = tables(everything, locale(language))
        cells = [cell for table in found for row in table.rows for cell in row.cells if cell is not None]
        assert len(cells) == len(QUANTITIES) + 1
        assert [table.kind for table in found][:3] == ["power", "register", "counted"]
        for table in found:
            assert len({row.label for row in table.rows}) == len(table.rows), table.title
            assert all(len(row.cells) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize("backwards", [False, True])
def test_rows_stand_in_the_order_of_the_vocabulary_however_a_meter_gives_them(backwards):
    names = ["apparent_power", "active_power", "voltage_l1n", "reactive_power", "frequency", "power_factor"]
    known = [name for name in QUANTITIES if name in names]
    assert known not in (names, names[::-1])
    views = tuple(value(name, 1.25) for name in (reversed(names) if backwards else names))
    found = tables(meter("x", "X", 1, views), locale("en"))
    power = next(table for table in found if table.kind == "power")
    labels = [Words(locale("en")).quantity(name) for name in known if "power" in name]
    assert [row.label.partition(",")[0] for row in power.rows] == labels


def test_phases_stand_side_by_side_with_one_number_of_digits():
    power = tables(METERS[0], locale())[0]
    assert power.columns == ("Toplam", "L1", "L2", "L3")
    assert [cell and cell.text for cell in power.rows[0].cells] == ["84,2", "30,3", "27,8", "26,1"]
    assert power.rows[0].label == "Aktif güç, kW"
    assert power.age == "3 sn önce"
    assert power.notes == ()


def test_what_is_not_as_it_should_be_is_said_below_its_table_once():
    solar = next(view for view in METERS if view.id == "solar")
    quality = next(table for table in tables(solar, locale()) if table.kind == "quality")
    assert quality.notes == ("Frekans: şüpheli",)
    odd = replace(
        METERS[0],
        values=tuple(replace(v, age=9.0) if v.quantity == "current_l2" else v for v in METERS[0].values),
    )
    supply = next(table for table in tables(odd, locale()) if table.kind == "supply")
    assert supply.notes == ()
    assert supply.ages == ("Akım L2: 9 sn önce",)
    old = replace(
        METERS[0],
        values=tuple(replace(v, age=99.0) if v.quantity == "current_l2" else v for v in METERS[0].values),
    )
    supply = next(table for table in tables(old, locale()) if table.kind == "supply")
    assert supply.notes == ("Akım L2: 1 dk önce, eski",)
    assert [cell and cell.marked for cell in supply.rows[1].cells] == [False, True, False]


def test_a_table_of_old_values_says_so_once_and_one_of_a_lost_meter_leaves_it_to_the_page():
    lift = next(view for view in METERS if view.id == "lift")
    assert tables(lift, locale())[0].notes == ("Tüm değerler: eski",)
    chiller = METERS[2]
    assert all(not table.notes for table in tables(chiller, locale()))
    assert not any(
        cell and cell.marked
        for table in tables(chiller, locale())
        for row in table.rows
        for cell in row.cells
    )


def test_a_meter_with_little_has_it_in_plain_sight():
    only = meter("f", "F", 1, (value("frequency", 50.0),))
    assert [(table.kind, table.folded) for table in tables(only, locale())] == [("quality", False)]
    assert [table.kind for table in tables(METERS[-1], locale())] == ["counted"]


@pytest.mark.parametrize(
    ("numbers", "decimals", "expected"),
    [
        ((84.2, 0.3), 3, 1),
        ((8.42, 0.3), 3, 2),
        ((0.4,), 3, 3),
        ((0.0,), 3, 1),
        ((84.2, 3.0), 0, 0),
        ((), 3, 0),
    ],
)
def test_a_column_has_as_many_digits_as_its_largest_number_needs_and_its_tables_have(
    numbers, decimals, expected
):
    assert (
        common_decimals([value("active_power", number, decimals=decimals) for number in numbers]) == expected
    )


@pytest.mark.parametrize(
    ("name", "number", "decimals", "expected"),
    [
        ("frequency", 49.98, None, 2),
        ("power_factor", 1.0, None, 3),
        ("power_factor_l2", 0.5, 2, 2),
        ("volume", 1_842.317, None, 3),
        ("pulse_count", 123_456.0, None, 0),
        ("active_energy_import", 184_223.91, 2, 1),
        ("active_energy_import", 12.5, 2, 2),
        ("volume_flow", 3.25, None, 2),
        ("not_in_the_vocabulary", 3.25, None, 2),
    ],
)
def test_some_quantities_need_more_digits_or_none(name, number, decimals, expected):
    assert common_decimals([value(name, number, decimals=decimals)]) == expected


# -- the last hour


def test_the_picture_is_told_in_words_and_as_a_table():
    points = Building().trend.points("main", BOOTED)
    told = hour(points, NOW, locale("en"))
    assert (
        told.says
        == "Active power of the last hour in kW: lowest 60.0, highest 94.2, now 82.2. Without readings: 5 "
        "min."
    )
    assert (
        "en az 60,0, en çok 94,2, şu anda 82,2. Okuma olmayan süre: 5 dk." in hour(points, NOW, locale()).says
    )
    assert [span.time for span in told.spans][:2] == ["19:25–19:30", "19:20–19:25"]
    assert len(told.spans) == 13
    assert [(span.time, span.without) for span in told.spans if span.without] == [
        ("18:50–18:55", "3 min"),
        ("18:45–18:50", "1 min"),
    ]
    assert min(float(span.low) for span in told.spans if span.low) == 60.0


def test_a_slow_meter_has_no_gaps_where_it_is_not_read():
    points = [5.0 if index % 30 == 0 else None for index in range(POINTS)]
    assert "Without" not in hour(points, NOW, locale("en"), 300.0).says
    assert "Without" in hour(points, NOW, locale("en"), 10.0).says
    assert power_chart(points, NOW, locale(), 300.0).count(b"<polyline") == 1
    assert power_chart(points, NOW, locale(), 10.0).count(b"<circle") == POINTS / 30


def test_an_hour_that_has_just_begun_shows_the_rest_as_without_readings():
    svg = power_chart([None] * (POINTS - 12) + [4.0] * 12, NOW, locale()).decode()
    assert "okuma yok" in svg
    assert "4,00\u00a0kW" in svg


def test_five_minutes_without_a_reading_are_a_row_without_numbers():
    points = [4.0] * 100 + [None] * 120 + [4.0] * (POINTS - 220)
    assert [(span.mean, span.without) for span in hour(points, NOW, locale("en")).spans if not span.mean] == [
        ("", "5 min")
    ] * 3


def test_nothing_read_is_a_sentence_and_no_table():
    assert hour([None] * POINTS, NOW, locale("en")).spans == ()
    assert "<img" not in render("meter", SNAPSHOT, "en", "hvac")
    assert render("meter", SNAPSHOT, "en", "hvac").count("Nothing has been read in the last hour.") == 1


# -- words and languages


def test_names_of_the_configuration_carry_its_language_on_a_page_of_another():
    html = render("overview", SNAPSHOT, "en")
    assert '<span lang="tr">Ana sayaç</span>' in html
    assert '<span lang="tr">Soğutma grubu</span> (line1, 3): no answer' in html
    assert 'lang="tr"' not in render("overview", SNAPSHOT, "tr")
    names = MarkedNames(replace(SNAPSHOT, meters=(meter("a", "Kat <1>", 1), meter("b", "Kat", 2))), "en")
    assert (
        str(names("Kat <1> & Kat, Katlar"))
        == '<span lang="tr">Kat &lt;1&gt;</span> &amp; <span lang="tr">Kat</span>, Katlar'
    )


def test_lines_and_platforms_are_called_as_people_call_them():
    labelled = replace(
        SNAPSHOT,
        buses=(replace(BUSES[0], label="Zemin kat panosu"), BUSES[1]),
        uplinks=tuple(replace(view, label="Şehir platformu") for view in SNAPSHOT.uplinks),
    )
    for page, meter_id in (("overview", ""), ("meter", "chiller")):
        html = render(page, labelled, "tr", meter_id)
        assert "Zemin kat panosu, 3" in html or "Zemin kat panosu, adres 3" in html
        assert "line1" not in html
    assert "city" not in render("overview", labelled)
    assert "<dd>line1</dd>" in render("system", labelled)
    assert "<dd>city</dd>" in render("system", labelled)


RAW = (
    "could not open port",
    "unit 99 refused",
    "connection refused by 10.0.0.1",
    "database disk image",
    "not taken over: 3 problems",
)


def test_lines_in_english_stand_on_no_turkish_page():
    told = replace(
        SNAPSHOT,
        buses=(replace(BUSES[0], state="down", error=RAW[0], cause="permission"), BUSES[1]),
        meters=(METERS[0], replace(METERS[2], error=RAW[1], missing="exception_2")),
        uplinks=tuple(replace(view, error=RAW[2]) for view in SNAPSHOT.uplinks),
        journal=replace(SNAPSHOT.journal, error=RAW[3]),
        problems=(RAW[4],),
    )
    for page, meter_id in (("overview", ""), ("meter", "chiller"), ("system", "")):
        assert not [raw for raw in RAW if raw in render(page, told, "tr", meter_id)]
    assert "Bu register&#39;lar sayaçta yok (kod 2)." in render("meter", told, "tr", "chiller")
    html = render("system", told, "tr")
    for sentence in ("Hat açılamıyor.", "Sayaç soruyu reddediyor.", "Ağ geçidi bir durum bildiriyor;"):
        assert sentence in html


@pytest.mark.parametrize(
    "reason",
    ["timeout", "bad_frame", *(f"exception_{code}" for code in (1, 2, 3, 4, 5, 6, 8, 10, 11, 77)), "odd"],
)
def test_every_reason_of_a_meter_has_a_sentence_in_both_languages(reason):
    english, turkish = (causes.meter(reason, locale(language)) for language in ("en", "tr"))
    assert english.endswith(".")
    assert turkish.endswith(".")
    assert english != turkish
    assert causes.meter("", locale()) == ""


def test_equal_lines_of_the_daemon_are_one_notice():
    now = replace(CALM, problems=("one", "two"))
    assert len(notices(judge(now), now, locale())) == 1
    assert len(notices(judge(now), now, locale("en"))) == 2


@pytest.mark.parametrize(
    ("clock", "english", "turkish"),
    [
        (ClockView(synced=True), "right, by the network time", "doğru (ağ saati)"),
        (ClockView(synced=True, source="rtc"), "right, by the hardware clock", "doğru (donanım saati)"),
        (ClockView(synced=True, source="system"), "as the system clock says; nothing confirms it",
         "sistem saatine göre; başka bir kaynak doğrulamıyor"),
        (ClockView(synced=False, source="system"), "not set", "ayarlı değil"),
    ],
)  # fmt: skip
def test_what_is_said_of_the_clock_does_not_contradict_itself(clock, english, turkish):
    assert Words(locale("en")).clock(clock) == english
    assert Words(locale("tr")).clock(clock) == turkish
