"""What is done between commits: how often, and what is left alone."""

from types import SimpleNamespace

import pytest

from gateway.journal import housekeeping
from gateway.journal.housekeeping import CALM, LOOK, NOTE, PAUSE, REST, Housekeeping


class Site:
    """What housekeeping sees of the open file and of the disk: it counts what was done."""

    clock = None

    def __init__(self, directory):
        self.path = directory / "journal.db"
        self.measured = 0
        self.disk = SimpleNamespace(measure=self._measure, load=lambda: True, held=lambda: 0, budget=1000)
        self.cases = SimpleNamespace(prune=lambda _: None, all=[], pending=lambda: None)
        self.file = SimpleNamespace(store=SimpleNamespace(size=5), last=0)
        self.notes = 0

    def check_names(self):
        pass

    def note(self):
        self.notes += 1

    def _measure(self, _):
        self.measured += 1


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(housekeeping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    site = Site(tmp_path)
    return Housekeeping(site, site.disk), site, now


class Verification:
    """Never done."""

    done = False
    part = 0.5
    steps = 0

    def step(self, _):
        self.steps += 1


def test_after_the_disk_has_refused_housekeeping_leaves_it_alone_for_a_while(at_work):
    work, site, now = at_work
    work._verification = walk = Verification()
    assert work.slice() == PAUSE
    assert (site.measured, walk.steps) == (1, 1)
    work.rest(OSError(5, "Input/output error"))
    for passed in (0.0, 10.0, REST - 0.1):
        now[0] = 1000.0 + passed
        assert work.slice() == CALM
    assert (site.measured, walk.steps) == (1, 1)
    now[0] = 1000.0 + REST
    assert work.slice() == PAUSE
    assert (site.measured, walk.steps) == (2, 2)


def test_the_disk_is_looked_at_now_and_then(at_work):
    work, site, now = at_work
    for second in range(31):
        now[0] = 1000.0 + second
        assert work.slice() == CALM
    assert site.measured == 1 + 30 // LOOK


def test_the_newest_batch_is_noted_once_there_is_one_and_then_seldom(at_work):
    work, site, now = at_work
    work.slice()
    assert site.notes == 0
    site.file.last = 7
    now[0] += LOOK
    work.slice()
    assert site.notes == 1
    while now[0] < 1000.0 + LOOK + NOTE - LOOK:
        now[0] += LOOK
        work.slice()
    assert site.notes == 1
    now[0] += LOOK
    work.slice()
    assert site.notes == 2


def test_a_file_that_was_replaced_by_the_look_is_left_alone(at_work):
    work, site, _ = at_work
    site.check_names = lambda: setattr(site, "file", None)
    assert work.slice() == PAUSE
    assert site.measured == 0


def test_without_an_open_file_nothing_is_done(at_work):
    work, site, _ = at_work
    site.file = None
    assert work.slice() == CALM
    assert site.measured == 0
    assert work.walked == 1.0
