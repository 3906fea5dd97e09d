"""Meters that leave requests out: the first one after a pause, for they sleep meanwhile, or every second one.

The first kind is asked once more at once, when that was tried and it answered, or when it refuses. That does
not help the second kind: where replies have no number, a reading that was missed is followed by a check read
of another length, and that by the next reading, so that it answers every check read and no reading, for ever.
What it is to leave out then is a check read, too, of a length that the reading has not: should that be
answered late, it is not taken for the reading.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeGuard

from gateway.config import TcpBus
from gateway.errors import NoReply, Refused
from gateway.field.bus.doubts import GATEWAYS
from gateway.field.bus.station import ASLEEP, CONFIRMED, TOLD, LeftOut, Station
from gateway.field.bus.transaction import Transactions
from gateway.field.facts import EVERY_SECOND, LONGEST
from gateway.field.port.contract import ReadSeries, Registers

log = logging.getLogger(__name__)

SILENT = (6, 20, 80)
"""Requests in a row without an answer after which the next one follows at once: it may be awake by then."""
SELDOM = 256
"""The same later on: after each so many."""
IDLE = 0.75
"""s without a request, from which a meter may sleep; one that needs silence between two needs less."""
LONG = 4.0
"""s without a request, from which that is tried: what follows sooner may meet a meter that the request before
has made deaf.
"""
RARELY = 1
"""What is left of `ASLEEP` when it was asked twice so often in vain: it may come back."""
WOKEN = 3
"""Times in a row that it answered the request after one that it had missed after a pause."""
WAKES_IN = 1.5
"""s after a request that it has missed in which any that sleeps is awake."""
AS_LONG = 0.98
"""Share of a pause that is as long: polls are not on the millisecond."""
BACK = 5
"""Requests in a row without an answer between two such times then."""
PASSING = frozenset({2, 3, 4, 5, 6})
"""Exceptions that a meter which was asleep may give, although it has the registers."""
REFUSALS, AGAIN = 3, 8
"""How often in a row a refusal of the first request after a pause is asked once more in vain; then one of so
many. Some are not ready for the first request, or refuse it with any exception.
"""
IN_STEP, TRIES = 3, 3
"""Readings in a row that were missed right after a check read was answered, before it is tried whether a
meter leaves out every second request; and readings that one may miss that does.
"""
Quiet = Callable[[Station], Coroutine[Any, Any, None]]
Again = Coroutine[Any, Any, Registers]


class Before(NamedTuple):
    """How it was before a request: `idle` s without one to its station, whether the line was `quiet`, and the
    requests that the station has not answered.
    """

    idle: float
    quiet: bool
    """Nothing was heard for `IDLE` s: else its meter may need silence, and not sleep."""
    missed: int


async def before(line: Transactions, station: Station) -> Before:
    """How it is before the next request. Where that is to show whether its meter sleeps, it waits until the
    line was silent.
    """
    idle = time.monotonic() - station.last
    rest = line.port.heard_at + IDLE - time.monotonic()
    if rest > 0.0 and _is_to_show(line, station, idle):
        line.spent += rest
        await asyncio.sleep(rest)
        rest = 0.0
    return Before(idle, rest <= 0.0, station.counters.timeouts)


def _is_to_show(line: Transactions, station: Station, idle: float) -> bool:
    known = station.left_out
    if idle < IDLE or known.sleeps or station.facts.fixed("sleeps_after") or not line.may_learn:
        return False
    silent = max(station.timeouts, station.given_up) + 1
    return _is_tried(known, silent, idle) or known.woken >= WOKEN - 1


def _is_tried(known: LeftOut, silent: int, idle: float) -> bool:
    """Whether it may sleep after `idle` s, as far as it is known, and that is tried behind so many `silent`
    requests.
    """
    return (silent in SILENT or silent % SELDOM == 0) and idle >= max(LONG, known.awake_after)


def may_be_awake(line: Transactions, station: Station, was: Before, error: NoReply | Refused) -> bool:
    """Whether to ask a station once more, at once, that has not answered, or that was not ready: `error` says
    which.
    """
    known, facts, idle = station.left_out, station.facts, was.idle
    if idle < IDLE or not line.port.connected or (idle == math.inf and not known.sleeps):
        return False
    if _is_own_refusal(error):
        in_vain = known.refused_twice
        return error.code in PASSING and (in_vain < REFUSALS or in_vain % AGAIN == 0) and line.may_learn
    if facts.fixed("sleeps_after"):
        return 0.0 < facts.sleeps_after <= idle
    if known.sleeps > RARELY:  # then it is what the meter takes
        return True
    silent = max(station.timeouts, station.given_up)
    if known.sleeps:
        return silent % BACK == 0 and line.may_learn
    return _is_tried(known, silent, idle) and was.quiet and line.may_learn


async def ask_at_once(
    line: Transactions, station: Station, was: Before, error: NoReply | Refused, ask: Callable[[], Again]
) -> Registers:
    """What `ask` brings, which was not answered, or refused. Raises like it."""
    began, state, answered = time.monotonic(), station.left_out, False
    known, refused = state.sleeps > RARELY, _is_own_refusal(error)
    try:
        registers = await (ask() if refused else _wake(line, station, ask))
        answered = True
    finally:
        if not known or refused:
            line.spent += time.monotonic() - began
        if refused:
            state.refused_twice = 0 if answered else state.refused_twice + 1
        elif answered:
            _sleeps(line, station, was.idle)
        elif known:
            state.sleeps -= 1
    return registers


async def _wake(line: Transactions, station: Station, ask: Callable[[], Again]) -> Registers:
    """What `ask` brings, at once or when it had the time to wake. Raises like it."""
    known, asked_at = station.left_out, line.asked_at
    if isinstance(line.bus, TcpBus) and not line.port.has_transaction_ids:
        # The late bound of a network is longer than it is awake. What is asked first is a check read: a late
        # answer has not its length.
        line.silent_until = time.monotonic()
    if not known.wakes_in:
        try:
            return await ask()
        except NoReply:
            # a gateway may serve nobody while it waits for one that is not there
            if not line.may_learn or (line.port.has_transaction_ids and not station.answers):
                raise
    await asyncio.sleep(max(0.0, asked_at + WAKES_IN - time.monotonic()))
    registers = await ask()
    known.wakes_in = WAKES_IN
    return registers


def _is_own_refusal(error: NoReply | Refused) -> TypeGuard[Refused]:
    """Whether the meter refused, not a gateway that did not reach it."""
    return isinstance(error, Refused) and error.code not in GATEWAYS


def _sleeps(line: Transactions, station: Station, idle: float) -> None:
    known, facts = station.left_out, station.facts
    if facts.fixed("sleeps_after") and not facts.sleeps_after:
        return
    known.sleeps, known.sleeps_after = ASLEEP, min(idle, known.sleeps_after)
    known.helped += 1
    if known.helped < TOLD:
        return
    if known.helped == TOLD:
        log.info(
            "bus %s: unit %d answers only when it is asked a second time: from now on it is, at once, "
            "whenever it does not answer",
            line.name,
            station.unit,
        )
    # rounded up: a shorter pause than the one that is kept says nothing against it
    facts.learn("sleeps_after", float(math.ceil(min(known.sleeps_after, LONGEST))))


def asked_in_vain(station: Station, was: Before, error: NoReply | Refused) -> None:
    """It did not answer, or refused, and was not asked again at once."""
    if _is_own_refusal(error):
        was_awake(station, was)
    else:
        _misses(station, was)


def _misses(station: Station, was: Before) -> None:
    known = station.left_out
    known.missed_after = was.idle if was.idle >= IDLE else 0.0
    known.missed_in_quiet = was.quiet


def asked_once(line: Transactions, station: Station, was: Before) -> None:
    """It answered at once. If it was the same each time after it had missed a request, it sleeps; if it
    answers after a pause, too, it does not.
    """
    known, idle = station.left_out, was.idle
    if known.every_second:
        return
    if station.counters.timeouts > was.missed:  # that was one to re-synchronise by, behind one in vain
        _misses(station, was)
        idle = 0.0
    if known.missed_after > idle:
        known.woken += 1
        known.sleeps_after = min(known.missed_after, known.sleeps_after)
        if known.woken >= WOKEN and known.missed_in_quiet:
            _sleeps(line, station, known.missed_after)
    else:
        was_awake(station, was)
        if math.inf > idle >= AS_LONG * known.sleeps_after:
            known.woken = known.sleeps = known.helped = 0
            known.sleeps_after = math.inf
            station.facts.forget("sleeps_after")
    known.missed_after = 0.0


def was_awake(station: Station, was: Before) -> None:
    """It answered the first request after a pause."""
    if IDLE <= was.idle < math.inf:
        station.left_out.awake_after = max(station.left_out.awake_after, was.idle)


def missed(line: Transactions, station: Station, *, checked: bool, left_out: float) -> None:
    """A reading was missed: right after a check read was answered (`checked`), or one was left out."""
    known = station.left_out
    known.missed_behind = known.missed_behind + 1 if checked or left_out else 0
    if left_out:
        _in_vain(station)
    if known.every_second and known.missed_behind >= TRIES:
        _end(line, station)


def answered(line: Transactions, station: Station, *, left_out: float) -> None:
    """A reading was answered; where one was `left_out` before, for so many s, that has another length."""
    known = station.left_out
    known.missed_behind = known.try_at = 0
    if not left_out:
        return
    line.all_answered(station)
    known.every_second, known.seconds = True, known.seconds or left_out
    known.times += 1
    if known.times == CONFIRMED:
        station.facts.learn("answers", EVERY_SECOND)
        log.warning(
            "bus %s: unit %d answers only every second request: it is asked twice for each → restart it; "
            "if that does not help, it needs another firmware",
            line.name,
            station.unit,
        )


async def leave_out(line: Transactions, station: Station, run: ReadSeries, quiet: Quiet) -> float:
    """Ask what is not answered, where the reading would not be: the s that this took, 0 when it was answered.
    `quiet` waits for the silence before a request. Raises like `read`.
    """
    state = station.left_out
    known = state.every_second  # then it is what the meter takes
    if not known and (
        state.missed_behind < max(state.try_at, IN_STEP)
        or not line.may_learn
        or station.facts.fixed("answers")
    ):
        return 0.0
    began = time.monotonic()
    try:
        for _ in range(2):
            station.unanswered[run.count] = began  # another length than this
            read = station.probe(began, (run.function, run.address, run.count))
            del station.unanswered[run.count]
            if not known:
                await asyncio.sleep(IDLE)  # one that needs silence between two requests answers then
            try:
                await line.check_read(station, *read)
            except NoReply:
                await quiet(station)
                return time.monotonic() - began
            except Refused:
                pass
            await quiet(station)
    finally:
        if not known:
            line.spent += time.monotonic() - began
    _in_vain(station)  # it answers two in a row
    if known:
        _end(line, station)
    return 0.0


def _in_vain(station: Station) -> None:
    """That was not it: it is tried again ever more seldom."""
    station.left_out.try_at = 2 * max(station.left_out.missed_behind, IN_STEP)


def _end(line: Transactions, station: Station) -> None:
    known = station.left_out
    if station.facts.fixed("answers"):
        return
    if known.times >= CONFIRMED:
        log.info("bus %s: unit %d answers each request again, or none", line.name, station.unit)
    known.every_second, known.seconds, known.times = False, 0.0, 0
    station.facts.forget("answers")
