"""What `submeter status` says of registers that a meter refuses: a line, however many there are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.catalogue import load_driver
from gateway.cli.language import speaking
from gateway.cli.status import lines
from gateway.daemon import views
from gateway.field import Fact, values_skipped
from gateway.status.api import as_json
from gateway.status.snapshot import FactView
from tests.status.status_building import CALM, NOW

DRIVER = load_driver("eastron-sdm630")


def skipped(count: int, since: int | None = NOW) -> FactView:
    """`count` of the table's values are in no read."""
    rows = [row for row in DRIVER.rows if not row.attribute][:count]
    spans = tuple((row.function, row.address, row.address + row.words, "exception_2") for row in rows)
    (view,) = views._facts((Fact("skip", spans, since),), DRIVER)
    return view


def told(fact: FactView, language: str = "en") -> list[str]:
    meter = replace(CALM.meters[0], learnt=(fact,))
    now = replace(CALM, meters=(meter, *CALM.meters[1:]))
    with speaking(language):
        return lines(json.loads(json.dumps(as_json(now))))


@pytest.mark.parametrize(
    ("language", "how"),
    [
        ("en", "meter main, known of it: skip: 57 values in no read (Voltage L1‑N, Voltage L2‑N, "
               "Voltage L3‑N…) (since 19:25)"),
        ("tr", "main sayacı, bilinenler: skip: 57 değer hiçbir okumada yok (Gerilim L1‑N, Gerilim L2‑N, "
               "Gerilim L3‑N…) (19:25'ten beri)"),
    ],
)  # fmt: skip
def test_many_refused_registers_are_a_line_and_what_to_do(language, how, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    without = told(FactView("pause", "75ms", NOW), language)
    folded = told(skipped(57), language)
    assert how in folded
    (action,) = [line for line in folded if line.startswith("  → ")]
    assert "submeter drivers try --meter main" in action
    assert "submeter status --json" in action
    assert len(folded) == len(without) + 1


def test_a_few_stand_there_as_they_would_be_written(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = "\n".join(told(skipped(3)))
    assert "skip: [4:0-1, 4:2-3, 4:4-5] (since 19:25)" in text
    assert "drivers try --meter main" not in text


def test_what_a_person_has_written_needs_nothing_done(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = "\n".join(told(skipped(6, since=None)))
    assert "skip: 6 values in no read (Voltage L1‑N, Voltage L2‑N, Voltage L3‑N…) (configured)" in text
    assert "drivers try --meter main" not in text


def test_of_registers_that_hold_no_value_the_ranges_are_counted(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    between = tuple((4, 9000 + 10 * at, 9001 + 10 * at, "timeout") for at in range(5))
    (fact,) = views._facts((Fact("skip", between, NOW),), DRIVER)
    assert fact.values == ()
    assert "skip: 5 ranges of registers (since 19:25)" in "\n".join(told(fact))


def test_a_value_is_left_out_when_any_of_its_registers_is() -> None:
    row = next(row for row in DRIVER.rows if row.name == "frequency")

    def left_out(function: int, first: int, end: int) -> tuple[str, ...]:
        return values_skipped(Fact("skip", ((function, first, end, "timeout"),), NOW), DRIVER)

    assert row.words == 2
    assert left_out(row.function, row.address, row.address + 1) == ("frequency",)
    assert left_out(row.function, row.address + 1, row.address + 2) == ("frequency",)
    assert left_out(3 if row.function == 4 else 4, row.address, row.address + 2) == ()
    assert left_out(row.function, row.address - 1, row.address) != ("frequency",)
    assert "frequency" not in left_out(row.function, row.address + 2, row.address + 3)
    assert values_skipped(Fact("pause", 0.1, NOW), DRIVER) == ()
