"""A meter's side of the line: what it costs, how quick and how slow it was, and which requests to it are
not answered yet.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from gateway.errors import BadFrame, NoReply
from gateway.field.bus.cost import Cost, Fit
from gateway.field.facts import EVERY_SECOND, LONGEST, MeterFacts
from gateway.field.health import TurnAround, WireCounters
from gateway.field.port.contract import Ask, Registers

ENOUGH = 10
"""Answers from which a station's own slowest and quickest ones are believed."""
FADE = 0.9999
THIN = 64
"""Answers that are all fitted; later every eighth will do."""
LATELY = 10.0
"""s that an answer is kept."""
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
"""Answers like one before, each confirmed, after which registers are alike; until something on the line
answers twice, or it is opened anew.
"""
LEFT = ALIKE - 1
"""Confirmations that are left when another station answers twice."""
CHECKS = 2
"""Check reads of other lengths in a row without an answer, after which it may be that a station answers one
length alone.
"""
STEADY = 5
"""Answers in a row after which what is missed is no read that was tried out."""
ASLEEP = 8
"""How often one that sleeps is asked twice in a row in vain, before that is believed to be over."""
TOLD = 3
"""Times in a row that this helped, before it is told: noise may look like it."""
CONFIRMED = 8
"""Readings behind a request that was left out, before it is told: noise may look like one."""
FREE, RARE = 12, 400
"""Answers that are confirmed although nothing has answered twice: a few, and one more in so many."""


def always_behind(unit: int) -> NoReply:
    """What a station is that is one reply behind, whatever time it gets."""
    return NoReply(
        f"unit {unit} answers each request only when the next one comes",
        hint="restart the gateway before it; if that does not help, it needs another firmware",
    )


class Undecided(BadFrame):
    """An answer of a unit that has answered twice, which may be a second copy of another one."""

    def __init__(self, unit: int) -> None:
        super().__init__(
            f"unit {unit} has answered twice: whether its answer is a second copy of another one is found "
            "out when the line has time"
        )


def slower(unit: int, took: float) -> NoReply:
    """What is said of one whose answer came so many s after the question, long after its time."""
    hint = f"give it, or its bus, more time in gateway.yaml: timeout: {patience_after(took):g}s"
    return NoReply(f"unit {unit} answered only after {took:.1f} s", hint=hint)


def patience_after(took: float) -> float:
    """The s that a station gets whose answer took so long, in halves."""
    return min(math.ceil(2 * PATIENCE * took) / 2, LONGEST)


@dataclass(frozen=True, slots=True)
class Like:
    """What an answer repeats: the read whose answer that is, and s from it to the request."""

    address: int
    after: float
    newest: bool
    """Whether no other read of its length was answered since."""
    pair: tuple[int, Ask] | None
    """That address, and the read that was answered so, when its registers had just moved; None: they stand
    still.
    """


