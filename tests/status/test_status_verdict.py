"""Every state of every part, and what the verdict must say of it: "in order" is a proof, never what is
left over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from status_building import BUSES, CALM, HOUR, MINUTE, NOW, value

from gateway.model import QUANTITIES
from gateway.status.findings import CAUSES, Level, State, StatusFinding
from gateway.status.metrics import exposition
from gateway.status.snapshot import (
    Beat,
    BusState,
    ClockView,
    JournalState,
    MeterState,
    MeterView,
    Snapshot,
    UpgradeView,
    UplinkState,
)
from gateway.status.verdict import bound, judge
from gateway.status.words import sentences
from gateway.status.words.language import Locale
from gateway.status.words.notices import headline, notice, notices

LATE = NOW - 10 * MINUTE
FRESH = NOW - 5_000


def meter(**fields) -> Snapshot:
    return replace(CALM, meters=(replace(CALM.meters[0], **fields), *CALM.meters[1:]))


def values(*changes: tuple[str, dict]) -> Snapshot:
    """The first meter with some of its values changed."""
    wanted = dict(changes)
    views = tuple(replace(view, **wanted.get(view.quantity, {})) for view in CALM.meters[0].values)
    return meter(values=views, state="partial")


def bus(**fields) -> Snapshot:
    return replace(CALM, buses=(replace(BUSES[0], **fields), BUSES[1]))


def journal(**fields) -> Snapshot:
    return replace(CALM, journal=replace(CALM.journal, **fields))


def uplink(**fields) -> Snapshot:
    return replace(CALM, uplinks=(replace(CALM.uplinks[0], **fields),))


def waiting(
    state: UplinkState = "connected", since: int = LATE - HOUR, oldest: int = LATE, **fields
) -> Snapshot:
    return uplink(
        state=state, since=since, backlog_batches=60, backlog_readings=480, backlog_oldest=oldest, **fields
    )


def all_lost(reason: str) -> Snapshot:
    return replace(
        CALM, meters=tuple(replace(view, state="lost", missing=reason, bus="line1") for view in CALM.meters)
    )


def upgraded(outcome: str, *, days: float = 1, after: str = "0.2.0") -> Snapshot:
    at = None if outcome == "trial" else NOW - int(days * 24) * HOUR
    return replace(CALM, upgrade=UpgradeView("a1", outcome, "0.1.0", after, "it was not ready", at))


GONE = {"absent": "timeout"}
ODD = {"value": None, "absent": "implausible"}
NEVER = {"value": None, "absent": "exception_2"}
EVERYTHING_BUT_POWER = [
    (view.quantity, NEVER)
    for view in CALM.meters[0].values
    if view.quantity not in {"active_power", "active_energy_import"}
]
YOUNG = {"uptime": 20.0}

TABLE: list[tuple[str, Snapshot, State, str]] = [
    # what                                   facts                                                  verdict
    # cause
    ("all is well", CALM, "in_order", ""),
    (
        "two uplinks, both delivered",
        replace(CALM, uplinks=(CALM.uplinks[0], replace(CALM.uplinks[0], name="mirror"))),
        "in_order",
        "",
    ),
    ("no uplink is wanted", replace(CALM, uplinks=()), "in_order", ""),
    ("no meter", replace(CALM, meters=()), "attention", "no_meters"),
    (
        "only switched off meters",
        replace(CALM, meters=(replace(CALM.meters[0], state="disabled"),)),
        "attention",
        "no_meters",
    ),
    # meters
    (
        "a meter has not been polled, just started",
        replace(meter(state="starting", values=(), age=None), **YOUNG),
        "starting",
        "meter_starting",
    ),
    (
        "a meter has not been polled for an hour",
        meter(state="starting", values=(), age=None),
        "attention",
        "meter_not_polled",
    ),
    ("a meter is silent", meter(state="lost", missing="timeout", since=LATE), "trouble", "meter_silent"),
    (
        "a meter's replies are damaged",
        meter(state="lost", missing="bad_frame", since=LATE),
        "trouble",
        "meter_damaged",
    ),
    (
        "a meter refuses everything",
        meter(state="lost", missing="exception_2", since=LATE),
        "trouble",
        "meter_refusing",
    ),
    (
        "a converter does not reach its meter",
        meter(state="lost", missing="exception_11", since=LATE),
        "trouble",
        "meter_unreachable",
    ),
    ("a reason that nobody knows", meter(state="lost", missing="", since=LATE), "trouble", "meter_silent"),
    ("one value that was there is missing", values(("frequency", GONE)), "attention", "values_missing"),
    ("the energy is missing", values(("active_energy_import", GONE)), "trouble", "main_values_missing"),
    ("the power is missing", values(("active_power", GONE)), "trouble", "main_values_missing"),
    ("one value was always refused", values(("frequency", NEVER)), "in_order", ""),
    ("a fifth of the table is refused", values(*EVERYTHING_BUT_POWER[:4]), "attention", "table_doubtful"),
    (
        "the whole table but the power is refused",
        values(*EVERYTHING_BUT_POWER),
        "attention",
        "table_doubtful",
    ),
    ("the energy was always refused", values(("active_energy_import", NEVER)), "trouble", "table_doubtful"),
    (
        "most of its values are beyond what is possible",
        values(*((view.quantity, ODD) for view in CALM.meters[0].values)),
        "trouble",
        "values_impossible",
    ),
    (
        "some of its values were never possible, and none of the main ones",
        values(*((name, ODD) for name, _ in EVERYTHING_BUT_POWER if name.startswith("voltage"))),
        "attention",
        "values_impossible",
    ),
    (
        "a value was never possible, and the energy is missing",
        values(("frequency", ODD), ("active_energy_import", GONE)),
        "trouble",
        "main_values_missing",
    ),
    (
        "a value that it gave before a restart is refused now",
        values(("frequency", {**NEVER, "given": True})),
        "attention",
        "values_missing",
    ),
    (
        "what comes in place of its answers is no frame",
        meter(state="lost", missing="timeout", damaged=True, since=LATE),
        "trouble",
        "meter_damaged",
    ),
    ("a meter answers and gives nothing", meter(values=()), "attention", "table_doubtful"),
    (
        "its numbers are old",
        meter(values=(value("active_power", 1.0, 900.0), value("active_energy_import", 1.0, 5.0))),
        "attention",
        "values_old",
    ),
    (
        "a value is doubtful",
        meter(values=(value("active_power", 1.0), value("active_energy_import", 1.0, suspect=True))),
        "attention",
        "values_doubtful",
    ),
    ("it is another model than its table", meter(stranger=("3:0 = 5", "7 / 9")), "attention", "other_model"),
    (
        "it does not have the register of its model",
        meter(nameless="3:64514"),
        "attention",
        "identity_refused",
    ),
    (
        "it is another model, and refuses most of the table: said once",
        replace(
            values(*EVERYTHING_BUT_POWER, ("active_power", NEVER)),
            meters=(
                replace(
                    values(*EVERYTHING_BUT_POWER, ("active_power", NEVER)).meters[0],
                    stranger=("3:0 = 5", "7"),
                ),
                *CALM.meters[1:],
            ),
        ),
        "trouble",
        "other_model",
    ),
    ("another meter answers in its place", meter(exchanged=("11", "22")), "attention", "meter_changed"),
    ("it is being exchanged", meter(remarks=("being_swapped",)), "attention", "meter_being_swapped"),
    ("pulses come too fast", meter(remarks=("too_fast",)), "attention", "pulses_too_fast"),
    ("a register lost its past", meter(remarks=("register_unsure",)), "attention", "register_unsure"),
    # lines
    (
        "a line is being opened",
        replace(bus(state="down", error="", since=FRESH), **YOUNG),
        "starting",
        "bus_opening",
    ),
    (
        "a line is being opened for an hour",
        bus(state="down", error="", since=NOW - HOUR),
        "trouble",
        "bus_down",
    ),
    ("a line cannot be opened", bus(state="down", error="in use", cause="in_use"), "trouble", "bus_down"),
    ("a line is not used yet", bus(state="idle"), "in_order", ""),
    ("every meter of a line is silent", all_lost("timeout"), "trouble", "bus_silent"),
    ("every reply of a line is damaged", all_lost("bad_frame"), "trouble", "bus_damaged"),
    # the store
    ("the card is full", journal(state="full"), "trouble", "journal_full"),
    ("the card fails", journal(state="failed"), "trouble", "journal_failed"),
    ("the store is of a newer version", journal(state="newer"), "trouble", "journal_newer"),
    ("a damaged file is read back", journal(state="salvaging"), "attention", "journal_salvaging"),
    ("nothing is stored although meters answer", journal(newest=LATE), "trouble", "journal_late"),
    ("nothing was ever stored", journal(newest=None), "trouble", "journal_late"),
    ("nothing is stored yet", replace(journal(newest=None), **YOUNG), "starting", "journal_starting"),
    ("readings were lost", journal(not_taken=1), "trouble", "readings_lost"),
    (
        "readings were lost, and the disk takes them again",
        journal(not_taken=40, let_go=40, let_go_at=NOW - HOUR),
        "attention",
        "readings_lost",
    ),
    (
        "readings were lost before a restart",
        journal(let_go=40, let_go_at=NOW - HOUR),
        "attention",
        "readings_lost",
    ),
    (
        "readings were lost before a restart, and the disk is full again",
        journal(let_go=40, let_go_at=NOW - HOUR, state="full"),
        "trouble",
        "readings_lost",
    ),
    (
        "readings were lost eight days ago",
        journal(not_taken=40, let_go=40, let_go_at=NOW - 8 * 24 * HOUR),
        "in_order",
        "",
    ),
    (
        "readings had to make room",
        journal(thinned=3, thinned_readings=24, thinned_at=NOW - HOUR),
        "attention",
        "readings_thinned",
    ),
    (
        "readings had to make room long ago",
        journal(thinned=3, thinned_readings=24, thinned_at=NOW - 30 * 24 * HOUR),
        "in_order",
        "",
    ),
    (
        "a damaged file cost batches",
        journal(lost=12, lost_since=NOW - 3 * HOUR, lost_until=NOW - 2 * HOUR, lost_at=NOW - HOUR),
        "attention",
        "batches_lost",
    ),
    (
        "a damaged file cost batches, nobody knows when",
        journal(lost=12),
        "attention",
        "batches_lost",
    ),
    (
        "a damaged file cost batches eight days ago",
        journal(lost=12, lost_at=NOW - 8 * 24 * HOUR),
        "in_order",
        "",
    ),
    ("room for three days", journal(room_days=3.0), "attention", "room_short"),
    ("room for three hours", journal(room_days=0.125), "trouble", "room_short"),
    ("room for three days, and that is enough", journal(room_days=3.0, warn_days=2.0), "in_order", ""),
    ("the card is full and says so once", journal(state="full", room_days=0.0), "trouble", "journal_full"),
    ("nobody knows how much room there is", journal(room_days=None), "in_order", ""),
    # platforms
    (
        "a connection is being made",
        waiting("connecting", since=FRESH, oldest=FRESH),
        "starting",
        "connecting",
    ),
    ("nothing has begun yet", waiting("idle", since=FRESH, oldest=FRESH), "starting", "connecting"),
    (
        "a connection is being made for an hour",
        waiting("connecting", since=NOW - HOUR),
        "attention",
        "unreachable",
    ),
    (
        "a connection broke, nothing waits long",
        waiting("waiting", since=FRESH, oldest=FRESH),
        "starting",
        "connecting",
    ),
    ("a platform is away", waiting("waiting"), "attention", "unreachable"),
    (
        "the broker hangs up at each batch, and a new connection is a moment old",
        waiting(since=FRESH, hangs_up=True),
        "trouble",
        "refused",
    ),
    (
        "the broker hangs up at each batch, between two connections",
        waiting("waiting", since=FRESH, cause="ended", hangs_up=True),
        "trouble",
        "refused",
    ),
    ("what is late is configured", waiting(since=NOW - HOUR, late_after=3600.0), "in_order", ""),
    (
        "what is late is configured, and it is later",
        waiting(oldest=NOW - HOUR - MINUTE, late_after=3600.0),
        "trouble",
        "no_receipt",
    ),
    (
        "a platform is away, nothing waits yet",
        uplink(state="waiting", since=LATE),
        "attention",
        "unreachable",
    ),
    (
        "a platform is away and room is short",
        replace(waiting("waiting"), journal=replace(CALM.journal, room_days=2.0)),
        "trouble",
        "unreachable",
    ),
    ("the broker refuses the connection", uplink(state="refused", cause="credentials"), "trouble", "refused"),
    ("another gateway has our name", uplink(state="taken over"), "trouble", "id_taken"),
    ("an uplink has stopped", uplink(state="stopped"), "trouble", "stopped"),
    ("the newest are on their way", waiting(oldest=FRESH), "in_order", ""),
    (
        "nothing was ever confirmed, and something waits",
        waiting(oldest=FRESH, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    (
        "connected a moment ago, nothing was confirmed yet",
        uplink(since=FRESH, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    (
        "connected a moment ago, without receipts, nothing was delivered yet",
        uplink(since=FRESH, receipts=False, last_receipt=None),
        "starting",
        "first_delivery",
    ),
    ("connected for an hour, and there was nothing to deliver", uplink(last_receipt=None), "in_order", ""),
    ("the broker refuses every batch", waiting(cause="not_authorized"), "trouble", "refused"),
    (
        "the program behind the broker is dead",
        waiting(last_receipt=LATE, silent=("city",)),
        "trouble",
        "no_receipt",
    ),
    ("confirmations stay away, nobody named", waiting(last_receipt=LATE), "trouble", "no_receipt"),
    (
        "nobody listens at the broker",
        waiting(cause="no_subscribers", receipts=False),
        "trouble",
        "no_subscriber",
    ),
    ("the broker takes nothing and says nothing", waiting(receipts=False), "trouble", "not_delivered"),
    ("a certificate ends", uplink(certificate_ends=NOW + 24 * HOUR), "attention", "certificate_ends"),
    ("a certificate has ended", uplink(certificate_ends=NOW - HOUR), "trouble", "certificate_ended"),
    ("a batch is too large for the broker", uplink(set_aside=1), "trouble", "batches_set_aside"),
    (
        "we may not hear the receipts",
        uplink(refused_topics=("submeter/v1/x/receipt/city",)),
        "trouble",
        "topic_refused",
    ),
    (
        "batches of a damaged file wait beside an empty backlog",
        uplink(salvaged=12),
        "delivering",
        "delivering",
    ),
    ("a backlog shrinks", waiting(done_at=NOW + 20 * MINUTE), "delivering", "delivering"),
    (
        "a backlog shrinks because room was made, and all is refused",
        waiting(done_at=NOW + 20 * MINUTE, cause="not_authorized"),
        "trouble",
        "refused",
    ),
    (
        "a connection was made a moment ago, a backlog waits",
        waiting(since=FRESH),
        "starting",
        "first_delivery",
    ),
    (
        "a connection was made, its begin is put off",
        waiting(since=NOW - 90_000, spread=60.0),
        "starting",
        "first_delivery",
    ),
    (
        "a connection was made, its begin was put off long enough",
        waiting(since=NOW - 150_000, spread=60.0),
        "trouble",
        "no_receipt",
    ),
    (
        "batches wait for the clock",
        replace(waiting(held=60), clock=ClockView(synced=True)),
        "delivering",
        "held_for_clock",
    ),
    (
        "one of two platforms takes nothing",
        replace(CALM, uplinks=(CALM.uplinks[0], replace(waiting().uplinks[0], name="mirror"))),
        "trouble",
        "no_receipt",
    ),
    # the rest
    ("the clock is not set", replace(CALM, clock=ClockView(synced=False)), "attention", "clock_unset"),
    ("a part stands still", replace(CALM, beats=(Beat("journal", 99.0, 60.0),)), "trouble", "part_stopped"),
    (
        "a reload was refused",
        replace(CALM, refused=2, problems=("it was not taken over",), in_short=1),
        "attention",
        "reload_refused",
    ),
    (
        "it was started with what a reload refuses",
        replace(CALM, mistakes=1, problems=("a line",), in_short=1),
        "attention",
        "mistakes",
    ),
    (
        "the daemon has something to say",
        replace(CALM, problems=("gateway.yaml was not taken over",)),
        "attention",
        "told_by_daemon",
    ),
    ("a version is on trial", upgraded("trial"), "in_order", ""),
    ("a version was kept", upgraded("kept"), "in_order", ""),
    ("a version was taken back", upgraded("taken back"), "attention", "upgrade_taken_back"),
    ("it was taken back eight days ago", upgraded("taken back", days=8), "in_order", ""),
    ("neither version is whole", upgraded("failed"), "attention", "upgrade_failed"),
    ("a package was refused", upgraded("not installed", after=""), "attention", "upgrade_failed"),
]


@pytest.mark.parametrize(
    ("facts", "state", "cause"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_verdict_on(facts: Snapshot, state: State, cause: str) -> None:
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
        "gateway.status.verdict._uplink",
        lambda view, now: StatusFinding("uplink", "delivered", "good", "another"),
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
