"""How long a meter must be left alone before a request: found by trying, when it turns out that it must
be.
"""

from __future__ import annotations

import logging
from typing import Literal

from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Station
from gateway.field.learnt import MeterFacts

log = logging.getLogger(__name__)

STEPS = (0.0, 0.075, 0.15, 0.3, 0.6)
"""s that are tried. Meters are known to need 50 to 500 ms; a step leaves them half as much again."""
LONGEST = STEPS[-1]
"""s after which a meter that can hear at all has heard."""
_FIRST = 2
_ENOUGH = 2
"""Answers that a step needs before a shorter one is tried."""
_EVIDENCE = 2
"""Times that a read was answered after silence only, before a meter that did without is believed to need
it.
"""
_FADES = 100
"""Answers after which such a time is forgotten."""
_SAME = 0.001
"""s between two times that are of the same frame."""
_WORDS = {"pause": "after its own answer", "silence": "on the line before it is asked"}


class QuietTime:
    """`pause` (after the meter's own answer) or `silence` (on the line, whoever spoke) of one meter:
    `value` s.
    """

    def __init__(self, name: Literal["pause", "silence"], meter: str, facts: MeterFacts) -> None:
        self.value: float = getattr(facts, name)
        self.searching = False
        self.closest = float("inf")
        """s, the shortest time after which it has answered."""
        self._name, self._meter, self._facts = name, meter, facts
        self._step, self._bad, self._good = 0, -1, len(STEPS) - 1
        self._answers = self._evidence = 0

    def suspect(self, after: float) -> bool:
        """Whether a request that was not answered `after` s may have come too soon: it never heard one
        that came so soon.
        """
        return after < min(LONGEST, self.closest) and not self._facts.fixed(self._name)

    def answered(self, after: float) -> bool:
        """It answered a request that came `after` s; whether `value` has changed by that."""
        if self.closest <= after and not self.searching and not self._evidence:
            return False
        self.closest = min(self.closest, after)
        if not self.searching:
            if self._evidence:
                self._answers += 1
                if self._answers >= _FADES:
                    self._evidence = self._answers = 0
            return False
        if after > self.value + STEPS[1]:
            return False
        self._answers += 1
        if self._answers < _ENOUGH:
            return False
        self._good, self._answers = self._step, 0
        if self._step - 1 > self._bad:
            self._step -= 1
            return self._use()
        return self._settle()

    def too_soon(self, after: float, *, sure: bool) -> bool:
        """A request that was not answered `after` s was answered after silence; whether `value` has changed
        by that.

        `sure`: it never answered one that came so soon.
        """
        if self._facts.fixed(self._name):
            return False
        self._answers = 0
        if not self.searching:
            self._evidence += 1
            if not sure and self._evidence < _EVIDENCE:
                return False
            later = next((step for step, time in enumerate(STEPS) if time > after), len(STEPS) - 1)
            self.searching, self._evidence, self._bad, self._good = (
                True,
                0,
                max(-1, later - 2),
                len(STEPS) - 1,
            )
            self._step = max(_FIRST, later)
            return self._use()
        self._bad = self._step
        if self._step >= len(STEPS) - 1:
            return self._settle()
        self._step += 1
        if self._step == self._good:
            return self._settle()
        return self._use()

    def _use(self) -> bool:
        changed = self.value != STEPS[self._step]
        self.value = STEPS[self._step]
        self.closest = float("inf")
        return changed

    def _settle(self) -> bool:
        self.searching = False
        changed = self._use()
        if not self.value:
            self._facts.forget(self._name)
        elif self._facts.learn(self._name, self.value):
            log.info(
                "meter %s needs %.0f ms of silence %s: from now on it gets them",
                self._meter, 1000 * self.value, _WORDS[self._name],
            )  # fmt: skip
        return changed


class QuietTimes:
    """Both quiet times of one meter, and what its station does about them.

    `own` and `line` are the s between the end of the meter's own last answer, or of the last byte on its
    line, and a request. Silence on the line is looked for where there is a line: a server behind Modbus TCP
    keeps it itself.
    """

    def __init__(self, meter: str, line: BusLine, station: Station) -> None:
        self._line, self._station = line, station
        self._pause = QuietTime("pause", meter, station.facts)
        self._silence = QuietTime("silence", meter, station.facts)
        self._min_gap = station.min_gap
        self._serial = line.wire.char > 0.0
        self.apply()

    @property
    def searching(self) -> bool:
        """Whether a shorter time is being tried."""
        return self._pause.searching or self._silence.searching

    def suspect(self, own: float, line: float) -> bool:
        """Whether a request that was not answered may have come too soon."""
        return self._pause.suspect(own) or (self._serial and self._silence.suspect(line))

    def answered(self, own: float, line: float) -> None:
        """A request was answered."""
        if self._pause.answered(own) | self._silence.answered(min(own, line)):
            self.apply()

    def too_soon(self, own: float, line: float, *, sure: bool) -> bool:
        """A request that was not answered was answered after silence; whether the meter is left alone for
        longer now.
        """
        quiet, after = (
            (self._pause, own) if own <= line + _SAME or not self._serial else (self._silence, line)
        )
        if after < LONGEST and quiet.too_soon(after, sure=sure):
            self.apply()
            return True
        return False

    def rest(self) -> None:
        """Silence in which any meter hears, before each request until `apply`."""
        self._station.pause = LONGEST
        if self._serial:
            self._station.min_gap = max(self._station.min_gap, LONGEST)

    def apply(self) -> None:
        """Hand what was found to the station, and to what its reads are expected to cost."""
        station, line = self._station, self._line
        station.pause, station.min_gap = self._pause.value, max(self._min_gap, self._silence.value)
        station.fit.gap = max(line.wire.gap, line.silence, station.min_gap, station.pause)

    def forget(self) -> None:
        """It may be another meter: how soon it has answered says nothing any more."""
        self._pause.closest = self._silence.closest = float("inf")
