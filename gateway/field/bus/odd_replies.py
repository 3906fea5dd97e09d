"""When a difference between a gateway's replies and the standard is believed: when it is constant, and cannot
be a late reply.

It takes silence of the late-answer bound and two check reads whose length no unanswered request had. A single
plain reply says that the difference is none; once there was one, only many odd ones in a row are worth the
check. What is believed ends with a few replies in a row that are as the standard has them.

Only the protocol says nothing that the number does not say: where that is right, one that changes from reply
to reply is believed to be anything.
"""

from __future__ import annotations

import logging
import time

from gateway.errors import BadFrame, NoReply, Refused
from gateway.field.bus.station import Station
from gateway.field.bus.transaction import Transactions
from gateway.field.port.difference import FIELDS, Difference, Field, OddReply, rule_of, tells_apart

log = logging.getLogger(__name__)

CHECKS = 2
"""Check reads that have to differ in the same way."""
ROW = 10
"""Odd replies in a row of a station that has given plain ones, before it is worth a check."""
FAILURES = 2
"""Check reads that may bring nothing."""
REST = 60.0
"""s between two attempts with a station."""
PLAIN, MANY_PLAIN = 3, 100
"""Replies in a row, as the standard has them, that end the belief in a difference; so many where none is
foretold: what is of the gateway's own may be right now and then.
"""


async def believe(line: Transactions, station: Station, odd: OddReply) -> None:
    """Find out whether a difference is constant, as far as there is time for that; if so, replies are read
    accordingly from then on. Raises OddReply, BusDown.
    """
    difference = odd.difference
    if (
        not line.may_learn
        or _fixed(line, station, difference.field)
        or (station.plain and station.odd < ROW and not _idle(line, difference.field))
        or time.monotonic() < station.check_at
    ):
        raise odd
    began = time.monotonic()
    station.check_at = began + REST
    try:
        pairs = await _pairs(line, station, odd)
    finally:
        line.spent += time.monotonic() - began
    station.unanswered.clear()
    _believe(line, station, difference, pairs)


async def _pairs(line: Transactions, station: Station, odd: OddReply) -> list[tuple[int, int]]:
    """What was asked and seen in the field of a reply and of `CHECKS` more. Raises OddReply, BusDown when
    they do not differ alike, and the field is not `_idle`.
    """
    difference = odd.difference
    idle = _idle(line, difference.field)
    pairs = [(difference.asked, difference.seen)]
    failures = 0
    while len(pairs) <= CHECKS:
        await line.silence_of(station)
        function, address, count = station.probe(time.monotonic())
        try:
            await line.check_read(station, function, address, count)
        except OddReply as again:
            other = again.difference
            alike = other.field not in {"unit", "protocol"} or other.seen == difference.seen
            if other.field != difference.field or not (alike or idle):
                raise
            pairs.append((other.asked, other.seen))
        except (BadFrame, NoReply, Refused):
            failures += 1
            if failures > FAILURES:
                raise odd from None
        else:
            if not idle:
                raise odd from None
            pairs.append((difference.asked, difference.asked))
    return pairs


def _idle(line: Transactions, field: Field) -> bool:
    """Whether nothing would be known by a field that the number does not say."""
    return field == "protocol" and line.port.has_transaction_ids


def doubt(line: Transactions, station: Station) -> None:
    """An answer was as the standard has it where a difference is believed, or differed again."""
    port, plain = line.port, line.plain
    if port.answers:  # which differed, or the port had not gone on by itself
        plain.clear()
    for field in FIELDS:
        key = (field, station.unit if field in {"unit", "count"} else 0)
        if field not in port.refuted:
            plain.pop(key, None)
            continue
        plain[key] = plain.get(key, 0) + 1
        if plain[key] >= (MANY_PLAIN if getattr(line.form, field, "") == "own" else PLAIN):
            del plain[key]
            _end(line, station, field)


def _end(line: Transactions, station: Station, field: Field) -> None:
    """The gateway was mended, or is another one."""
    if _fixed(line, station, field):
        return
    form, key = line.form, f"reply_{field}"
    match field:
        case "number":
            line.renumber("asked")
        case "length":
            form.length = "asked"
        case "protocol":
            form.protocol = 0
        case "unit":
            form.units.pop(station.unit, None)
        case "count":
            form.counting.discard(station.unit)
    for facts in (line.facts, station.facts):
        facts.forget(key)
    log.info("bus %s: unit %d answers with the right %s now", line.bus.name, station.unit, field)


def _fixed(line: Transactions, station: Station, field: Field) -> bool:
    key = f"reply_{field}"
    return line.facts.fixed(key) or station.facts.fixed(key)


def _believe(
    line: Transactions, station: Station, difference: Difference, pairs: list[tuple[int, int]]
) -> None:
    form, name = line.form, line.bus.name
    if difference.field == "unit":
        unit = difference.seen
        alike = unit in form.units.values()
        form.units[station.unit] = unit
        station.facts.learn("reply_unit", unit)
        others = [each for each in line.stations if each.unit not in {unit, *form.units}]
        if alike and not any(each.plain for each in others):  # one unit for whomever was asked
            line.facts.learn("reply_unit", unit)
            form.units |= {each.unit: unit for each in others}
    elif difference.field == "count":
        form.counting.add(station.unit)
        station.facts.learn("reply_count", "registers")
    elif difference.field == "protocol":
        form.protocol = "own" if len(set(pairs)) > 1 else difference.seen
        line.facts.learn("reply_protocol", form.protocol)
        if form.protocol == "own":
            log.info("bus %s: the protocol of replies changes and says nothing: it is read so", name)
            return
    else:
        rule = rule_of(pairs)
        line.facts.learn(f"reply_{difference.field}", rule)
        if difference.field == "length":
            form.length = rule
        else:
            line.renumber(rule)
            if not tells_apart(rule):
                log.info(
                    "bus %s: numbers say nothing here (%s), so the rules of a serial line hold", name, rule
                )
    log.info("bus %s: unit %d always answers %s: it is read so", name, station.unit, difference)
