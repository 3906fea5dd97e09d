"""A register's memory: which of its readings are believed, and the running total over rollovers, resets and
glitches.

What falls, or gains more than it can, waits until the next reads tell what it was: back in line → a glitch,
dropped; three reads that agree with one another → a new truth. The newest believed reading waits for the one
after it, for it may be the glitch itself.

The running total differs from what the register shows by whole base units, also after a reset or a swap (what
flowed meanwhile is not known to the unit anyway): so edges are the same wherever a rebuild begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import Any, Final

from gateway.energy.checks.register import (
    SLIP,
    TIMES,
    Context,
    Finding,
    Rate,
    is_impossible,
    is_leap,
    is_slip,
    rollover,
)
from gateway.energy.engine.edges import Point
from gateway.energy.engine.units import GRAIN

AGREE = 3
"""Reads in a row after which a doubted register is believed."""


@dataclass(slots=True)
class _Seen:
    """A believed reading: `since` is when the register first said so; `findings` are told when it is
    released.
    """

    t: int
    raw: int
    total: int
    since: int
    failed: str = ""
    findings: tuple[Finding, ...] = ()
    released: bool = False
    closed: bool = False
    """The next reading is another register's."""

    def state(self) -> list[Any]:
        """As JSON values."""
        findings = [finding.state() for finding in self.findings]
        flags = 2 * self.closed + self.released
        return [self.t, self.raw, self.total, self.since, self.failed, findings, flags]

    @classmethod
    def restored(cls, state: list[Any] | None) -> _Seen | None:
        """What `state` gave."""
        if state is None:
            return None
        *rest, findings, flags = state
        t, raw, total, since, failed = rest
        told = tuple(Finding.restored(each) for each in findings)
        return cls(t, raw, total, since, failed, told, bool(flags & 1), bool(flags & 2))

    def shift(self, by: int) -> None:
        """It was `by` ms earlier than it was said to be."""
        self.t -= by
        self.since -= by


_AHEAD: Final = 86_400_000
"""ms: what flows in so long may be on the display of an old meter beyond its last reading, however short ago
that was: pulses were missed, or the display of a radio meter is ahead."""
_Gain = tuple[int, tuple[Finding, ...], str]
"""Grains, what was found on the way, the check that failed there."""


