"""From what was measured on a line to the features that tell one fault from another. Pure.

A feature is True, False, or None when too little was measured to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from gateway.commissioning.doctor.line.traces import LineTraces, Trace, share

_LEAST_BAD: Final = 3
_ILL: Final = 0.03
"""Share of reads without a whole answer up to which a line is sound: one in thirty is asked again and costs
nothing."""
_CLEAN: Final = 0.02
_NOISE: Final = 0.3
"""Bytes a second on an idle line that are no frame."""
_OFTEN: Final = 0.15
_MOST: Final = 0.5
_SIGMA: Final = 2.5
_TWICE: Final = 3
"""How much longer than the short read the long one must be to compare them."""
_RESTED: Final = 0.2
_SOME: Final = 3
"""Bytes: more of them are an answer, if a damaged one."""

Feature = bool | None


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What a line shows. `counts` are the figures behind the features, for the evidence."""

    port_lost: Feature = None
    foreign: Feature = None
    nobody: Feature = None
    mute: Feature = None
    breaks: Feature = None
    garbage: Feature = None
    elsewhere: Feature = None
    elsewhere_port: Feature = None
    idle_noise: Feature = None
    damage: Feature = None
    grows: Feature = None
    spread: Feature = None
    clustered: Feature = None
    lead: Feature = None
    tail: Feature = None
    one_only: Feature = None
    always: Feature = None
    two: Feature = None
    hasty: Feature = None
    busy: Feature = None
    late: Feature = None
    marks: Feature = None

    @property
    def ill(self) -> bool:
        """Whether there is anything at all that a sound line does not show."""
        told = (
            self.port_lost, self.foreign, self.nobody, self.idle_noise, self.damage, self.lead, self.tail,
            self.two, self.hasty, self.busy, self.late,
        )  # fmt: skip
        return any(told)


def bad_share(traces: Sequence[Trace]) -> float:
    """Share of reads that brought no whole answer; 0 of none."""
    return sum(not trace.good for trace in traces) / len(traces) if traces else 0.0


def ill_reads(traces: Sequence[Trace]) -> bool:
    """Whether so many reads failed that it is no chance."""
    return sum(not trace.good for trace in traces) >= _LEAST_BAD and bad_share(traces) > _ILL


def symptoms(measured: LineTraces) -> Symptoms:
    """The features of a line."""
    every = measured.every()
    answering = {name: reads for name, reads in measured.reads.items() if any(trace.known for trace in reads)}
    reads = [trace for each in answering.values() for trace in each]
    lost = measured.losses > 0 or (measured.history or 0) > 0
    if not every:
        return Symptoms(port_lost=lost)
    idle = sum(each.seconds for each in measured.idle)
    noise = sum(each.noise for each in measured.idle)
    masters = sum(each.masters for each in measured.idle) + sum(trace.masters for trace in every)
    nobody = not reads
    heard = nobody and any(trace.size for trace in every)
    common = Symptoms(
        port_lost=lost,
        foreign=masters >= 2,
        nobody=nobody,
        idle_noise=(noise >= 2 and noise / idle >= _NOISE) if idle else None,
        elsewhere=bool(measured.elsewhere) if nobody and measured.searched else None,
        elsewhere_port=any(each.port for each in measured.elsewhere) if nobody else None,
        mute=not any(trace.size for trace in every) if nobody else None,
        breaks=sum(trace.breaks for trace in every) >= _MOST * len(every) if heard else None,
        marks=any(trace.marks for trace in every) if heard else None,
        lead=_often(every, lambda trace: trace.lead > 0) if heard else None,
        garbage=sum(trace.size > _SOME for trace in every) >= _MOST * len(every) if heard else None,
    )
    return common if nobody else _of_answers(common, measured, answering)


def _of_answers(common: Symptoms, measured: LineTraces, answering: dict[str, list[Trace]]) -> Symptoms:
    """The features of a line on which somebody answers."""
    reads = sorted((trace for each in answering.values() for trace in each), key=lambda trace: trace.at)
    ill = {name: each for name, each in answering.items() if ill_reads(each)}
    worst = max(answering.values(), key=bad_share)
    damage = bool(ill) or ill_reads(reads)
    sufferers = [trace for each in (ill or answering).values() for trace in each]
    short, long = _by_length(sufferers)
    others = [trace for name, each in answering.items() if name not in ill for trace in each]
    return replace(
        common,
        damage=damage,
        grows=_grows(short, long) if damage else None,
        spread=_spread(answering) if damage and len(answering) > 1 else None,
        clustered=_clustered(reads) if damage else None,
        lead=_often(reads, lambda trace: trace.lead > 0),
        tail=_often(worst, lambda trace: trace.tail > 0)
        or any(_often(each, lambda trace: trace.tail > 0) for each in answering.values()),
        one_only=(len(ill) == 1 and bad_share(others) <= _CLEAN) if damage and len(answering) > 1 else None,
        always=_always(short) if damage else None,
        two=any(_two(measured, name, each) for name, each in answering.items()),
        hasty=_hasty(sufferers),
        busy=any(map(_busy, answering.values())),
        late=sum(trace.late for trace in reads) >= 2,
    )


