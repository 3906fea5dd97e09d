"""Every kind of error has its sentence on the page, in both languages, instead of a line of the log."""

from __future__ import annotations

from dataclasses import replace

import pytest
from status_building import CALM, SNAPSHOT
from test_status_page import Page, client

from gateway import errors
from gateway.status.words import leaves
from gateway.status.words.errors import in_full, in_words
from gateway.status.words.language import Locale

TURKISH, ENGLISH = (Locale(language, "Europe/Istanbul", 0) for language in ("tr", "en"))
TREE = sorted(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.GatewayError)
)
STRANGE = "frobnication of the seventh gremlin has failed"
"""A text that no catalogue has, as a library may write it."""


def test_the_tree_is_walked() -> None:
    assert len(TREE) > 18
    assert {"BusDown", "OthersTalk", "LinkTakenOver", "HistoryDamaged", "ControlError", "DriverError"} <= {
        *TREE
    }


@pytest.mark.parametrize("leaf", TREE)
def test_every_error_has_a_sentence_of_its_own_in_both_languages(leaf) -> None:
    turkish, english = leaves.sentence(leaf, TURKISH), leaves.sentence(leaf, ENGLISH)
    assert turkish != english, "translated"
    assert english.endswith(".")
    assert turkish.endswith(".")
    others = {leaves.sentence(other, ENGLISH) for other in TREE if other != leaf}
    assert english not in others, "of its own"
    assert leaf not in english, "no name of a class"
    if leaf != "GatewayError":
        assert "log" not in english.split()


def test_a_sentence_for_what_is_no_error_is_the_general_one() -> None:
    assert leaves.sentence("KeyError", ENGLISH) == leaves.sentence("GatewayError", ENGLISH)


def troubled():
    """Every part with an error that has no words."""
    return replace(
        SNAPSHOT,
        buses=tuple(replace(bus, state="down", cause="other", error=STRANGE) for bus in SNAPSHOT.buses),
        meters=tuple(
            replace(meter, error=STRANGE, missing=missing)
            for meter, missing in zip(
                SNAPSHOT.meters, ["timeout", "bad_frame", "exception_2", "", *["timeout"] * 9], strict=False
            )
        ),
        journal=replace(SNAPSHOT.journal, state="full", error=STRANGE),
        uplinks=tuple(
            replace(uplink, state=state, error=STRANGE)
            for state in ("waiting", "refused", "taken over")
            for uplink in SNAPSHOT.uplinks
        ),
        problems=(STRANGE,),
    )


SAID = (
    "BusDown",
    "NoReply",
    "BadFrame",
    "Refused",
    "JournalFull",
    "LinkDown",
    "LinkRefused",
    "LinkTakenOver",
)


@pytest.mark.parametrize(("language", "f"), [("tr", TURKISH), ("en", ENGLISH)])
async def test_the_technical_page_says_the_kind_and_no_english_line_on_the_turkish_page(language, f) -> None:
    async with client(troubled()) as http:
        pages = {
            path: (await http.get(f"{path}?lang={language}")).text for path in ("/system", "/", "/meter/main")
        }
    text = Page(pages["/system"]).text
    for leaf in (*SAID, "GatewayError"):
        assert leaves.sentence(leaf, f) in text or (leaf == "GatewayError" and language == "en"), leaf
    assert (STRANGE in text) is (language == "en")
    if language == "tr":
        assert not [path for path, html in pages.items() if STRANGE in Page(html).text]


async def test_what_can_be_said_in_full_stands_behind_its_sentence() -> None:
    known = errors.BusDown(
        "/dev/ttyUSB0 cannot be opened: there is no such port", hint="check host, port and the device"
    )
    snapshot = replace(CALM, buses=tuple(replace(bus, state="down", error=str(known)) for bus in CALM.buses))
    async with client(snapshot) as http:
        text = Page((await http.get("/system?lang=tr")).text).text
    assert leaves.sentence("BusDown", TURKISH) in text
    assert "/dev/ttyUSB0 açılamıyor: böyle bir port yok" in text


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("/dev/ttyUSB0 cannot be opened: there is no such port", True),
        ("unit 99 refused with exception 11 (gateway target did not respond)", True),
        (STRANGE, False),
        (f"/dev/ttyUSB0 cannot be opened: {STRANGE}", False),
        ("", True),
    ],
)
def test_half_a_translation_is_none(text, whole) -> None:
    assert in_full(text, ENGLISH) == text
    assert in_full(text, TURKISH) == (in_words(text, TURKISH) if whole else "")


def test_every_state_of_a_part_has_a_kind_that_is_one() -> None:
    for state in ("idle", "connecting", "connected", "waiting", "refused", "taken over", "stopped"):
        assert leaves.of_uplink(replace(SNAPSHOT.uplinks[0], state=state)) in TREE
    for state in ("ok", "full", "salvaging", "failed", "newer"):
        assert leaves.of_journal(replace(SNAPSHOT.journal, state=state)) in TREE
    for missing in ("", "timeout", "bad_frame", "exception_4", "not_available"):
        assert leaves.of_meter(replace(SNAPSHOT.meters[0], missing=missing)) in TREE
