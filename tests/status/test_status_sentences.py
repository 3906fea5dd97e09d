"""The plain sentences: true, and in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from status_building import BUSES, CALM, HOUR, METERS, MINUTE, NOW, SNAPSHOT, value

from gateway.errors import MEND_FAILING
from gateway.status.findings import StatusFinding
from gateway.status.snapshot import Beat, ClockView, JournalView, MeterView, Snapshot, UplinkView
from gateway.status.verdict import judge
from gateway.status.words import notices, sentences
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale

DAY = 24 * HOUR


def locale(language: str = "en") -> Locale:
    return Locale(language, "Europe/Istanbul", NOW)


def told(snapshot, language: str = "en") -> list[notices.Notice]:
    return notices.notices(judge(snapshot), snapshot, locale(language))


def texts(snapshot, language: str = "en") -> list[str]:
    return [notice.text for notice in told(snapshot, language)]


def verdict(snapshot, language: str = "en") -> notices.Notice:
    return notices.headline(judge(snapshot), snapshot, locale(language))


def link(**fields) -> UplinkView:
    return UplinkView(
        **{"name": "city", "where": "p:8883", "state": "connected", "since": NOW - HOUR, **fields}
    )


def said(view: UplinkView, language: str = "en", **journal) -> str:
    now = replace(CALM, uplinks=(view,), journal=replace(CALM.journal, **journal))
    return sentences.uplink(now, view, locale(language))


def test_the_sentence_that_no_other_gateway_says():
    view = SNAPSHOT.uplinks[0]
    assert (
        sentences.uplink(SNAPSHOT, view, locale())
        == "1,240 readings have been waiting since 14:02; there is room for 41 more days."
    )
    assert (
        sentences.uplink(SNAPSHOT, view, locale("tr"))
        == "1.240 okuma 14:02'den beri bekliyor; 41 gün daha yer var."
    )


def test_one_reading_one_hour():
    view = link(state="waiting", backlog_batches=1, backlog_readings=1, backlog_oldest=NOW - 10 * MINUTE)
    assert (
        said(view, room_days=0.05) == "1 reading has been waiting since 19:15; there is room for 1 more hour."
    )


def test_unknown_room_is_not_invented():
    view = link(state="waiting", backlog_batches=2, backlog_readings=16, backlog_oldest=NOW - 10 * MINUTE)
    assert said(view, room_days=None) == "16 readings have been waiting since 19:15."


def test_delivered_with_and_without_confirmation():
    assert (
        said(link(last_receipt=NOW - 4000))
        == "Everything stored has been delivered; the platform confirmed it at 19:24:56."
    )
    assert said(link(receipts=False)) == "Everything stored has been delivered."


def test_what_had_to_make_room_or_waits_for_ever_is_not_called_delivered():
    lot = {"thinned": 3, "thinned_readings": 24, "thinned_at": NOW - HOUR}
    assert said(link(last_receipt=NOW - 4000), **lot) == "Everything that is still stored has been delivered."
    fresh = {"backlog_batches": 1, "backlog_readings": 8, "backlog_oldest": NOW - 5000}
    assert said(link(**fresh), **lot) == "The newest 8 readings are on their way."
    assert said(link(**fresh, set_aside=3)) == "The newest 8 readings are on their way."


def test_what_was_taken_before_the_clock_was_set_back_is_not_on_its_way():
    ahead = {"backlog_batches": 90, "backlog_readings": 720, "backlog_oldest": NOW + HOUR}
    assert said(link(**ahead)) == "720 readings have been waiting; there is room for 41 more days."
    assert said(link(**ahead), room_days=None) == "720 readings have been waiting."
    done = said(link(**ahead, done_at=NOW + 20 * MINUTE))
    assert done == "720 readings waiting are being delivered, until about 19:45."


def test_fresh_batches_are_on_their_way_old_ones_wait():
    assert said(link(backlog_batches=1, backlog_readings=8, backlog_oldest=NOW - 5000)).startswith(
        "The newest 8 readings are on their way"
    )
    assert (
        said(
            link(
                backlog_batches=90, backlog_readings=720, backlog_oldest=NOW - HOUR, done_at=NOW + 20 * MINUTE
            )
        )
        == "720 readings waiting since 18:25 are being delivered, until about 19:45."
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"backlog_oldest": NOW - 5000},
            "The newest reading is on its way; everything older has been delivered.",
        ),
        ({"held": 1}, "1 reading is held back until the clock is right."),
        ({"held": 1, "backlog_oldest": NOW - 5000}, "1 reading is held back until the clock is right."),
        (
            {"done_at": NOW + 20 * MINUTE},
            "1 reading waiting since 18:25 is being delivered, until about 19:45.",
        ),
    ],
)
def test_one_reading_is_one(more, told):
    view = link(**{"backlog_batches": 1, "backlog_readings": 1, "backlog_oldest": NOW - HOUR, **more})
    assert said(view) == told


def test_what_waits_and_does_not_move_is_never_called_being_delivered():
    text = said(link(backlog_batches=90, backlog_readings=720, backlog_oldest=NOW - HOUR))
    assert text == "720 readings have been waiting since 18:25; there is room for 41 more days."


def test_held_batches_are_explained():
    view = link(backlog_batches=90, backlog_readings=720, backlog_oldest=NOW - HOUR, held=90)
    assert said(view) == "720 readings are held back until the clock is right."


def test_calm():
    assert texts(CALM) == []
    assert verdict(CALM).text == "Everything is in order. All 2 meters answer."
    assert verdict(CALM).level == "good"
    assert verdict(CALM, "tr").text == "Her şey yolunda. 2 sayacın tümü yanıt veriyor."


def test_a_lost_meter_is_named_with_what_to_do():
    found = told(SNAPSHOT)
    assert found[0].text == "Soğutma grubu (line1, 3): no answer since 18:44."
    assert "power" in found[0].action
    assert found[0].link == "/meter/chiller"
    assert verdict(SNAPSHOT).text == "7 of 8 meters answer."
    assert verdict(SNAPSHOT).level == "bad"


def test_partial_old_and_suspect_are_named():
    lines = texts(SNAPSHOT)
    assert any(text.startswith("Sistem odası:") for text in lines) is False, (
        "what it never gave is no trouble"
    )
    assert "Asansörler: its numbers are old (1 min ago)." in lines
    assert "Güneş panelleri: some values are doubtful (Frequency)." in lines


def test_a_dead_line_is_one_notice_not_one_per_meter():
    down = replace(SNAPSHOT, buses=(replace(BUSES[0], state="down", error="No such file"), BUSES[1]))
    lines = texts(down)
    assert any(text.startswith("The line line1 cannot be opened") for text in lines)
    assert not any("Soğutma" in text for text in lines)


def test_a_line_that_is_just_being_opened_is_no_news():
    opening = replace(CALM, buses=(replace(BUSES[0], state="down", error="", since=NOW - 2000),))
    assert texts(opening) == []


def test_all_meters_of_a_line_lost_points_at_the_line():
    lost = tuple(replace(m, state="lost", missing="timeout") if m.bus == "line1" else m for m in METERS)
    lines = texts(replace(SNAPSHOT, meters=lost))
    assert "None of the 6 meters on the line line1 answers." in lines
    assert not any("no answer since" in text for text in lines)


def gone(count: int, *why: str) -> Snapshot:
    """Calm, with so many meters, of which the first are lost for these reasons."""
    meters = tuple(
        replace(METERS[0], id=f"m{number}", label=f"Meter {number}", address=number)
        for number in range(count)
    )
    lost = tuple(
        replace(view, state="lost", missing=reason) for view, reason in zip(meters, why, strict=False)
    )
    return replace(CALM, meters=(*lost, *meters[len(lost) :]))


@pytest.mark.parametrize(
    ("why", "cause", "action"),
    [
        ("exception_2", "it refuses every question", "check that its table"),
        ("exception_4", "it answers that it has a fault of its own", "switch it off and on again"),
        ("exception_8", "it answers that it has a fault of its own", "switch it off and on again"),
    ],
)
def test_a_fault_of_the_meter_itself_is_first_no_matter_of_its_table(
    why: str, cause: str, action: str
) -> None:
    now = replace(SNAPSHOT, meters=(replace(METERS[0], state="lost", missing=why, since=NOW - HOUR),))
    (notice,) = (each for each in told(now) if cause in each.text)
    assert action in notice.action
    assert MEND_FAILING in notice.action or why == "exception_2"
    assert cause in Words(locale()).meter_state(now.meters[0])


REFUSES, SILENT, BUSY = "exception_2", "timeout", "exception_6"


@pytest.mark.parametrize(
    ("now", "en", "tr"),
    [
        (gone(1), "Everything is in order. The meter answers.", "Her şey yolunda. Sayaç yanıt veriyor."),
        (gone(1, SILENT), "The meter does not answer.", "Sayaç yanıt vermiyor."),
        (gone(2, SILENT, SILENT), "None of the meters answers.", "Sayaçların hiçbiri yanıt vermiyor."),
        (gone(2, SILENT), "1 of 2 meters answer.", "2 sayacın 1'i yanıt veriyor."),
        (
            gone(1, REFUSES),
            "The meter answers, but refuses every question.",
            "Sayaç yanıt veriyor, ancak her sorguyu reddediyor.",
        ),
        (
            gone(2, REFUSES, REFUSES),
            "All 2 meters answer, but refuse every question.",
            "2 sayacın tümü yanıt veriyor, ancak her sorguyu reddediyor.",
        ),
        (
            gone(3, REFUSES),
            "2 of 3 meters give values; what else answers refuses every question.",
            "3 sayacın 2'si değer veriyor; diğerleri yanıt veriyor, ancak her sorguyu reddediyor.",
        ),
        (gone(3, REFUSES, SILENT), "1 of 3 meters give values.", "3 sayacın 1'i değer veriyor."),
        (gone(2, REFUSES, SILENT), "None of the meters gives a value.", "Sayaçların hiçbiri değer vermiyor."),
        (gone(1, BUSY), "The meter gives no value.", "Sayaç değer vermiyor."),
    ],
)
def test_the_headline_tells_a_meter_that_refuses_from_one_that_is_silent(now, en, tr):
    assert [verdict(now).text, verdict(now, "tr").text] == [en, tr]


@pytest.mark.parametrize("count", [1, 3])
def test_a_meter_that_refuses_is_not_sought_in_its_cable(count):
    """Neither when it is all that its line has: it answers, and what it is asked is wrong."""
    now = gone(count, *[REFUSES] * count)
    assert [notice.text.split(": ")[1][:26] for notice in told(now)] == ["it refuses every question "] * count
    actions = " ".join(notice.action for notice in told(now))
    assert "drivers try --meter m0" in actions
    assert "power of the converter" not in actions
    card = Words(locale()).meter_state(replace(now.meters[0], age=None, since=NOW - HOUR))
    assert card == "it refuses every question since 18:25", "it has answered: it says no"
    assert Words(locale()).meter_state(gone(1, SILENT).meters[0]).startswith("no answer since")


def test_one_meter_alone_on_its_line_is_named_itself():
    lost = tuple(replace(m, state="lost") if m.id == "solar" else m for m in METERS)
    assert any(
        text.startswith("Güneş panelleri (plant, 1): no answer since")
        for text in texts(replace(SNAPSHOT, meters=lost))
    )


def test_storage_trouble():
    full = replace(CALM, journal=replace(CALM.journal, state="full", not_taken=3, pending=77))
    lines = texts(full)
    assert "There is no room left to store readings." in lines
    assert "3 readings could not be stored and are lost." in lines
    assert sentences.power_cut(full, locale()).startswith(
        "If the power fails now, 77 readings that could not be stored are lost."
    )


def test_what_had_to_make_room_is_said_for_a_week_and_in_the_store_for_good():
    lot = {
        "thinned": 63,
        "thinned_readings": 4410,
        "thinned_since": NOW - 3 * DAY,
        "thinned_until": NOW - 2 * DAY,
    }
    now = replace(CALM, journal=replace(CALM.journal, **lot, thinned_at=NOW - 6 * DAY))
    [text] = [text for text in texts(now) if "make room" in text]
    assert text.startswith("4,410 undelivered readings had to make room for newer ones (between ")
    later = replace(CALM, journal=replace(CALM.journal, **lot, thinned_at=NOW - 8 * DAY))
    assert not any("make room" in text for text in texts(later))
    assert sentences.thinned(later, locale()) == text
    assert sentences.thinned(CALM, locale()) == ""
    assert "4.410" in sentences.thinned(now, locale("tr"))


def test_a_store_of_a_newer_version_says_what_to_do():
    newer = replace(CALM, journal=replace(CALM.journal, state="newer", pending=77, error="file version 9"))
    [notice] = [notice for notice in told(newer) if "newer version of its program" in notice.text]
    assert (notice.level, notice.action) == (
        "bad",
        "Tell the maintenance firm today: install the newer version again.",
    )
    assert "77 readings that could not be stored" in sentences.power_cut(newer, locale())


def test_a_full_store_in_which_nothing_waits_speaks_of_no_readings_that_do():
    full = replace(CALM, journal=replace(CALM.journal, state="full", pending=0))
    assert sentences.power_cut(full, locale()) == sentences.power_cut(CALM, locale())


def test_what_a_power_cut_costs():
    assert sentences.power_cut(CALM, locale()) == (
        "If the power fails now, at most the readings of the last 10 s are lost. The meters themselves go "
        "on counting kWh."
    )


def test_stored_up_to():
    assert (
        sentences.stored(CALM, locale())
        == "Stored on this gateway up to 19:24:54. Newer numbers on this page are live and not yet stored."
    )
    nothing = replace(CALM, journal=JournalView("00", 0))
    assert (
        sentences.stored(nothing, locale())
        == "Nothing has been stored yet. The numbers on this page are live."
    )


@pytest.mark.parametrize("state", ["failed", "newer"])
def test_of_a_journal_that_could_not_be_opened_nothing_is_known(state):
    """Neither that nothing is stored nor that everything was delivered: what is on the disk may wait."""
    view = replace(SNAPSHOT.uplinks[0], state="connected", backlog_batches=0, backlog_readings=0)
    unread = replace(CALM, journal=JournalView("00", 0, state, unopened=True), uplinks=(view,))
    said = (
        sentences.stored(unread, locale()),
        sentences.stored(unread, locale(), page=False),
        sentences.uplink(unread, view, locale()),
    )
    assert all("cannot be read at the moment" in text for text in said), said
    known = replace(unread, journal=replace(CALM.journal, state=state))
    assert "cannot be read" not in sentences.stored(known, locale())


def test_a_refusing_platform_and_a_stranger_with_our_name():
    for state, word in (
        ("refused", "There is no connection to the platform"),
        ("taken over", "Another gateway uses the name"),
    ):
        found = told(replace(CALM, uplinks=(link(state=state),)))
        assert found[0].level == "bad"
        assert word in found[0].text
        assert found[0].action


def test_an_outage_gets_urgent_when_room_runs_out():
    away = link(state="waiting", backlog_batches=10, backlog_readings=80, backlog_oldest=NOW - HOUR)
    for days, level in ((40.0, "warn"), (2.0, "bad")):
        now = replace(CALM, uplinks=(away,), journal=replace(CALM.journal, room_days=days))
        assert told(now)[0].level == level


def test_connecting_for_a_moment_is_no_news():
    fresh = link(
        state="connecting", since=NOW - 2000, backlog_batches=1, backlog_readings=8, backlog_oldest=NOW - 4000
    )
    assert texts(replace(CALM, uplinks=(fresh,))) == []
    assert texts(replace(CALM, uplinks=(replace(fresh, since=NOW - HOUR),))) != []


def test_clock_parts_and_the_daemons_own_lines():
    now = replace(
        CALM,
        clock=ClockView(synced=False),
        beats=(Beat("journal", 99.0, 60.0),),
        problems=("configuration refused: line 7",),
    )
    lines = texts(now)
    assert "The gateway does not know the right time yet." in lines
    assert "A part of the gateway has stopped: journal." in lines
    assert "configuration refused: line 7" in lines


def test_no_meter_and_starting():
    assert verdict(replace(CALM, meters=())).text == "No meter is configured yet."
    off = replace(CALM, meters=tuple(replace(m, state="disabled") for m in CALM.meters))
    assert verdict(off).text == "Every meter is switched off."
    assert any("enabled: yes" in each.action for each in notices.notices(judge(off), off, locale()))
    starting = tuple(replace(m, state="starting", values=(), age=None) for m in CALM.meters)
    assert verdict(replace(CALM, meters=starting, uptime=20.0)).text == "Starting: no meter has answered yet."


def test_switched_off_meters_do_not_count():
    off = replace(CALM, meters=(*CALM.meters, MeterView("old", "Old", "disabled", "line1", 9, "x")))
    assert verdict(off).text == "Everything is in order. All 2 meters answer."


def test_a_line_in_words():
    assert (
        sentences.bus(BUSES[0], locale())
        == "41,822 requests, 194 errors (0.5%), meters answer after 24 ms, busy 61% of the time"
    )
    assert (
        sentences.bus(BUSES[0], locale("tr"))
        == "41.822 sorgu, 194 hata (%0,5), yanıt gecikmesi 24 ms, hat doluluğu %61"
    )
    assert sentences.bus(replace(BUSES[0], requests=0), locale()) == "not used yet"
    assert sentences.bus(replace(BUSES[0], state="down", error="gone"), locale()) == "cannot be opened: gone"


def test_amounts_have_the_digits_that_a_reader_can_use():
    words = Words(locale())
    assert words.amount(value("active_power", 3.30919, decimals=5)) == "3.309\u00a0kW"
    assert words.amount(value("active_power", 84.2134, decimals=4), short=True) == "84.21\u00a0kW"
    assert words.amount(value("active_power", 84.0, decimals=0), short=True) == "84\u00a0kW"
    assert (
        words.amount(value("active_energy_import", 184_223.914, decimals=2), short=True)
        == "184,223.91\u00a0kWh"
    )
    assert words.amount(value("active_energy_import", 184_223.914)) == "184,223.91\u00a0kWh"
    assert words.amount(value("power_factor", 0.98, decimals=3)) == "0.980"
    assert words.amount(value("power_factor", None)) == "–"
    assert words.amount(value("not_in_the_vocabulary", 1.5)) == "1.500"


def test_quality_is_the_worst_that_is_true():
    assert value("active_power", 1.0, 3.0).quality == "good"
    assert value("active_power", 1.0, 3.0, suspect=True).quality == "suspect"
    assert value("active_power", 1.0, 31.0, suspect=True).quality == "stale"
    assert value("active_power", 1.0, None).quality == "stale"
    assert value("active_power", None, 1.0, absent="timeout").quality == "absent"
    assert value("active_energy_import", 1.0, 170.0).quality == "good"
    assert value("active_power", 1.0, 29.0, interval=0.0).quality == "good"


@pytest.mark.parametrize(
    ("language", "words", "action"),
    [("en", "may differ from the meter's display", "submeter pulses set water VALUE"),
     ("tr", "ekranındakinden farklı olabilir", "submeter pulses set water DEĞER")],
)  # fmt: skip
def test_a_register_that_nobody_is_sure_of_asks_for_the_display(language, words, action):
    meter = replace(CALM.meters[0], id="water", label="Su", remarks=("register_unsure", "too_fast"))
    found = told(replace(CALM, meters=(meter,)), language)
    (unsure,) = [notice for notice in found if words in notice.text]
    assert action in unsure.action
    assert len(found) == 2
    assert not told(replace(CALM, meters=(replace(meter, remarks=()),)), language)


OTHER_FAULTS = [
    ("uplink", "unreachable", "expired", "en", ["certificate of its broker has expired", "must be renewed"]),
    ("uplink", "unreachable", "expired", "tr", ["sertifikasının süresi dolmuş", "yenilenmeli"]),
    ("uplink", "unreachable", "wrong_host", "en", ["for another name", "the key `url`"]),
    ("uplink", "unreachable", "wrong_host", "tr", ["başka bir ad", "`url` anahtarı"]),
    (
        "uplink",
        "unreachable",
        "unknown_ca",
        "en",
        ["authority that this gateway does not know", "the key `ca`"],
    ),
    ("uplink", "unreachable", "unknown_ca", "tr", ["tanımadığı bir", "`ca` anahtarı"]),
    ("bus", "bus_down", "permission", "en", ["may not use it", "group dialout", "login console"]),
    ("bus", "bus_down", "permission", "tr", ["kullanma izni yok", "dialout"]),
    ("bus", "bus_down", "in_use", "en", ["another program uses it", "End the other program"]),
    ("bus", "bus_down", "in_use", "tr", ["başka bir program kullanıyor", "Diğer programı"]),
    ("clock", "clock_unset", "", "en", ["right time", "UDP port 123", "timedatectl"]),
    ("clock", "clock_unset", "", "tr", ["doğru saati", "123", "timedatectl"]),
    ("journal", "journal_full", "", "en", ["no room left", "memory card"]),
    ("journal", "journal_full", "", "tr", ["yer kalmadı", "hafıza kartı"]),
    ("uplink", "no_subscriber", "", "en", ["Nobody listens", "not connected"]),
    ("uplink", "no_subscriber", "", "tr", ["dinleyen", "bağlı değil"]),
]


@pytest.mark.parametrize(
    ("error", "cause", "english", "turkish"),
    [
        (
            "/dev/ttyAMA0 cannot be opened: it is in use by agetty (pid 312) → stop the login console "
            "there: sudo systemctl disable --now serial-getty@ttyAMA0.service",
            "in_use",
            ["in use by agetty (pid 312).", "sudo systemctl disable --now serial-getty@ttyAMA0.service."],
            ["kullanımında: agetty (pid 312).", "sudo systemctl disable --now serial-getty@ttyAMA0.service."],
        ),
        (
            "/dev/ttyUSB0 cannot be opened: it is in use by minicom (pid 7) → end that program: "
            "one line has one master",
            "in_use",
            ["in use by minicom (pid 7).", "end that program"],
            ["kullanımında: minicom (pid 7).", "o programı sonlandırın"],
        ),
        (
            "/dev/ttyUSB0 cannot be opened: it is in use by another program → end that program: "
            "one line has one master",
            "in_use",
            ["another program uses it", "End the other program"],
            ["başka bir program kullanıyor", "Diğer programı"],
        ),
        (
            "/dev/ttyUSB0 cannot be opened: permission denied → sudo usermod -aG dialout submeter, then "
            "restart the service (a person logs in anew)",
            "permission",
            ["permission denied.", "sudo usermod -aG dialout submeter, then"],
            ["izin yok.", "sudo usermod -aG dialout submeter, ardından"],
        ),
        (
            "bus line1 is lent to submeter scan → it comes back by itself within 40 s",
            "in_use",
            ["lent to submeter scan.", "→ Wait: it comes back"],
            ["submeter scan komutuna ödünç", "→ Bekleyin"],
        ),
    ],
)
def test_who_holds_a_port_and_what_the_service_lacks_are_named(error, cause, english, turkish) -> None:
    name = SNAPSHOT.buses[0].name
    state, found = ("lent", "bus_lent") if "lent" in error else ("down", "bus_down")
    down = replace(SNAPSHOT, buses=(replace(SNAPSHOT.buses[0], state=state, error=error, cause=cause),))
    finding = StatusFinding("bus", found, "bad", name, details=(cause,))
    for language, words in (("en", english), ("tr", turkish)):
        said = notices.notice(finding, down, Locale(language, "Europe/Istanbul", SNAPSHOT.taken))
        assert all(word in f"{said.text} → {said.action}" for word in words), said


@pytest.mark.parametrize(
    ("count", "english", "turkish"),
    [
        (0, "The line line1 is in use: bus line1 is lent", "line1 hattı kullanımda: "),
        (1, "The meter on the line line1 is not read: ", "line1 hattındaki sayaç okunmuyor: "),
        (2, "The meters on the line line1 are not read: ", "line1 hattındaki sayaçlar okunmuyor: "),
    ],
)
def test_a_line_that_is_lent_names_the_meters_that_it_has(count, english, turkish) -> None:
    error = "bus line1 is lent to submeter scan → it comes back by itself within 40 s"
    line = replace(SNAPSHOT.buses[0], name="line1", label="", state="lent", error=error)
    meters = tuple(replace(METERS[0], id=f"m{n}", bus="line1" if n < count else "line2") for n in range(3))
    now = replace(CALM, buses=(line, replace(line, name="line2", state="open", error="")), meters=meters)
    for language, words in (("en", english), ("tr", turkish)):
        (lent,) = (text for text in texts(now, language) if "submeter scan" in text)
        assert lent.startswith(words)


@pytest.mark.parametrize(("part", "cause", "detail", "language", "words"), OTHER_FAULTS)
def test_what_is_wrong_and_what_to_do_are_named(part, cause, detail, language, words) -> None:
    subject = {"uplink": SNAPSHOT.uplinks[0].name, "bus": SNAPSHOT.buses[0].name}.get(part, "")
    finding = StatusFinding(part, cause, "bad", subject, details=(detail,) if detail else ())
    said = notices.notice(finding, SNAPSHOT, Locale(language, "Europe/Istanbul", SNAPSHOT.taken))
    whole = f"{said.text} → {said.action}"
    assert all(word in whole for word in words), whole


def of(count: int, **more) -> Snapshot:
    """So many meters that answer."""
    return replace(CALM, meters=tuple(replace(METERS[0], id=f"m{n}") for n in range(count)), **more)


BACKLOG = {"backlog_batches": 90, "backlog_readings": 720, "backlog_oldest": NOW - HOUR}


@pytest.mark.parametrize(
    ("count", "language", "said"),
    [
        (1, "en", "The meter answers. What has waited is being delivered"),
        (1, "tr", "Sayaç yanıt veriyor. Bekleyen okumalar iletiliyor"),
        (2, "en", "All 2 meters answer. What has waited is being delivered"),
        (2, "tr", "2 sayacın tümü yanıt veriyor. Bekleyen okumalar iletiliyor"),
        (1200, "en", "All 1,200 meters answer. What has waited is being delivered"),
    ],
)
def test_one_meter_is_not_all_meters_while_a_backlog_is_delivered(count, language, said):
    timed = of(count, uplinks=(link(**BACKLOG, done_at=NOW + 20 * MINUTE),))
    untimed = of(count, uplinks=(link(salvaged=90),))
    assert [judge(now).state for now in (timed, untimed)] == ["delivering", "delivering"]
    assert verdict(timed, language).text.startswith(said)
    assert "19:45" in verdict(timed, language).text
    assert verdict(untimed, language).text == f"{said}."


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "The meter answers; whether it is still the same one is being read."),
        (2, "All meters answer; whether each is still the same one is being read."),
    ],
)
def test_one_meter_that_is_identified_is_one(count, said):
    now = of(count)
    first = replace(now.meters[0], remarks=("unidentified",), since=NOW - 1000)
    assert verdict(replace(now, meters=(first, *now.meters[1:]))).text == said


@pytest.mark.parametrize("state", ["connected", "waiting"])
@pytest.mark.parametrize(
    ("batches", "language", "told"),
    [
        (1, "en", "1 batch of events without readings waits to be delivered."),
        (2, "en", "2 batches of events without readings wait to be delivered."),
        (2, "tr", "Okuma içermeyen, yalnızca olaylardan oluşan 2 paket iletilmeyi bekliyor."),
    ],
)
def test_what_waits_without_readings_is_not_called_zero_readings(state, batches, language, told):
    view = link(state=state, backlog_batches=batches, backlog_readings=0, backlog_oldest=NOW - 5000)
    assert said(view, language) == told
