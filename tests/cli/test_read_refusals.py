"""A meter that gives nothing: `submeter read` says what to do next, as the page does."""

from __future__ import annotations

import pytest

from gateway.cli.read import answer_lines

ACTIONS = {
    "exception_2": "submeter drivers try --meter boiler",
    "exception_4": "switch it off and on",
    "exception_6": "It is asked again by itself",
    "exception_11": "The converter answers, the meter behind it does not",
    "timeout": "Check that the meter has power",
    "bad_frame": "look for two meters with one address",
}


def told(**more: str) -> str:
    answer = {"meter": "boiler", "driver": "eastron-sdm630", "bus": "line1", "address": 7, "error": ""}
    return " ".join(" ".join(answer_lines(answer | more)).split())


@pytest.mark.parametrize("reason", ACTIONS)
def test_a_meter_that_refuses_is_told_with_what_to_do(reason):
    assert ACTIONS[reason] in told(missing=reason)
    assert sum(action in told(missing=reason) for action in ACTIONS.values()) == 1 + (reason == "exception_4")


def test_an_action_of_the_error_itself_comes_first():
    assert told(missing="exception_2", error="it refuses", hint="call Ada").endswith("it refuses → call Ada")


def test_silence_without_an_error_has_an_action_too_and_one_with_an_error_has_that_alone():
    assert told(missing="timeout").endswith("its data cable is firm.")
    assert told(missing="timeout", error="no", hint="look").endswith("nothing: no → look")
    assert told(missing="not_available").endswith("nothing: the meter does not have it now"), (
        "nothing is known"
    )