def _busy(reads: Sequence[Trace]) -> bool:
    """Whether a meter says now and then that it is not ready; one that always does is not asked too fast."""
    return sum(trace.not_ready for trace in reads) >= 2 and any(trace.outcome == "answer" for trace in reads)


def _by_length(reads: Sequence[Trace]) -> tuple[list[Trace], list[Trace]]:
    """Short and long reads, as they were asked for; none where they are of about one length."""
    counts = sorted({trace.count for trace in reads})
    if not counts or counts[-1] < _TWICE * counts[0]:
        return list(reads), []
    edge = math.sqrt(counts[0] * counts[-1])
    return [trace for trace in reads if trace.count <= edge], [t for t in reads if t.count > edge]


def _grows(short: Sequence[Trace], long: Sequence[Trace]) -> Feature:
    """Whether long answers fail more often than short ones."""
    bad = sum(not trace.good for trace in (*short, *long))
    if not long or bad < _LEAST_BAD + 1:
        return None
    low, high = bad_share(short), bad_share(long)
    if high >= 2 * low + 0.05:
        return True
    return False if high <= 1.3 * low + 0.05 else None


def _spread(answering: dict[str, list[Trace]]) -> Feature:
    """Whether some meters suffer more than others: two shares of long reads apart by `_SIGMA` deviations."""
    shares = []
    for reads in answering.values():
        _, long = _by_length(reads)
        shares.append((bad_share(long or reads), len(long or reads)))
    (low, n), (high, m) = min(shares), max(shares)
    mean = (low * n + high * m) / (n + m)
    deviation = math.sqrt(max(mean * (1 - mean), 1e-4) * (1 / n + 1 / m))
    apart = (high - low) / deviation
    return True if apart >= _SIGMA else False if apart < 1.0 else None


def _clustered(reads: Sequence[Trace]) -> Feature:
    """Whether failures come one after another in time."""
    bad = [not trace.good for trace in reads]
    followed = [after for before, after in pairwise(bad) if before]
    if len(followed) < _LEAST_BAD + 1:
        return None
    return sum(followed) / len(followed) >= sum(bad) / len(bad) + 0.2


def _often(reads: Sequence[Trace], what: Callable[[Trace], bool]) -> bool:
    """Whether it is seen at so many of the reads that brought something that it is no chance."""
    heard = [trace for trace in reads if trace.size]
    count = sum(what(trace) for trace in heard)
    return count >= _LEAST_BAD and count >= _OFTEN * len(heard)


def _always(short: Sequence[Trace]) -> Feature:
    """Whether even short answers come damaged more often than not, and never fail to come: the request is
    heard, so the line is good, and the answer is not one.
    """
    if len(short) < _LEAST_BAD:
        return None
    return share(short, "damaged") >= 0.4 and share(short, "silent") <= _OFTEN


def _two(measured: LineTraces, name: str, reads: Sequence[Trace]) -> bool:
    """Whether one address has two voices: two answers to a request, or two serial numbers."""
    serials = measured.serials.get(name, [])
    known = {number for number in serials if serials.count(number) > 1 or len(set(serials)) == len(serials)}
    return sum(trace.answers > 1 for trace in reads) >= 2 or len(known) > 1


def _hasty(reads: Sequence[Trace]) -> Feature:
    """Whether only reads without a rest before them fail."""
    quick = [trace for trace in reads if trace.pause < _RESTED]
    rested = [trace for trace in reads if trace.pause >= _RESTED]
    if len(rested) < _LEAST_BAD or len(quick) < _LEAST_BAD:
        return None
    fails = [sum(not trace.good or trace.not_ready for trace in each) for each in (quick, rested)]
    return fails[0] >= _LEAST_BAD and fails[0] / len(quick) > _OFTEN and fails[1] <= _CLEAN * len(rested)
