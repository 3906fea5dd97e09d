"""A word that is misspelt is met with the one that was meant, and a long or strange one costs no time."""

import time

import pytest

from gateway.common.near import did_you_mean, near

KNOWN = ["active_power", "active_energy_import", "frequency"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("activ_power", "active_power"), ("frequncy", "frequency"), ("active_energy", "active_energy_import")],
)
def test_the_likest_word_is_offered(word, meant) -> None:
    assert did_you_mean(word, KNOWN) == f"did you mean {meant}?"


@pytest.mark.parametrize("word", ["", "zzz", "çğş", "\x00"])
def test_where_nothing_is_like_it_something_else_is_said(word) -> None:
    assert did_you_mean(word, KNOWN, "see the list") == "see the list"


def test_several_may_be_asked_for_the_likest_first() -> None:
    assert near("active_powr", KNOWN, 2, likeness=0.3) == ["active_power", "active_energy_import"]


def test_a_flood_is_cut() -> None:
    begun = time.process_time()
    near("ab" * 100_000, ("ba" * 100 + str(n) for n in range(10**9)))
    assert time.process_time() - begun < 20.0
