"""A meter's side of the line: what it costs, how quick and how slow it was, and which requests to it are
not answered yet.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from gateway.errors import BadFrame, NoReply
from gateway.field.bus.cost import Cost, Fit
from gateway.field.facts import LONGEST, MeterFacts
from gateway.field.health import TurnAround, WireCounters
from gateway.field.port.contract import Registers

Probe = tuple[int, int, int]
"""function, address, count of a read that may serve to re-synchronise."""

ENOUGH = 10
"""Answers from which a station's own slowest and quickest ones are believed."""
FADE = 0.9999
THIN = 64
"""Answers that are all fitted; later every eighth will do."""
MOST_READS = 256
"""Reads whose last answer is kept."""
FORGET = 60.0
"""s after which a request that was never answered is not answered any more."""
OWED = 10.0
"""s after which a reply is not expected any more, when every length that there is was asked for in vain."""
SLACK = 5
"""Times its slowest turn-around that a station has."""
PATIENCE = 1.25
"""Times the latest reply seen that a station is given."""
SOON = 0.5
"""An answer in less than this share of the shortest turn-around ever seen belongs to another request."""
ALONE = 8
"""Answers in a row, each with silence behind it, after which one that has answered twice does so no more."""
ALIKE = 3
"""Answers like the one before, each confirmed, after which registers are alike; until something on the line
answers twice, or it is opened anew.
"""


def always_behind(unit: int) -> NoReply:
    """What a station is that is one reply behind, whatever time it gets."""
    return NoReply(
        f"unit {unit} answers each request only when the next one comes",
        hint="restart the gateway before it; if that does not help, it needs another firmware",
    )


def patience_after(took: float) -> float:
    """The s that a station gets whose answer took so long, in halves."""
    return min(math.ceil(2 * PATIENCE * took) / 2, LONGEST)


