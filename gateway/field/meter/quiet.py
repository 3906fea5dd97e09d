"""How long a meter must be left alone before a request: tried, confirmed, and questioned ever again.

A request that followed closely upon the meter's own answer, or upon the last byte on its line, was not
answered, and was after silence: the meter gets a quiet time, for the time being. Then shorter ones are tried.
What is needed is believed once the next shorter one has failed several times in a row while nothing else was
wrong on the line, and is tried again even then: soon after, then less often, at least once a day. What an
earlier run has learnt is questioned in the same way.
"""

from __future__ import annotations

import logging
import time
from typing import Literal

from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Station
from gateway.field.facts import MeterFacts

log = logging.getLogger(__name__)

STEPS = (0.0, 0.075, 0.15, 0.3, 0.6)
"""s that are tried. Meters are known to need 50 to 500 ms; a step leaves them half as much again."""
LONGEST = STEPS[-1]
"""s after which a meter that can hear at all has heard."""
_FIRST = 2
HEARD = 3
"""Answers in a row to requests that came sooner, from which the shorter time is kept."""
CONFIRMED = 3
"""Times in a row that a request that came sooner was not answered, but after silence: then it is believed."""
CALM = 2.0
"""s before such a request in which nothing else may have been wrong on the line: else it proves nothing."""
SELDOM = 60.0
"""s after a try that failed on a line that is not calm; twice as long after each further one."""
SHARE = 0.05
"""Of the time, for tries that fail."""
RARER = 4.0
"""Times the wait for the last try, for the next one after it has failed again."""
MOST = 43_200.0
"""s; no wait is longer, or twice as long where others want the line all the time."""
BUSY_ALONE = 3
"""Times that a meter was busy although it had been left alone: that is no want of silence."""
_EVIDENCE = 2
"""Times that a read was answered after silence only, before a meter that did without may need it."""
_FADES = 100
"""Answers after which such a time is forgotten."""
_SAME = 0.001
"""s between two times that are of the same frame."""
_NEVER = float("-inf")
_WORDS = {"pause": "after its own answer", "silence": "on the line before it is asked"}