class RunningTotal:
    """`take` readings in the order of their time; points of the running total and findings come out, some
    reads later.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rate = Rate()
        self._rate_before = Rate()
        """Without what the newest reading gained."""
        self._last: _Seen | None = None
        self._before: _Seen | None = None
        self._old: _Seen | None = None
        """The newest reading before the last reset."""
        self._unknown = ""
        """What makes the next step suspect whatever it is."""
        self._doubted: list[tuple[int, int]] = []
        self.step = 0
        """The largest amount (grains) of which every reading was a multiple."""

    def take(self, t: int, raw: int) -> Iterable[Point | Finding]:
        """Take in a reading (ms, grains)."""
        last = self._last
        # Behind zeros alone a reading is a multiple of itself, however wrong it is.
        self.step = gcd(self.step, raw) if self.step or last is None else _decimal_step(raw)
        if last is None:
            self._last = _Seen(t, raw, raw, t)
            return ()
        if self._doubted:
            return self._weigh(last, t, raw)
        gain = self._gain(last, t, raw)
        if gain is None:
            self._doubted = [(t, raw)]
            return ()
        return self._believe(t, raw, *gain)

    def _weigh(self, last: _Seen, t: int, raw: int) -> Iterator[Point | Finding]:
        """A reading behind those that are in doubt."""
        agrees = self._agrees(*self._doubted[-1], t, raw)
        # A leap that goes on is confirmed: seen from before it, it only looks slower with every read.
        goes_on = agrees and last.raw < self._doubted[0][1] and self._doubted[-1][1] <= raw
        gain = None if goes_on else self._gain(last, t, raw)
        if gain is not None:
            yield from self._drop()
            yield from self._believe(t, raw, *gain)
        elif agrees:
            self._doubted.append((t, raw))
            if len(self._doubted) == AGREE:
                yield from self._decide(last)
        else:
            yield from self._drop()
            self._doubted = [(t, raw)]

    def swap(
        self, t: int, closing: int | None = None, opening: int | None = None
    ) -> Iterator[Point | Finding]:
        """From `t` on it is another register, which goes on from the total reached.

        `closing` and `opening` are what the old and the new one showed then (grains).
        Without them, what flowed between the last reading of the old and the first of the new is not known:
        0, and suspect.
        """
        last = self._last
        if last is None:
            return
        yield from self._drop()
        if last.closed and closing is not None:
            self._unknown = ""  # nothing was read since the exchange before: this says what it was
        gained = -1 if closing is None or t <= last.t else closing - last.raw
        if gained > 0 and is_impossible(self._context, gained, max(t - last.since, _AHEAD), self.step):
            gained, closing = -1, None  # an index that was typed amiss
        if closing is not None and gained >= 0:
            yield from self._believe(t, closing, closing - last.raw)
            last = self._last or last
        yield from self._release(last)
        amounts = {"closed": last.raw} | ({} if opening is None else {"opened": opening})
        yield Finding("swap", t, amounts)
        self._before, self._old, self._rate, self.step = None, None, Rate(), opening or 0
        whole = closing is not None and opening is not None
        self._last = _Seen(
            last.t,
            last.raw if opening is None else opening,
            last.total if opening is None else last.total + _whole(opening, last.total),
            last.t,
            released=True,
            closed=opening is None,
        )
        if not whole:
            self._unknown = "swap"

    def shift(self, by: int) -> None:
        """All that was read was read `by` ms earlier: the clock was wrong."""
        for seen in {id(each): each for each in (self._last, self._before, self._old) if each}.values():
            seen.shift(by)
        self._doubted = [(t - by, raw) for t, raw in self._doubted]

    def state(self) -> list[Any]:
        """Everything that it knows, as JSON values."""
        seen = [each and each.state() for each in (self._last, self._before, self._old)]
        rates = [[rate.gain, rate.elapsed, rate.seen] for rate in (self._rate, self._rate_before)]
        return [*seen, *rates, self._unknown, self._doubted, self.step]

    def restore(self, state: list[Any]) -> None:
        """Know what `state` gave."""
        last, before, old, rate, rate_before, self._unknown, doubted, self.step = state
        self._last, self._before, self._old = (_Seen.restored(each) for each in (last, before, old))
        self._rate, self._rate_before = Rate(*rate), Rate(*rate_before)
        self._doubted = [(t, raw) for t, raw in doubted]

    @property
    def newest(self) -> int | None:
        """When the newest reading was that is believed (ms)."""
        return self._last.t if self._last else None

    @property
    def is_known(self) -> bool:
        """Whether it has moved often enough to say what its step is."""
        return self._rate.known

    def close(self) -> Iterator[Point | Finding]:
        """Nothing more will come: the newest reading is as good as it will ever be, what is in doubt stays
        so.
        """
        if self._last is not None:
            yield from self._release(self._last)
            if self._doubted:
                t, raw = self._doubted[0]
                yield Finding(
                    "in_doubt", t, {"from": self._last.raw, "to": raw}, {"reads": len(self._doubted)}
                )

    def _gain(self, seen: _Seen, t: int, raw: int) -> _Gain | None:
        """What was gained since a believed reading; None: that cannot be, or not yet be believed."""
        if seen.closed:
            return _whole(raw, seen.total), (), ""
        gain, elapsed = raw - seen.raw, t - seen.since
        if gain >= 0:
            if self._old is not None and (back := self._returned(seen, t, raw)) is not None:
                return back
            if is_impossible(self._context, gain, elapsed, self.step):
                return None
            leap = is_leap(self._context, self._rate, gain, elapsed, self.step)
            return None if leap else (gain, (), "")
        over = rollover(self._context, self._rate, seen.raw, raw, elapsed=elapsed, step=self.step)
        if over is None:
            return None
        gain, assumed = over
        amounts = {"from": seen.raw, "to": raw, "gain": gain, "modulus": gain + seen.raw - raw}
        return gain, (Finding("rollover", t, amounts, {"assumed": assumed}),), ""

    def _returned(self, seen: _Seen, t: int, raw: int) -> _Gain | None:
        """A register that had begun anew shows, in one step, what follows from its old value: it had only
        been away.
        """
        old = self._old
        if old is None or not seen.raw < old.raw <= raw or 2 * (raw - seen.raw) <= old.raw:
            return None
        gain = old.total + raw - old.raw - seen.total
        if gain < 0 or is_impossible(self._context, raw - old.raw, t - old.since, self.step):
            return None
        return gain, (Finding("returned", t, {"from": seen.raw, "to": raw, "before": old.raw}),), "reset"

    def _agrees(self, before: int, old: int, t: int, raw: int) -> bool:
        """Whether one doubted read follows from the one before it."""
        if raw >= old:
            return not is_impossible(self._context, raw - old, t - before, self.step)
        return is_slip(self._context, self._rate, old, raw, elapsed=t - before, step=self.step)

    def _believe(
        self, t: int, raw: int, gain: int, findings: tuple[Finding, ...] = (), failed: str = ""
    ) -> list[Point | Finding]:
        last = self._last
        assert last is not None
        released = self._release(last)
        failed, self._unknown = failed or self._unknown, ""
        self._rate_before = self._rate
        if gain > 0 and not failed:
            self._rate = self._rate.with_gain(gain, t - last.since)
        unchanged = raw == last.raw and not findings and not failed
        self._before = last
        self._last = _Seen(t, raw, last.total + gain, last.since if unchanged else t, failed, findings)
        return released

    @staticmethod
    def _release(seen: _Seen) -> list[Point | Finding]:
        if seen.released:
            return []
        seen.released = True
        return [*seen.findings, Point(seen.t, seen.total, seen.failed)]

    def _drop(self) -> Iterator[Finding]:
        """What was in doubt was a glitch."""
        assert self._last is not None
        for t, raw in self._doubted:
            yield Finding("glitch", t, {"register": raw, "before": self._last.raw})
        self._doubted = []

    def _decide(self, last: _Seen) -> Iterator[Point | Finding]:
        """Three reads agree: which story is the true one."""
        doubted, self._doubted = self._doubted, []
        raws = [raw for _, raw in doubted]
        rises = raws == sorted(raws)
        before = self._before
        if rises and before is not None and self._stands_out(before, last, raws[0]):
            gain = self._gain(before, *doubted[0])
            if gain is not None and not gain[1]:
                yield Finding("glitch", last.t, {"register": last.raw, "before": before.raw})
                self._last, self._before, self._rate = before, None, self._rate_before
        # A load that was switched on flows on; a register that jumped does not.
        flow = Rate(raws[-1] - raws[0], doubted[-1][0] - doubted[0][0])
        for t, raw in doubted:
            yield from self._accept(t, raw, rises, flow)

    def _stands_out(self, before: _Seen, last: _Seen, after: int) -> bool:
        """Whether the newest believed reading is the glitch: it is in line with neither side, and came
        faster than is usual.
        """
        if last.released or before.raw <= last.raw <= after:
            return False
        rate, gain = self._rate_before, last.raw - before.raw
        return gain < 0 or not rate.known or not rate.allows(gain, last.t - before.since, SLIP, self.step)

    def _accept(self, t: int, raw: int, rises: bool, flow: Rate) -> Iterator[Point | Finding]:
        """Believe a read that was doubted, with the check that its step fails."""
        last = self._last
        assert last is not None
        plain = self._gain(last, t, raw)
        if plain is not None:
            yield from self._believe(t, raw, *plain)
            return
        gain, elapsed = raw - last.raw, t - last.since
        amounts = {"from": last.raw, "to": raw}
        if gain >= 0:
            impossible = is_impossible(self._context, gain, elapsed, self.step)
            facts = {"elapsed": elapsed, "most": self._context.most}
            jumped = impossible or not flow.allows(gain, elapsed, TIMES, self.step)
            kind = "impossible_rate" if impossible else "leap" if jumped else ""
            yield from self._believe(t, raw, gain, (Finding(kind, t, amounts, facts),) if kind else (), kind)
        elif not rises or is_slip(self._context, self._rate, last.raw, raw, elapsed=elapsed, step=self.step):
            yield from self._believe(t, raw, gain, (Finding("negative_step", t, amounts),), "negative_step")
        else:
            found = (Finding("reset", t, amounts),)
            yield from self._believe(t, raw, _whole(raw, last.total), found, "reset")
            self._old = last


def _decimal_step(raw: int) -> int:
    """The largest power of ten of which a reading is a multiple (grains); 0 of 0."""
    step = 1
    while raw and raw % (10 * step) == 0:
        step *= 10
    return step if raw else 0


def _whole(raw: int, total: int) -> int:
    """The least gain after which `total` differs from `raw` by whole base units: less than one (grains)."""
    return (raw - total) % GRAIN
