"""A trouble is one line when it begins and one when it ends, whatever happens in between."""

import logging

import pytest

from gateway.common.troubles import MOST_SUBJECTS, Troubles

LOG = logging.getLogger("gateway.example")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, LOG.name)
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_trouble_is_said_when_it_begins_and_when_it_ends(lines) -> None:
    troubles = Troubles(LOG, "bus a: ")
    assert troubles.begin("port", "the port is lost", "plug it in")
    assert not troubles.begin("port", "the port is still lost")
    assert troubles.end("port", "the port is back")
    assert not troubles.end("port", "the port is back")
    assert lines() == [
        ("WARNING", "bus a: the port is lost → plug it in"),
        ("INFO", "bus a: the port is back"),
    ]


def test_it_can_begin_again_after_its_end(lines) -> None:
    troubles = Troubles(LOG)
    for _ in range(3):
        troubles.begin("port", "lost")
        troubles.end("port")
    assert [text for _, text in lines()] == ["lost", "the trouble with port is over"] * 3


def test_subjects_do_not_mix(lines) -> None:
    troubles = Troubles(LOG)
    assert troubles.begin("a", "a is lost")
    assert troubles.begin("b", "b is lost")
    assert not troubles.end("c")
    assert troubles.end("a")
    assert list(troubles.open) == ["b"]
    assert len(lines()) == 3


def test_another_kind_of_the_same_trouble_is_news(lines) -> None:
    troubles = Troubles(LOG)
    said = [
        troubles.begin("link", what, kind=kind)
        for what, kind in [
            ("closed", "down"),
            ("closed, again", "down"),
            ("wrong password", "refused"),
            ("closed", "down"),
        ]
    ]
    assert said == [True, False, True, True]
    assert [text for _, text in lines()] == ["closed", "wrong password", "closed"]
    assert troubles.end("link")


def test_the_newest_words_are_kept_though_they_are_not_logged(lines) -> None:
    troubles = Troubles(LOG)
    assert troubles.latest == ""
    troubles.begin("disk", "1 batch waits")
    troubles.begin("link", "closed")
    troubles.begin("disk", "2 batches wait", "make room")
    assert dict(troubles.open) == {"disk": "2 batches wait → make room", "link": "closed"}
    assert troubles.latest == "closed"
    troubles.end("link")
    assert troubles.latest == "2 batches wait → make room"
    assert len(lines()) == 3


def test_what_is_forgotten_is_not_said_and_begins_anew(lines) -> None:
    troubles = Troubles(LOG)
    troubles.begin("a", "lost")
    assert troubles.forget("a")
    assert not troubles.forget("a")
    assert not troubles.end("a")
    assert troubles.begin("a", "lost")
    assert [text for _, text in lines()] == ["lost", "lost"]


def test_what_has_no_end_is_noted_once_or_at_most_so_often(lines) -> None:
    now = 0.0
    troubles = Troubles(LOG, monotonic=lambda: now)
    assert [troubles.note("id", "another id") for _ in range(3)] == [True, False, False]
    for now, said in ((0.0, True), (59.0, False), (60.0, True), (119.0, False), (200.0, True)):
        assert troubles.note("conflict", f"at {now:g}", every=60.0) is said
    assert [text for _, text in lines()] == ["another id", "at 0", "at 60", "at 200"]


def test_level_and_traceback_are_the_callers(lines, caplog) -> None:
    troubles = Troubles(LOG)
    error = ValueError("deep")
    troubles.begin("a", "broken", level=logging.ERROR, cause=error)
    troubles.end("a", "well", level=logging.WARNING)
    troubles.note("b", "odd", level=logging.INFO, cause=error)
    assert lines() == [("ERROR", "broken"), ("WARNING", "well"), ("INFO", "odd")]
    assert caplog.records[0].exc_info[1] is error
    assert caplog.records[2].exc_info[1] is error


def test_text_from_outside_cannot_forge_a_line(lines) -> None:
    troubles = Troubles(LOG)
    troubles.begin("a", "it says \x1b[2J\nall is well", "hint\r")
    troubles.note("b", "x\u202ey")
    troubles.end("a\n")
    troubles.end("a", "over\n")
    assert [text for _, text in lines()] == [
        r"it says \x1b[2J\x0aall is well → hint\x0d",
        r"x\u202ey",
        r"over\x0a",
    ]


def test_a_stranger_with_ever_new_subjects_fills_neither_memory_nor_log(lines) -> None:
    troubles = Troubles(LOG)
    for number in range(3 * MOST_SUBJECTS):
        troubles.begin(f"subject {number}", "bad")
        troubles.note(f"subject {number}", "bad")
    assert len(troubles.open) == MOST_SUBJECTS
    texts = [text for _, text in lines()]
    assert len(texts) == 2 * MOST_SUBJECTS + 1
    assert texts.count(f"more than {MOST_SUBJECTS} troubles: further ones are not logged") == 1
    assert troubles.end("subject 0")
    assert troubles.begin("one more", "bad"), "room that became free is used"
