"""The snapshot's views of journal and uplinks, and what the pages of energy are told of the building."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config import Config, parse_config
from gateway.daemon import views
from gateway.daemon.describe import building_facts
from gateway.journal import JournalStats, SalvageProgress
from gateway.uplink import UplinkStats

NOW = 1_795_278_300_000
STATS = JournalStats(
    epoch="aa", seq=7, oldest_seq=1, oldest_t0=NOW, batches=7, readings=70, bytes=4096, budget=10**9,
    room_days=30.0, taken=70,
)  # fmt: skip
COMING_BACK = SalvageProgress("journal.damaged.1", "checksum", pages=10, page=3, rows=2, done=False)


@pytest.mark.parametrize(
    ("state", "damaged", "shown"),
    [
        ("ok", (), "ok"),
        ("full", (), "full"),
        ("failing", (), "failed"),
        ("newer", (), "newer"),
        ("ok", (COMING_BACK,), "salvaging"),
        ("ok", (replace(COMING_BACK, done=True),), "ok"),
        ("full", (COMING_BACK,), "full"),
        ("failing", (COMING_BACK,), "failed"),
    ],
)
def test_a_damaged_file_on_its_way_back_is_told_when_nothing_is_worse(state, damaged, shown) -> None:
    stats = replace(STATS, state=state, damaged=damaged)
    assert views.journal_view(stats, NOW, 0, 0, slot=2.0, warn=86400.0).state == shown


def test_what_was_refused_and_what_waits_is_counted_from_both_places() -> None:
    view = views.journal_view(replace(STATS, dropped=3, waiting=5), NOW, 2, 4, slot=2.0, warn=7 * 86400.0)
    assert (view.not_taken, view.pending, view.taken, view.warn_days) == (7, 7, 70, 7.0)


def uplink(left: float | None, **more: Any) -> views.UplinkView:
    stats = UplinkStats(
        name="city", broker="h:1883", state="connected", since=NOW, protocol="5.0", backlog_batches=4,
        backlog_readings=40, oldest_t0=NOW, waiting_batches=3, unconfirmed=1, held=0, sent_batches=9,
        resent_batches=0, delivered_batches=5, delivered_readings=50, replayed_batches=0, conflicts=0,
        refused=0, ignored_messages=0, last_receipt_age=2.5, last_delivery_age=None, last_error="",
        receipts=True,
    )  # fmt: skip
    config = Config.model_validate(
        {"gateway": {"id": "g"}, "uplinks": [{"name": "city", "url": "mqtt://h", "receipts": ["city"]}]}
    )
    moment: Any = SimpleNamespace(wall=NOW)
    return views.uplink_view(
        replace(stats, **more), config.uplinks[0], moment, left=left, before=10, started=7, salvaged=2,
        certificate_ends=NOW + 86_400_000,
    )  # fmt: skip


def test_a_backlog_that_waits_for_the_clock_is_told_as_held_and_no_other() -> None:
    assert uplink(None).held == 0
    assert uplink(None, held=2).held == 3


def test_times_of_an_uplink_are_on_the_wall_clock() -> None:
    view = uplink(90.5)
    assert view.done_at == NOW + 90_500
    assert (view.last_receipt, view.last_delivery) == (NOW - 2500, None)
    assert uplink(None).done_at is None
    assert view.certificate_ends == NOW + 86_400_000
    assert view.delivered == 15, "those before the last reload count"


BUILDING = """
gateway: {id: g}
buses: [{name: line, type: serial, port: /dev/ttyUSB0}]
meters:
  - {id: main, bus: line, address: 1, driver: eastron-sdm630, class: C, ct_class: '0.5'}
  - {id: roof, bus: line, address: 2, driver: eastron-sdm630, parent: main, feeds: Çatı}
  - {id: spare, bus: line, address: 3, driver: eastron-sdm630, enabled: false}
building: {pv: [{meter: roof}]}
"""


def test_the_pages_of_energy_know_the_tree_and_the_class_of_each_meter_and_transformer() -> None:
    main, roof = building_facts(parse_config(BUILDING)).meters
    assert (main.id, main.parent, main.feeds, main.generates) == ("main", "", "", "")
    assert (main.class_, main.ct_class, main.assumed) == ("C", "0.5", False)
    assert (roof.id, roof.parent, roof.feeds, roof.generates) == ("roof", "main", "Çatı", "auto")
    assert (roof.class_, roof.ct_class, roof.assumed) == ("B", "", True)
