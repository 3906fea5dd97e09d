"""Every state of every part, and what the verdict must say of it: "in order" is a proof, never what is
left over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from status_building import CALM, HOUR, MINUTE, NOW, value
from verdict_table import GONE, TABLE, bus, journal, meter, uplink, values, waiting

from gateway.model import QUANTITIES
from gateway.status.findings import CAUSES, Level, StatusFinding, VerdictState
from gateway.status.metrics import exposition
from gateway.status.snapshot import (
    BusState,
    ClockView,
    JournalState,
    MeterState,
    MeterView,
    Snapshot,
    UplinkState,
)
from gateway.status.uplink_findings import bound
from gateway.status.verdict import judge
from gateway.status.words import sentences
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale
from gateway.status.words.notices import headline, notice, notices


@pytest.mark.parametrize(
    ("facts", "state", "cause"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_verdict_on(facts: Snapshot, state: VerdictState, cause: str) -> None:
    verdict = judge(facts)
    assert verdict.state == state, verdict.findings
    if cause:
        (found,) = [finding for finding in verdict.findings if finding.cause == cause]
        assert found.level in {"busy", "warn", "bad"}
    else:
        assert {finding.level for finding in verdict.findings} <= {"good", "known"}
    for language in ("en", "tr"):
        f = Locale(language, "Europe/Istanbul", NOW)
        told = headline(verdict, facts, f)
        assert (
            told.level
            == {
                "in_order": "good",
                "starting": "busy",
                "delivering": "busy",
                "attention": "warn",
                "trouble": "bad",
            }[state]
        )
        assert all(
            (item.text and item.action) or item.text in facts.problems for item in notices(verdict, facts, f)
        )
    assert f'submeter_verdict{{state="{state}"}} 1.0' in exposition(facts).decode()


def tried(kind: str) -> set[str]:
    """The states of a part that the table has."""
    return {
        "meter": {view.state for _, facts, *_ in TABLE for view in facts.meters},
        "bus": {view.state for _, facts, *_ in TABLE for view in facts.buses},
        "journal": {facts.journal.state for _, facts, *_ in TABLE},
        "uplink": {view.state for _, facts, *_ in TABLE for view in facts.uplinks},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "states"),
    [("meter", MeterState), ("bus", BusState), ("journal", JournalState), ("uplink", UplinkState)],
)
def test_every_state_of_every_part_is_in_the_table(kind: str, states) -> None:
    assert tried(kind) == set(get_args(states))


def test_every_cause_is_in_the_table() -> None:
    found = {finding.cause for _, facts, *_ in TABLE for finding in judge(facts).findings}
    assert found | {"unproven", "meter_on_lost_bus", "values_refused"} >= set(CAUSES)


@pytest.mark.parametrize("state", ["whatever", "", "OK"])
def test_a_state_that_nobody_knows_is_never_in_order(state: str) -> None:
    for facts in (meter(state=state), bus(state=state), journal(state=state), uplink(state=state)):
        with pytest.raises(AssertionError):
            judge(facts)


def test_a_part_that_was_not_looked_at_is_no_all_clear(monkeypatch) -> None:
    monkeypatch.setattr(
        "gateway.status.verdict.uplink_findings",
        lambda view, now: [StatusFinding("uplink", "delivered", "good", "another")],
    )
    verdict = judge(CALM)
    assert verdict.state == "attention"
    assert [finding.subject for finding in verdict.findings if finding.cause == "unproven"] == ["city"]


def test_every_cause_has_words_in_both_languages() -> None:
    lossy = journal(thinned=3, thinned_readings=24, thinned_at=NOW - HOUR, lost=3)
    for cause in CAUSES:
        for part, subject in (
            ("meter", "main"),
            ("bus", "line1"),
            ("journal", ""),
            ("uplink", "city"),
            ("clock", ""),
            ("gateway", "loop"),
        ):
            for language in ("en", "tr"):
                finding = StatusFinding(part, cause, "warn", subject, 3, NOW, ("active_power", "city"))
                assert notice(finding, lossy, Locale(language, "Europe/Istanbul", NOW)).text


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (
            NOW - HOUR - 9_000,
            NOW - HOUR,
            (" (between 18:24:51 and 18:25:00) ", "(18:24:51 ile 18:25:00 arası) geri"),
        ),
        (NOW - 3 * HOUR, NOW - 2 * HOUR, (" (between 16:25 and 17:25) ", "(16:25 ile 17:25 arası) geri")),
        (None, NOW - 2 * HOUR, (" (before 17:25) ", "(17:25 öncesi) geri")),
        (NOW - 3 * HOUR, None, (" (after 16:25) ", "(16:25 sonrası) geri")),
        (None, None, ("1,200 stored batches could not", "Saklanmış 1.200 paket geri")),
    ],
)
def test_what_was_lost_for_good_is_said_with_its_time(since, until, said) -> None:
    facts = journal(lost=1_200, lost_since=since, lost_until=until, lost_at=NOW - HOUR)
    for language, part in zip(("en", "tr"), said, strict=True):
        (told,) = notices(judge(facts), facts, Locale(language, "Europe/Istanbul", NOW))
        assert part in told.text
        assert {"en": "1,200", "tr": "1.200"}[language] in told.text
    assert "submeter_journal_lost_batches 1200.0" in exposition(facts).decode()


def test_what_is_late_follows_the_slot_and_is_never_less_than_a_minute() -> None:
    assert bound(CALM) == 60_000
    assert bound(journal(slot=60.0)) == 180_000
    patient = replace(
        waiting(oldest=NOW - 150_000, last_receipt=NOW), journal=replace(CALM.journal, slot=60.0)
    )
    assert judge(patient).state == "in_order"


def test_the_time_until_which_a_backlog_is_delivered_is_in_the_headline() -> None:
    facts = waiting(done_at=NOW + 20 * MINUTE)
    verdict = judge(facts)
    assert verdict.until == NOW + 20 * MINUTE
    assert "until about 19:45" in headline(verdict, facts, Locale("en", "Europe/Istanbul", NOW)).text
    assert "19:45" in headline(verdict, facts, Locale("tr", "Europe/Istanbul", NOW)).text


def test_a_line_that_is_lost_explains_its_meters() -> None:
    facts = replace(
        bus(state="down", error="gone"),
        meters=tuple(replace(view, state="lost", missing="timeout") for view in CALM.meters),
    )
    troubles = judge(facts).troubles
    assert [(finding.part, finding.cause) for finding in troubles if finding.part in {"bus", "meter"}] == [
        ("bus", "bus_down")
    ]


RECEIPTS, STATE = "submeter/v1/x/receipt/city", "submeter/v1/x/state"


@pytest.mark.parametrize(
    ("facts", "causes"),
    [
        (waiting(set_aside=3, in_vain=5.0), {"batches_set_aside"}),
        (replace(waiting(), uplinks=(replace(waiting().uplinks[0], set_aside=60),)), {"batches_set_aside"}),
        (waiting(set_aside=3, silent=("city",)), {"batches_set_aside", "no_receipt"}),
        (waiting(set_aside=3, receipts=False), {"batches_set_aside", "not_delivered"}),
        (waiting(set_aside=3, cause="not_authorized"), {"refused"}),
        (waiting(set_aside=3, cause="no_subscribers"), {"no_subscriber"}),
        (waiting(set_aside=3, refused_topics=(STATE,), in_vain=5.0), {"batches_set_aside", "topic_refused"}),
        (waiting(refused_topics=(STATE,), in_vain=5.0), {"topic_refused"}),
        (waiting(refused_topics=(STATE,), silent=("city",)), {"topic_refused", "no_receipt"}),
        (waiting(refused_topics=(STATE,), cause="not_authorized"), {"topic_refused", "refused"}),
        (waiting(refused_topics=(RECEIPTS,), silent=("city",)), {"topic_refused"}),
        (waiting(refused_topics=(RECEIPTS,)), {"topic_refused"}),
        (waiting(refused_topics=(RECEIPTS,), silent=("mirror",)), {"topic_refused", "no_receipt"}),
        (waiting("waiting", set_aside=3, refused_topics=(STATE,), left_out=(STATE,)), {"unreachable"}),
        (waiting(set_aside=3, left_out=(STATE,), in_vain=5.0), {"batches_set_aside", "message_left_out"}),
        (waiting(left_out=(STATE,), silent=("city",)), {"message_left_out", "no_receipt"}),
    ],
)
def test_one_trouble_of_a_platform_hides_no_other(facts: Snapshot, causes: set[str]) -> None:
    verdict = judge(facts)
    assert {finding.cause for finding in verdict.findings if finding.part == "uplink"} == causes
    assert all(f'cause="{cause}"' in exposition(facts).decode() for cause in causes)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (waiting("connecting", since=NOW - 5_000), ("the connection to the platform", "bağlantı kuruluyor")),
        (
            waiting(in_vain=5.0, last_receipt=None),
            ("has confirmed nothing since the start", "başlangıçtan beri bir şey onaylamadı"),
        ),
        (
            replace(journal(newest=NOW - HOUR), uptime=20.0, uplinks=()),
            ("nothing has been stored since the start", "başlangıçtan beri bir şey kaydedilmedi"),
        ),
    ],
)
def test_what_is_waited_for_while_it_starts_is_said(facts: Snapshot, said: tuple[str, str]) -> None:
    assert judge(facts).state == "starting"
    for language, words in zip(("en", "tr"), said, strict=True):
        assert words in headline(judge(facts), facts, Locale(language, "Europe/Istanbul", NOW)).text


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            uplink(state="waiting", since=NOW - 5_000, protocol="5.0"),
            ("connection to the platform was lost and is being made again", "koptu, yeniden kuruluyor"),
        ),
        (
            waiting("waiting", since=NOW - 5_000, oldest=NOW - 5_000, protocol="5.0"),
            ("connection to the platform was lost and is being made again", "koptu, yeniden kuruluyor"),
        ),
        (
            waiting(since=NOW - 5_000, in_vain=5.0),
            ("has not confirmed yet what has waited for it", "bekleyen okumaları henüz onaylamadı"),
        ),
        (bus(state="down", error="", since=NOW - 5_000), ("A line is being opened", "Bir hat açılıyor")),
        (
            waiting(held=60),
            ("What waits for the right time is delivered as soon as", "öğrenilir öğrenilmez iletilir"),
        ),
    ],
)
def test_what_ran_before_is_not_said_to_start(facts: Snapshot, said: tuple[str, str]) -> None:
    assert judge(facts).state in {"starting", "delivering"}
    for language, words in zip(("en", "tr"), said, strict=True):
        f = Locale(language, "Europe/Istanbul", NOW)
        told = headline(judge(facts), facts, f).text
        assert words in told
        assert not told.startswith(("Starting", "Başlıyor"))
        assert {"en": "All 2 meters answer.", "tr": "2 sayacın tümü yanıt veriyor."}[language] in told
        assert {"en": "being delivered", "tr": "iletiliyor"}[language] not in told


NONE = ("no connection", "bağlantı yok")


@pytest.mark.parametrize(
    ("fields", "said", "unsaid"),
    [
        ({"state": "waiting", "protocol": "5.0"}, ("connection lost", "bağlantı koptu"), ()),
        ({"state": "waiting"}, ("not reachable", "ulaşılamıyor"), ("lost", "koptu")),
        ({"state": "refused", "cause": "credentials"}, ("refuses us", "bizi reddediyor"), ()),
        ({"state": "refused", "cause": "unknown_ca"}, NONE, ("refuses", "reddediyor")),
        ({"state": "refused", "cause": "own_files"}, NONE, ("refuses", "reddediyor")),
        ({"state": "taken over", "cause": "taken_over"}, ("by another", "başka bir"), ("perhaps", "belki")),
        ({"state": "taken over", "cause": "taken_over_perhaps"}, ("perhaps by", "belki başka bir"), ()),
    ],
)  # fmt: skip
def test_a_platform_is_accused_of_nothing_that_is_not_known(fields, said, unsaid) -> None:
    facts = uplink(**fields)
    for at, language in enumerate(("en", "tr")):
        told = Words(Locale(language, "Europe/Istanbul", NOW)).uplink_state(facts.uplinks[0])
        assert said[at] in told
        assert not unsaid or unsaid[at] not in told


def test_that_another_gateway_has_our_name_is_said_only_where_it_is_known() -> None:
    for language, sure in (("en", "uses the name of this one"), ("tr", "bunun adını kullanıyor")):
        f = Locale(language, "Europe/Istanbul", NOW)
        known = uplink(state="taken over", cause="taken_over")
        perhaps = uplink(state="taken over", cause="taken_over_perhaps")
        (told,), (guessed,) = notices(judge(known), known, f), notices(judge(perhaps), perhaps, f)
        assert sure in told.text
        assert sure not in guessed.text
        assert {"en": "perhaps", "tr": "belki"}[language] in guessed.text
        assert told.action == guessed.action


def test_a_file_of_our_own_is_not_the_operators() -> None:
    facts = uplink(state="refused", cause="own_files")
    for language, firm, operator in (
        ("en", "maintenance firm", "operator"),
        ("tr", "Bakım firmasına", "işletme"),
    ):
        (told,) = notices(judge(facts), facts, Locale(language, "Europe/Istanbul", NOW))
        assert firm in told.action
        assert operator not in told.action
        assert "submeter check --here" in told.action
        # Root's check sees the file that the service was not handed over at its start.
        assert "sudo systemctl restart submeter-gateway" in told.action


@pytest.mark.parametrize(
    ("cause", "why", "action"),
    [
        (
            "too_large",
            ("larger than its broker allows", "izin verdiğinden büyük"),
            ("larger messages", "daha büyük iletilere"),
        ),
        (
            "payload",
            ("does not allow what a message holds", "içeriğine izin vermiyor"),
            ("the platform's operator", "işletmecisine"),
        ),
    ],
)
def test_why_batches_are_set_aside_is_said_and_what_mends_that(cause, why, action) -> None:
    facts = uplink(set_aside=3, set_aside_cause=cause, left_out=("submeter/v1/x/meters",))
    for language, reason, mend in zip(("en", "tr"), why, action, strict=True):
        told, beside = notices(judge(facts), facts, Locale(language, "Europe/Istanbul", NOW))
        assert reason in told.text
        assert mend in told.action
        assert ("larger" in told.action or "büyük" in told.action) == (cause == "too_large")
        assert "submeter/v1/x/meters" in beside.text


@pytest.mark.parametrize("language", ["en", "tr"])
def test_not_all_meters_answer_while_one_has_not_been_polled_yet(language: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    new = replace(
        meter(state="starting", values=(), age=None, since=NOW - 5_000),
        uplinks=waiting(done_at=NOW + HOUR).uplinks,
    )
    assert judge(new).state == "delivering"
    told = headline(judge(new), new, f).text
    assert {"en": "have answered", "tr": "yanıt verdi"}[language] in told
    assert headline(judge(waiting(done_at=NOW + HOUR)), CALM, f).text != told


@pytest.mark.parametrize(("language", "said"), [("en", "left out"), ("tr", "dışarıda")])
def test_a_platform_that_does_not_take_all_is_not_said_to_have_everything(language: str, said: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    live = uplink(skipped=1200)
    text = sentences.uplink(live, live.uplinks[0], f)
    assert said in text
    assert f.whole(1200) in text
    assert said not in sentences.uplink(CALM, CALM.uplinks[0], f)


def test_levels_are_sorted_the_worst_first() -> None:
    facts = replace(
        values(("frequency", GONE)),
        clock=ClockView(synced=False),
        uplinks=(replace(CALM.uplinks[0], state="refused"),),
    )
    levels = [finding.level for finding in judge(facts).findings]
    assert levels == sorted(levels, key=lambda level: -get_args(Level).index(level))
    assert levels[0] == "bad"


def test_heat_and_water_meters_are_whole_by_their_own_counter() -> None:
    water = MeterView(
        "water",
        "Su",
        "answering",
        "line1",
        5,
        "x",
        values=(value("volume", 12.0), value("temperature_flow", 60.0)),
    )
    assert judge(replace(CALM, meters=(water,))).state == "in_order"
    dry = replace(
        water, state="partial", values=(replace(water.values[0], absent="timeout"), water.values[1])
    )
    assert [finding.cause for finding in judge(replace(CALM, meters=(dry,))).troubles] == [
        "main_values_missing"
    ]
    assert "volume" in QUANTITIES


def test_the_counter_of_a_meter_that_gives_is_what_it_gave() -> None:
    views = (
        value("active_power", -3.0),
        value("active_energy_import", 4.0),
        value("active_energy_export", 900.0, absent="timeout"),
    )
    roof = MeterView("roof", "Güneş", "partial", "line1", 5, "x", values=views)
    assert [finding.cause for finding in judge(replace(CALM, meters=(roof,))).troubles] == [
        "main_values_missing"
    ]


@pytest.mark.parametrize(
    ("days", "synced", "found"),
    [
        (31, True, []),
        (29, True, [("certificate_ends", "warn")]),
        (-1, True, [("certificate_ended", "bad")]),
        (-1, False, []),
    ],
)
@pytest.mark.parametrize(("language", "word"), [("tr", "sertifika"), ("en", "certificate")])
def test_a_certificate_that_ends_is_told_by_a_right_clock(days, synced, found, language, word):
    ends = uplink(certificate_ends=NOW + days * 24 * HOUR)
    now = replace(ends, clock=replace(ends.clock, synced=synced))
    judged = [(each.cause, each.level) for each in judge(now).findings]
    assert [each for each in judged if each[0].startswith("certificate")] == found
    told = notices(judge(now), now, Locale(language, now.timezone, now.taken))
    assert any(word in each.text for each in told) == bool(found)


@pytest.mark.parametrize(
    ("buses", "texts"),
    [
        (("line1",) * 3, ["line1", "3"]),
        (("line1", "line1", "line2"), ["line1", "2"]),
        (("line1", "line2", ""), []),
    ],
)
@pytest.mark.parametrize("language", ["en", "tr"])
def test_old_numbers_of_several_meters_of_a_line_are_one_trouble_of_the_line(buses, texts, language) -> None:
    """The oldest of them is told; a meter that is alone with it is told by its name."""
    old = [
        replace(
            CALM.meters[0], id=f"m{at}", label=f"Meter {at}", bus=bus,
            values=(value("active_power", 1.0, 900.0 + 600 * at), value("active_energy_import", 1.0, 5.0)),
        )
        for at, bus in enumerate(buses)
    ]  # fmt: skip
    facts = replace(CALM, meters=tuple(old), buses=())
    f = Locale(language, "Europe/Istanbul", NOW)
    verdict = judge(facts)
    assert sum(finding.cause == "values_old" for finding in verdict.troubles) == 3
    told = [
        each for each in notices(verdict, facts, f) if {"en": " old ", "tr": " eski "}[language] in each.text
    ]
    together = buses.count("line1")
    assert len(told) == (1 + 3 - together if together > 1 else 3)
    if texts:
        (line,) = [each for each in told if each.link == "/system"]
        assert all(text in line.text for text in texts)
        assert f.ago(900 + 600 * (together - 1)) in line.text
    assert all("submeter plan" in each.action for each in told)


@pytest.mark.parametrize("language", ["en", "tr"])
def test_a_platform_that_is_away_is_not_called_one_that_might_be(language: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    near, away = journal(room_days=3.0), replace(waiting("waiting"), journal=journal(room_days=3.0).journal)
    supposed = {"en": "if the platform were away now", "tr": "platforma şimdi ulaşılamasa"}[language]
    for facts, said in ((near, True), (away, False)):
        (told,) = [one for one in notices(judge(facts), facts, f) if "journal.budget" in one.action]
        assert (supposed in told.text) == said


@pytest.mark.parametrize("language", ["en", "tr"])
def test_who_has_lost_something_is_not_told_that_everything_was_delivered(language: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    lossy = journal(lost=12, lost_at=NOW - HOUR)
    whole, told = (sentences.uplink(facts, facts.uplinks[0], f) for facts in (CALM, lossy))
    assert {"en": "Everything stored has been delivered", "tr": "Kaydedilen her şey iletildi"}[
        language
    ] in whole
    assert {"en": "could be read back", "tr": "geri okunabilen"}[language] in told
    old = journal(lost=12, lost_at=NOW - 8 * 24 * HOUR)
    assert sentences.uplink(old, old.uplinks[0], f) == whole


BARRED = (
    "journal.directory belongs to root and may not be written by the user submeter → sudo chown -R submeter: "
    "journal.directory (was the gateway started by hand as another user?); readings wait in memory until then"
)


@pytest.mark.parametrize("language", ["en", "tr"])
def test_a_store_of_another_user_is_no_broken_card_and_who_gives_it_back_is_said(language: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    barred = journal(state="failed", cause="permission", error=BARRED)
    (told,) = notices(judge(barred), barred, f)
    assert "root" in told.text
    assert "sudo chown -R submeter: journal.directory" in told.action
    assert {"en": "may not be written", "tr": "yazamaz"}[language] in told.text
    broken = journal(state="failed", error="disk I/O error")
    assert "chown" not in notices(judge(broken), broken, f)[0].action


@pytest.mark.parametrize("language", ["en", "tr"])
def test_nothing_is_called_stored_as_usual_while_nothing_is_stored(language: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    usual = {"en": "Readings are stored and sent as usual", "tr": "her zamanki gibi"}[language]
    for state, said in (("ok", True), ("failed", False), ("full", False)):
        facts = replace(journal(state=state), history="history.db cannot be opened → install it again")
        (told,) = [each for finding in judge(facts).findings if finding.cause == "history_failed"
                   for each in [notice(finding, facts, f)]]  # fmt: skip
        assert (usual in told.text) == said


@pytest.mark.parametrize("language", ["en", "tr"])
def test_a_pulse_input_that_does_not_count_has_no_data_cable(language: str) -> None:
    f = Locale(language, "Europe/Istanbul", NOW)
    why = "this machine has no GPIO: it is not a Raspberry Pi"
    error = f"{why} → move what is wired to pins to a gateway that is one"
    lost = meter(state="lost", bus="", address=None, missing="not_available", error=error)
    (told,) = notices(judge(lost), lost, f)
    assert {"en": "its pulses are not counted: this machine has no GPIO", "tr": "darbeleri sayılmıyor"}[
        language
    ] in told.text
    assert {"en": "move what is wired to pins", "tr": "pinlere"}[language] in told.action
    assert "Raspberry Pi" in told.text
    assert {"en": "data cable", "tr": "veri kablosu"}[language] not in told.action
