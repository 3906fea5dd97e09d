"""Months that passed a reactive limit, and what may be disregarded of them."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.energy.reactive import ReactiveMonth, forgiveness


def month(number: int, inductive: int, capacitive: int = 0, year: int = 2026) -> ReactiveMonth:
    return ReactiveMonth(date(year, number, 1), 1000, inductive, capacitive, (20, 15))


@pytest.mark.parametrize(
    ("amounts", "named", "per_year", "states"),
    [
        ([200, 200], (), 1, ["kept", "kept"]),  # at the limit is not beyond it
        ([201, 100], (), 1, ["open", "kept"]),
        ([201, 300], (), 1, ["open", "passed"]),
        ([201, 300], (), 0, ["passed", "passed"]),
        ([201, 300], ("2026-02",), 1, ["passed", "forgiven"]),
        ([201, 300], ("2026-01", "2026-02"), 1, ["forgiven", "too_many"]),
        ([201, 300], ("2026-01", "2026-02"), 2, ["forgiven", "forgiven"]),
        ([100, 300], ("2026-01",), 1, ["unfounded", "passed"]),
        ([201, 300], ("2025-02",), 1, ["open", "passed"]),
    ],
)
def test_what_becomes_of_each_month(amounts, named, per_year, states) -> None:
    months = [month(number, amount) for number, amount in enumerate(amounts, 1)]
    assert [state for _month, state in forgiveness(months, named, per_year)] == states


def test_every_year_has_its_own_and_the_capacitive_limit_counts_as_well() -> None:
    months = [month(12, 0, 151, 2025), month(1, 0, 151), month(2, 0, 150)]
    assert [state for _month, state in forgiveness(months, (), 1)] == ["open", "open", "kept"]
