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
from typing import Any, TypeGuard

from gateway.errors import NoReply, Refused
from gateway.field.bus.doubts import GATEWAYS
from gateway.field.bus.station import Station
from gateway.field.bus.transaction import Transactions
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
ASLEEP, RARELY = 8, 1
"""How often one that sleeps is asked twice in a row in vain; and what is left then: it may come back."""
WOKEN = 3
"""Times in a row that it answered the request after one that it had missed after a pause."""
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
CONFIRMED = 8
"""Readings behind a request that was left out, before it is told: noise may look like one."""
Quiet = Callable[[Station], Coroutine[Any, Any, None]]
Again = Coroutine[Any, Any, Registers]


def may_be_awake(line: Transactions, station: Station, idle: float, error: NoReply | Refused) -> bool:
    """Whether to ask a station once more, at once, that has not answered after `idle` s without a request, or
    that was not ready for it: `error` says which.
    """
    if not (IDLE <= idle < math.inf and line.port.connected):
        return False
    if _is_own_refusal(error):
        in_vain = station.refused_twice
        return error.code in PASSING and (in_vain < REFUSALS or in_vain % AGAIN == 0) and line.may_learn
    if station.sleeps > RARELY:  # then it is what the meter takes
        return True
    silent = max(station.timeouts, station.given_up)
    tried = silent % BACK == 0 if station.sleeps else silent in SILENT or silent % SELDOM == 0
    long = bool(station.sleeps) or idle >= max(LONG, station.awake_after)
    return tried and long and line.may_learn


async def ask_at_once(
    line: Transactions, station: Station, idle: float, error: NoReply | Refused, ask: Callable[[], Again]
) -> Registers:
    """What `ask` brings, which was not answered, or refused, after `idle` s without a request. Raises like
    it.
    """
    began, known, answered = time.monotonic(), station.sleeps > RARELY, False
    refused = _is_own_refusal(error)
    try:
        registers = await ask()
        answered = True
    finally:
        if not known or refused:
            line.spent += time.monotonic() - began
        if refused:
            station.refused_twice = 0 if answered else station.refused_twice + 1
        elif answered:
            _sleeps(line, station, idle)
        elif known:
            station.sleeps -= 1
    return registers


def _is_own_refusal(error: NoReply | Refused) -> TypeGuard[Refused]:
    """Whether the meter refused, not a gateway that did not reach it."""
    return isinstance(error, Refused) and error.code not in GATEWAYS


def _sleeps(line: Transactions, station: Station, idle: float) -> None:
    if not station.sleeps:
        log.info(
            "bus %s: unit %d answers only when it is asked a second time: from now on it is, at once, "
            "whenever it does not answer",
            line.name,
            station.unit,
        )
    station.sleeps, station.sleeps_after = ASLEEP, min(idle, station.sleeps_after)


def asked_in_vain(station: Station, idle: float) -> None:
    """It did not answer after so many s without a request, and was not asked again at once."""
    station.missed_after = idle if idle >= IDLE else 0.0


def was_awake(station: Station, idle: float) -> None:
    """It answered the first request after so many s without one."""
    station.awake_after = max(station.awake_after, idle if idle < math.inf else 0.0)


def asked_once(line: Transactions, station: Station, idle: float) -> None:
    """It answered at once, after so many s without a request. If it was the same each time after it had
    missed one, it sleeps; if it answers after a pause, too, it does not.
    """
    if station.missed_after > idle:
        station.woken += 1
        station.sleeps_after = min(station.missed_after, station.sleeps_after)
        if station.woken >= WOKEN:
            _sleeps(line, station, station.missed_after)
    elif idle >= IDLE:
        was_awake(station, idle)
        if idle >= AS_LONG * station.sleeps_after:
            station.woken = station.sleeps = 0
            station.sleeps_after = math.inf
    station.missed_after = 0.0


def missed(line: Transactions, station: Station, *, checked: bool, left_out: float) -> None:
    """A reading was missed: right after a check read was answered (`checked`), or one was left out."""
    station.in_step = station.in_step + 1 if checked or left_out else 0
    if left_out:
        _in_vain(station)
    if station.left_out and station.in_step >= TRIES:
        _end(line, station)


def answered(line: Transactions, station: Station, *, left_out: float) -> None:
    """A reading was answered; where one was `left_out` before, for so many s, that has another length."""
    station.in_step, station.try_at_step = 0, IN_STEP
    if not left_out:
        return
    line.all_answered(station)
    station.left_out = station.left_out or left_out
    station.left_out_times += 1
    if station.left_out_times == CONFIRMED:
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
    known = bool(station.left_out)  # then it is what the meter takes
    if not known and (station.in_step < station.try_at_step or not line.may_learn):
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
    station.try_at_step = 2 * max(station.in_step, IN_STEP)


def _end(line: Transactions, station: Station) -> None:
    if station.left_out_times >= CONFIRMED:
        log.info("bus %s: unit %d answers each request again, or none", line.name, station.unit)
    station.left_out, station.left_out_times = 0.0, 0