class QuietTime:
    """`pause` (after the meter's own answer) or `silence` (on the line, whoever spoke) of a meter: `value` s.

    `floor`: s that it gets in any case.
    """

    def __init__(
        self, name: Literal["pause", "silence"], meter: str, facts: MeterFacts, floor: float = 0.0
    ) -> None:
        self._name, self._meter, self._facts, self._floor = name, meter, facts, floor
        self._fixed = facts.fixed(name)
        known: float = getattr(facts, name)
        self.value = known if self._fixed or known > floor else 0.0
        self.closest = float("inf")
        """s, the shortest time after which it has answered."""
        self._proven = True
        """Whether it has answered a request that came `value` after, about."""
        self._heard = self._failed = 0
        self._try_at = self._failed_at = _NEVER
        self._wait, self._seldom = 0.0, SELDOM
        self._evidence = self._answers = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to find out."""
        return not (self.value or self._evidence) or self._fixed

    @property
    def believed(self) -> bool:
        """Whether it is confirmed that the next shorter time does not do."""
        return self._failed >= CONFIRMED

    @property
    def shorter(self) -> float:
        """The next shorter pause to try, in s."""
        return max((step for step in STEPS if self._floor < step < self.value), default=0.0)

    def due(self, now: float, *, calm: bool, allowed: bool) -> bool:
        """Whether the shorter time is to be tried; `allowed`: there is time for what may not be answered."""
        if not self.value or self._fixed or not self._proven:
            return False
        if not calm and now < self._failed_at + self._seldom:
            return False
        if self._heard:
            return True
        if self.believed:
            return now >= self._try_at + (0.0 if allowed else self._wait)
        return allowed or now >= self._try_at

    def tried(self, after: float) -> bool:
        """Whether a request that came `after` s has tried the shorter time."""
        return not self._fixed and after < (max(self.shorter, self._floor) + self.value) / 2

    def suspect(self, after: float) -> bool:
        """Whether a request that was not answered `after` s may have come too soon: none such was heard."""
        return not self._fixed and after < LONGEST and (after < self.closest or self.tried(after))

    def answered(self, after: float) -> bool:
        """It answered a request that came `after` s; whether `value` has changed by that."""
        self.closest = min(self.closest, after)
        if self._evidence:
            self._answers += 1
            if self._answers >= _FADES:
                self._evidence = self._answers = 0
        if not self.value or self._fixed:
            return False
        if not self.tried(after):
            self._proven = self._proven or after < 2 * self.value
            return False
        self._heard += 1
        if not self.believed:
            self._failed = 0
        if self._heard < HEARD:
            return False
        self._use(self.shorter, proven=True)
        self._keep_shorter()
        return True

    def too_soon(self, after: float, now: float, cost: float, *, sure: bool, calm: bool) -> bool:
        """A request that was not answered `after` s was answered after silence, which took `cost` s in all;
        whether `value` is longer by that.

        `sure`: it never answered one that came so soon. `calm`: nothing else was wrong on the line.
        """
        if self._fixed:
            return False
        if self.tried(after):
            self._heard = 0
            self._failed += calm
            self._seldom = SELDOM if calm else min(2 * self._seldom, MOST)
            self._wait = min(cost / SHARE * RARER ** max(0, self._failed + 1 - CONFIRMED), MOST)
            self._failed_at, self._try_at = now, now + self._wait
            if self.believed:
                self._believe()
            return False
        self._evidence += 1
        longer = next((step for step in STEPS[_FIRST:] if step > max(after, self.value)), None)
        if longer is None or (not sure and self._evidence < _EVIDENCE):
            return False
        self._evidence = self._answers = 0
        self._use(longer, proven=False)
        self._failed_at = now
        return True

    def forget(self) -> None:
        """It was not for want of silence that it did not answer."""
        if self._fixed:
            return
        self._use(0.0, proven=True)
        self._evidence = self._answers = 0
        self._facts.forget(self._name)

    def question(self) -> None:
        """It may be another meter: how soon it has answered says nothing, and what it needs is tried now."""
        self.closest = float("inf")
        self._heard = self._failed = 0

    def _use(self, value: float, *, proven: bool) -> None:
        self.value, self._proven, self._seldom = value, proven, SELDOM
        self._heard = self._failed = 0
        self._try_at = _NEVER

    def _believe(self) -> None:
        if self._facts.learn(self._name, self.value):
            log.info(
                "meter %s needs %.0f ms of silence %s: from now on it gets them",
                self._meter, 1000 * self.value, _WORDS[self._name],
            )  # fmt: skip

    def _keep_shorter(self) -> None:
        """What was learnt is more than it needs."""
        if self._facts.since(self._name) is None:
            return
        log.info(
            "meter %s answers after %.0f ms of silence %s: it gets no more from now on",
            self._meter, 1000 * self.value, _WORDS[self._name],
        )  # fmt: skip
        if self.value:
            self._facts.learn(self._name, self.value)
        else:
            self._facts.forget(self._name)


class QuietTimes:
    """Both quiet times of one meter, and what its station does about them.

    `own` and `line` are the s between the end of the meter's own last answer, or of the last byte on its
    line, and a request. Silence on the line is looked for where somebody else may have spoken last: most
    gateways of Modbus TCP keep it themselves on the line behind them, some do not.
    """

    def __init__(self, meter: str, line: BusLine, station: Station) -> None:
        self._line, self._station = line, station
        self._min_gap = station.table_gap
        floor = max(line.wire.gap, line.silence, self._min_gap)
        self._pause = QuietTime("pause", meter, station.facts, floor)
        self._silence = QuietTime("silence", meter, station.facts, floor)
        self._is_serial = line.wire.char > 0.0
        self._busy_alone = 0
        self.idle = True
        """Whether there is nothing to find out."""
        self.apply()

    @property
    def _may_follow_others(self) -> bool:
        """Whether silence on the line is looked for. Behind Modbus TCP it is not for one that never answered:
        a gateway may serve nobody while it waits for one that is not there.
        """
        return self._is_serial or (self._line.serves_several and self._station.answers > 0)

    def offer(self, *, allowed: bool) -> None:
        """Before a request: with it a shorter time is tried, when that is due."""
        now = time.monotonic()
        calm = self._line.calm(self._station, now - CALM)
        pause, silence = (
            quiet.shorter if quiet.due(now, calm=calm, allowed=allowed) else quiet.value
            for quiet in (self._pause, self._silence)
        )
        self._station.pause, self._station.min_gap = pause, max(self._min_gap, silence)

    def tried(self, own: float, line: float) -> bool:
        """Whether a request has tried a shorter time."""
        return self._pause.tried(own) or (self._may_follow_others and self._silence.tried(line))

    def suspect(self, own: float, line: float) -> bool:
        """Whether a request that was not answered may have come too soon."""
        return self._pause.suspect(own) or (self._may_follow_others and self._silence.suspect(line))

    def answered(self, own: float, line: float) -> None:
        """A request was answered."""
        if self.idle and own >= self._pause.closest and line >= self._silence.closest:
            return
        if self._pause.answered(own) | self._silence.answered(min(own, line)):
            self.apply()

    def too_soon(self, own: float, line: float, asked_at: float, *, sure: bool) -> bool:
        """A request, sent at `asked_at`, that was not answered was answered after silence; whether the
        meter is left alone for longer now.
        """
        of_own = own <= line + _SAME or not self._may_follow_others
        quiet, after = (self._pause, own) if of_own else (self._silence, line)
        if after >= LONGEST:
            return False
        now = time.monotonic()
        calm = self._line.calm(self._station, asked_at - CALM)
        self._station.missed_at = _NEVER  # that it did not answer is no fault
        longer = quiet.too_soon(after, now, now - asked_at, sure=sure, calm=calm)
        self.apply()
        return longer

    def may_be_busy_with(self, own: float) -> bool:
        """Whether a meter that says it is busy, `own` s after its last answer, may be so with that answer:
        not where it is busy as often when it was left alone.
        """
        if own >= LONGEST - _SAME and self._busy_alone < BUSY_ALONE:
            self._busy_alone += 1
            if self._busy_alone == BUSY_ALONE:
                self._pause.forget()
                self._silence.forget()
                self.apply()
        return self._busy_alone < BUSY_ALONE

    def in_vain(self) -> None:
        """It was not answered after silence either: it is not the meter's hearing."""
        self._line.disturbed_at = time.monotonic()

    def rest(self) -> None:
        """Silence in which any meter hears, before each request until `apply`."""
        self._station.pause = LONGEST
        if self._may_follow_others:
            self._station.min_gap = max(self._station.min_gap, LONGEST)

    def apply(self) -> None:
        """Hand what was found to the station, and to what its reads are expected to cost."""
        station, line = self._station, self._line
        station.pause, station.min_gap = self._pause.value, max(self._min_gap, self._silence.value)
        station.fit.gap = max(line.wire.gap, line.silence, station.min_gap, station.pause)
        self.idle = self._pause.idle and self._silence.idle

    def question(self) -> None:
        """It may be another meter."""
        self._busy_alone = 0
        self._pause.question()
        self._silence.question()
