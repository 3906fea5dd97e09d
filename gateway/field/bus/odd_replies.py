"""When a difference between a gateway's replies and the standard is believed: when it is constant, and cannot
be a late reply.

It takes silence of the late-answer bound and two check reads whose length no unanswered request had. A single
plain reply says that the difference is none; once there was one, only many odd ones in a row are worth the
check.
"""

from __future__ import annotations

import logging
import time

from gateway.errors import BadFrame, NoReply, Refused
from gateway.field.bus.station import Station
from gateway.field.bus.transaction import Transactions
from gateway.field.port.difference import Difference, OddReply, rule_of, tells_apart

log = logging.getLogger(__name__)

CHECKS = 2
"""Check reads that have to differ in the same way."""
ROW = 10
"""Odd replies in a row of a station that has given plain ones, before it is worth a check."""
FAILURES = 2
"""Check reads that may bring nothing."""
REST = 60.0
"""s between two attempts with a station."""


async def believe(line: Transactions, station: Station, odd: OddReply) -> None:
    """Find out whether a difference is constant; if so, replies are read accordingly from then on. Raises
    OddReply, BusDown.
    """
    difference = odd.difference
    if (
        _fixed(line, station, difference)
        or (station.plain and station.odd < ROW)
        or time.monotonic() < station.check_at
    ):
        raise odd
    station.check_at = time.monotonic() + REST
    pairs = [(difference.asked, difference.seen)]
    failures = 0
    while len(pairs) <= CHECKS:
        await line.silence_of(station)
        function, address, count = station.probe(time.monotonic())
        try:
            await line.check_read(station, function, address, count)
        except OddReply as again:
            other = again.difference
            if other.field != difference.field or (
                other.field in {"unit", "protocol"} and other.seen != difference.seen
            ):
                raise
            pairs.append((other.asked, other.seen))
        except (BadFrame, NoReply, Refused):
            failures += 1
            if failures > FAILURES:
                raise odd from None
        else:
            raise odd from None
    station.unanswered.clear()
    _take(line, station, difference, pairs)


def _fixed(line: Transactions, station: Station, difference: Difference) -> bool:
    if difference.field == "number":
        return line.facts.fixed("reply_number")
    return difference.field == "unit" and (
        line.facts.fixed("reply_unit") or station.facts.fixed("reply_unit")
    )


def _take(line: Transactions, station: Station, difference: Difference, pairs: list[tuple[int, int]]) -> None:
    port, name = line.port, line.bus.name
    if difference.field == "unit":
        port.reply_units[station.unit] = difference.seen
        station.facts.learn("reply_unit", difference.seen)
    elif difference.field == "protocol":
        port.reply_protocol = difference.seen
    elif difference.field == "length":
        port.reply_length = False
    else:
        rule = rule_of(pairs)
        line.renumber(rule)
        line.facts.learn("reply_number", rule)
        if not tells_apart(rule):
            log.info("bus %s: numbers say nothing here (%s), so the rules of a serial line hold", name, rule)
    log.info("bus %s: unit %d always answers %s: it is read so", name, station.unit, difference)