@dataclass(slots=True)
class LeftOut:
    """What is known of the requests that a station leaves out (`left_out.py`)."""

    sleeps: int = 0
    """How often it is still asked a second time, at once, when it does not answer; 0: that never helped."""
    sleeps_after: float = math.inf
    """The shortest s without a request after which that helped."""
    awake_after: float = 0.0
    """The longest s without a request after which it answered the first one."""
    missed_after: float = 0.0
    """The s without a request after which it missed the last one; 0: it has not, or there was no pause."""
    missed_in_quiet: bool = False
    """Whether the line had been silent before that one: else it may need silence, and not sleep."""
    wakes_in: float = 0.0
    """s from a request that it has missed to the next one, where it does not answer at once."""
    helped: int = 0
    """How often in a row it answered when it was asked again."""
    woken: int = 0
    """How often in a row it answered the request after such a one."""
    refused_twice: int = 0
    """How often in a row it refused the first request after a pause, and the next one as well."""
    missed_behind: int = 0
    """Readings in a row that were missed right after a check read was answered."""
    try_at: int = 0
    """So many, and it is tried again whether it answers only every second request; 0: it was not tried."""
    every_second: bool = False
    """Whether it answers only every second request."""
    seconds: float = 0.0
    """s that it takes to ask one request in vain before each reading then."""
    times: int = 0
    """Readings in a row that were answered behind such a request."""

    @classmethod
    def known(cls, facts: MeterFacts) -> LeftOut:
        """What was learnt before, or is configured."""
        every_second = facts.answers == EVERY_SECOND
        after = facts.sleeps_after
        return cls(
            sleeps=ASLEEP if after else 0,
            sleeps_after=after or math.inf,
            helped=TOLD if after else 0,
            every_second=every_second,
            times=CONFIRMED if every_second else 0,
        )


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
    probes: tuple[Ask, ...] = ()
    answered_reads: dict[int, Ask] = field(default_factory=dict)
    """A read of each length that it has answered; the best to re-synchronise by."""
    missed: Ask = (0, 0, 0)
    """The last read that was not answered."""
    tried: set[Ask] = field(default_factory=set)
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
    in_row: int = 0
    """Answers since it has missed a read."""
    known_read: Ask | None = None
    """A read that it has missed after it had answered it, as all others: not one that is being tried."""
    known_only: bool = False
    """Whether it answers no read of another length than it always has, as far as that was tried."""
    late_at: float = -math.inf
    """When an answer of it last came that nobody waited for any more."""
    silent_checks: int = 0
    """Check reads in a row to which nothing came."""
    try_known_at: int = CHECKS
    """So many, and it is asked again what it always has answered."""
    timeouts: int = 0
    """Timeouts since the last answer: it gets twice the time from the second one on, from the first one on
    if it has never answered, lest one that has become slow stays lost.
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
    damaged_after: int = -1
    """The `answers` that there were when a damaged one was last asked for once more."""
    check_at: float = float("-inf")
    """When it may be found out again whether they differ in a constant way."""
    behind: bool = False
    """Whether each reply comes only once the next request was sent."""
    tried_wait: float = 0.0
    """s that it has until it answers, to see whether it is slow or one reply behind."""
    given_up: int = 0
    """Refusals in a row of a gateway that may not have waited for it."""
    misfits: int = 0
    """Replies in a row that have its number, and may be those of earlier requests."""
    in_vain: bool = False
    """Whether a reply that it owed was waited for, and never came."""
    left_out: LeftOut = field(init=False)
    """Which requests it leaves out."""
    copies: bool = False
    """Whether it has answered twice."""
    alike: int = 0
    """Answers like the one before in a row that no second one followed in the silence after them."""
    said: dict[tuple[int, int], dict[Registers, tuple[int, float]]] = field(default_factory=dict)
    """The answers of late by function and count, the newest one last: words, to which address, when."""
    last_words: dict[Ask, tuple[Registers, bool]] = field(default_factory=dict)
    """The last answer to each read, and whether the one before was another."""
    like: Like | None = None
    """What the last answer repeats."""
    checks: int = 0
    """Answers that were asked for once more."""
    pairs: Counter[tuple[int, Ask]] = field(default_factory=Counter)
    """How often answers that had become alike were confirmed to be each read's own."""

    def __post_init__(self) -> None:
        self.left_out = LeftOut.known(self.facts)

    @property
    def cost(self) -> Cost:
        """What a read of it takes, by all that was measured."""
        cost, left_out = self.fit.cost, self.left_out
        return Cost(cost.a + left_out.seconds, cost.b) if left_out.every_second else cost

    def latency(self, floor: float, first: float, most: float, *, waiting: bool) -> float:
        """Seconds that it has to begin its answer; twice as many when we are `waiting` for a silent one."""
        own = max(SLACK * self.slowest, floor) if self.answers >= ENOUGH else first
        return max(min(2 * own if waiting else own, most), self.patience or 0.0)

    def heard(self, count: int, took: float, turn: float) -> None:
        """It answered a read of `count` in `took` s, `turn` s of it without what the wire needs."""
        self.answers += 1
        self.in_row += 1
        self.timeouts = self.silent_checks = 0
        self.try_known_at = 1 if self.known_only else CHECKS
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

    def has_answered(self, read: Ask) -> None:
        """It may be re-synchronised by this read, unless another one of its length was before it."""
        self.answered_reads.setdefault(read[2], read)

    def misses(self, read: Ask) -> None:
        """It has not answered this read."""
        if self.in_row >= min(STEADY, self.answers) and read in self.last_words:
            self.known_read = read
        self.in_row = 0

    def known_asked_at(self) -> float | None:
        """When it was last asked for a length that it has ever answered; None while that is not in doubt."""
        known = self.answered_reads
        if self.known_read is None or any(count not in self.unanswered for count in known):
            return None
        return max((self.unanswered[count] for count in known), default=None)

    def nothing_followed(self) -> None:
        """After an answer that came too soon there was silence: it was the answer, and the meter has
        become quicker.
        """
        if self.early is not None:
            self.quickest, self.early = min(self.quickest, self.early), None

    def compare(self, read: Ask, words: Registers, sent_at: float) -> None:
        """Find out which answer to a read of its length an answer repeats, the newest of them, if any."""
        function, address, count = read
        answers = self.said.get((function, count), {})
        own, moving = self.last_words.get(read, (None, False))
        self.like = None
        if words in answers:
            other, at = answers[words]
            newest = at >= answers[next(reversed(answers))][1]
            moved = newest if own is None else own != words or (moving and other == address)
            self.like = Like(other, sent_at - at, newest, (other, read) if moved else None)

    def keep(self, read: Ask, words: Registers, heard_at: float) -> None:
        """Keep an answer that is believed."""
        function, address, count = read
        answers = self.said.setdefault((function, count), {})
        answers.pop(words, None)
        answers[words] = address, heard_at
        while heard_at - answers[next(iter(answers))][1] > LATELY:
            del answers[next(iter(answers))]
        own, _ = self.last_words.get(read, (None, False))
        if own is None and len(self.last_words) >= MOST_READS:
            self.said.clear()
            self.last_words.clear()
            self.pairs.clear()
        self.last_words[read] = words, own is not None and own != words

    def repeats(self, read: Ask, soon: float, recent: float) -> int | None:
        """The address of the read whose answer the last one, to `read`, may be a second copy of.

        It has the same words, within `recent` s of it; of the same registers, which often stay as they are,
        within `soon` s. Registers that stay alike are believed to be so once any were confirmed, those that
        become alike only when the same ones were. Where nothing has answered twice, no more than a few in a
        thousand are looked into for an answer of longer ago.
        """
        like = self.like
        if like is None:
            return None
        due = like.newest and like.after <= (soon if like.address == read[1] else recent)
        if self.copies:
            again = like.address == read[1] and like.pair is None
            return like.address if due or (like.after <= recent and not again) else None
        worth = like.pair is not None and self.checks < FREE + self.answers / RARE and like.after <= recent
        confirmed = self.alike if like.pair is None else self.pairs[like.pair]
        return like.address if confirmed < ALIKE and (due or worth) else None

    def answered_twice(self) -> None:
        """A second answer came, or another read's."""
        self.copies = True
        self.doubt_copies()

    def doubt_copies(self, *, left: int = 0) -> None:
        """Something on its line answers twice, or may be another thing now: so many confirmations count
        still.
        """
        self.alike = min(self.alike, left)
        self.pairs = Counter({pair: min(count, left) for pair, count in self.pairs.items() if left})

    def answered_once(self, like: Like | None) -> None:
        """An answer like another one was its own: no other one came behind it."""
        self.alike += 1
        if like is not None and like.pair is not None:
            self.pairs[like.pair] += 1
        if self.alike >= ALONE:
            self.copies = False

    def _beside(self, probe: Ask) -> bool:
        """Whether it touches the registers of the read that was missed."""
        function, address, count = self.missed
        return function == probe[0] and address < probe[1] + probe[2] and probe[1] < address + count

    def probe(self, now: float, wanted: Ask = (3, 0, 1)) -> Ask:
        """A read of a length that none of its unanswered requests has; by the place of the one that is
        `wanted` where nothing is known of its registers. Raises BadFrame when there is none.
        """
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
        places = [*self.answered_reads.values()] or self.probes or [wanted]
        function, address, _ = places[max(0, self.timeouts - 1) % len(places)]
        free = next((count for count in range(1, 126) if count not in self.unanswered), None)
        if free is None:
            free = min(self.unanswered, key=self.unanswered.__getitem__)
            if now - self.unanswered[free] < OWED:
                raise BadFrame(
                    f"unit {self.unit} answers no request by what was asked for",
                    hint="check that nothing else answers at its address, then restart it and its gateway",
                )
        return function, address, free