@dataclass(slots=True)
class Station:
    """Times are the loop's, in s."""

    unit: int
    fit: Fit
    facts: MeterFacts
    min_gap: float = 0.0
    """s of silence on the line before a request to it, from the last byte of whomever."""
    pause: float = 0.0
    """s between its own answer and the next request to it."""
    table_gap: float = 0.0
    """The part of `min_gap` that its table asks for."""
    patience: float | None = None
    """s that its maker allows it for an answer."""
    probes: tuple[Probe, ...] = ()
    answered_reads: dict[int, Probe] = field(default_factory=dict)
    """A read of each length that it has answered; the best to re-synchronise by."""
    missed: Probe = (0, 0, 0)
    """The last read that was not answered."""
    tried: set[Probe] = field(default_factory=set)
    """Reads that were tried for that and not answered, or not yet."""
    counters: WireCounters = field(default_factory=WireCounters)
    turn_around: TurnAround = field(default_factory=TurnAround)
    slowest: float = 0.0
    """s, the longest turn-around seen; fades over ten thousand answers."""
    quickest: float = float("inf")
    """s, the shortest turn-around seen; negative where bytes do not keep the line's pace."""
    early: float | None = None
    """s, the turn-around of an answer that came too soon to be believed."""
    answers: int = 0
    timeouts: int = 0
    """Timeouts since the last answer: then it gets twice the time, lest one that has become slow stays
    lost.
    """
    last: float = float("-inf")
    """When the last frame to or from it ended."""
    heard_at: float = float("-inf")
    """When its own last answer ended."""
    missed_at: float = float("-inf")
    """When it last did not answer, unless it is known that it was asked too soon."""
    unanswered: dict[int, float] = field(default_factory=dict)
    """Lengths of reads that may still be answered, and when they were asked."""
    plain: bool = False
    """Whether it has ever answered as the standard has it."""
    odd: int = 0
    """Replies in a row that differed from that."""
    check_at: float = float("-inf")
    """When it may be found out again whether they differ in a constant way."""
    behind: bool = False
    """Whether each reply comes only once the next request was sent."""
    trial: float = 0.0
    """s that it has until it answers, to see whether it is slow or one reply behind."""
    in_vain: bool = False
    """Whether a reply that it owed was waited for, and never came."""
    copies: bool = False
    """Whether it has answered twice."""
    alike: int = 0
    """Answers like the one before in a row that no second one followed in the silence after them."""
    said: dict[tuple[int, int], dict[int, tuple[Registers, float]]] = field(default_factory=dict)
    """The last answer to each read by function and count, then address, the newest one last: words, when it
    came.
    """
    like: tuple[int, float] | None = None
    """The read whose answer the last one repeats: its address, and s from that answer to the request."""
    pair: tuple[int, Probe] | None = None
    """That address, and the read that was answered so and had other words before; None: it had the same."""
    pairs: Counter[tuple[int, Probe]] = field(default_factory=Counter)
    """How often answers that had become alike were confirmed to be each read's own."""

    @property
    def cost(self) -> Cost:
        """What a read of it takes, by all that was measured."""
        return self.fit.cost

    def latency(self, floor: float, first: float, most: float, *, waiting: bool) -> float:
        """Seconds that it has to begin its answer; twice as many when we are `waiting` for a silent one."""
        own = max(SLACK * self.slowest, floor) if self.answers >= ENOUGH else first
        return max(min(2 * own if waiting else own, most), self.patience or 0.0)

    def heard(self, count: int, took: float, turn: float) -> None:
        """It answered a read of `count` in `took` s, `turn` s of it without what the wire needs."""
        self.answers += 1
        self.timeouts = 0
        if self.answers < THIN or self.answers % 8 == 0:
            self.fit.add(count, took)
        self.quickest = min(self.quickest, turn)
        faded = FADE * self.slowest
        self.slowest = max(faded, turn)
        self.turn_around.add(turn)

    def too_soon(self, turn: float) -> bool:
        """Whether it cannot have heard the request before it answered: a second copy of an earlier
        answer, say.
        """
        if self.answers < ENOUGH or self.quickest <= 0.0 or turn >= SOON * self.quickest:
            return False
        self.early = turn
        return True

    def nothing_followed(self) -> None:
        """After an answer that came too soon there was silence: it was the answer, and the meter has
        become quicker.
        """
        if self.early is not None:
            self.quickest, self.early = min(self.quickest, self.early), None

    def compare(self, read: Probe, words: Registers, sent_at: float, heard_at: float) -> None:
        """Keep an answer, and whether it is what a read of the same length was answered with just before, or
        lately.
        """
        function, address, count = read
        answers = self.said.setdefault((function, count), {})
        own = answers.get(address)
        self.like = self.pair = None
        newest = next(reversed(answers), address)
        # What has answered twice may give a copy of an older answer, too.
        for other in [*reversed(answers)] if self.copies else [newest] * bool(answers):
            said, at = answers[other]
            if said == words and (other != address or other == newest):
                self.like = other, sent_at - at
                if other != address and (own is None or own[0] != words):
                    self.pair = other, read
                break
        if own is None and sum(map(len, self.said.values())) >= MOST_READS:
            self.said.clear()
            self.pairs.clear()
            answers = self.said[function, count] = {}
        answers.pop(address, None)
        answers[address] = words, heard_at

    def repeats(self, read: Probe, soon: float, recent: float) -> int | None:
        """The address of the read whose answer the last one, to `read`, may be a second copy of.

        It has the same words, within `recent` s of it; of the same registers, which often stay as they are,
        within `soon` s. Registers that stay alike are believed to be so once any were confirmed, those that
        become alike only when the same ones were.
        """
        if self.like is None:
            return None
        address, after = self.like
        if after > (soon if address == read[1] else recent):
            return None
        confirmed = self.alike if self.pair is None else self.pairs[self.pair]
        return address if self.copies or confirmed < ALIKE else None

    def answered_twice(self) -> None:
        """A second answer came, or another read's."""
        self.copies = True
        self.doubt_copies()

    def doubt_copies(self) -> None:
        """Something on its line answers twice, or may be another thing now."""
        self.alike = 0
        self.pairs.clear()

    def answered_once(self, pair: tuple[int, Probe] | None) -> None:
        """An answer like the one before was its own: in the silence after it no other one came."""
        self.alike += 1
        if pair is not None:
            self.pairs[pair] += 1
        if self.alike >= ALONE:
            self.copies = False

    def _beside(self, probe: Probe) -> bool:
        """Whether it touches the registers of the read that was missed."""
        function, address, count = self.missed
        return function == probe[0] and address < probe[1] + probe[2] and probe[1] < address + count

    def probe(self, now: float) -> Probe:
        """A read of a length that none of its unanswered requests has. Raises BadFrame when there is none."""
        for count in [count for count, asked in self.unanswered.items() if now - asked > FORGET]:
            if len(self.unanswered) > 1:
                del self.unanswered[count]
        known = [count for count in self.answered_reads if count not in self.unanswered]
        if known:
            return self.answered_reads[min(known)]
        fresh = [probe for probe in self.probes if probe[2] not in self.unanswered]
        if fresh:  # another one each time: a meter may be silent about the registers of the first
            left = [probe for probe in fresh if probe not in self.tried]
            if not left:
                self.tried.clear()
                left = fresh
            chosen = next((probe for probe in left if not self._beside(probe)), left[0])
            self.tried.add(chosen)
            return chosen
        function, address, _ = (
            self.probes[max(0, self.timeouts - 1) % len(self.probes)] if self.probes else (3, 0, 1)
        )
        free = next((count for count in range(1, 126) if count not in self.unanswered), None)
        if free is None:
            free = min(self.unanswered, key=self.unanswered.__getitem__)
            if now - self.unanswered[free] < OWED:
                raise BadFrame(
                    f"unit {self.unit} answers no request by what was asked for",
                    hint="check that nothing else answers at its address, then restart it and its gateway",
                )
        return function, address, free
