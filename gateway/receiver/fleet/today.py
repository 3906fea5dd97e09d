"""How much of what a gateway should have read since its midnight is here: polls that were answered, of all
that its description promises, over the hours that have ended and are rolled up.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.receiver.store.arrivals import HOUR, hour_of
from gateway.receiver.store.ledgers import rows_about
from gateway.receiver.store.sql import Sql
from gateway.receiver.upkeep.readings import GRACE

MOST_METERS = 1000
"""Of one gateway that are looked at."""
LEAST = 0.1
"""Seconds between two polls: what is polled without a pause promises nothing."""


def shares(conn: Sql, midnights: Mapping[str, int], now: int) -> dict[str, float]:
    """0 to 1 for each gateway of which it can be told; `midnights` are when its day began (UTC ms). One that
    is new today promises nothing before its first batch.
    """
    end = hour_of(now - GRACE)
    first = dict(rows_about(conn, list(midnights), "min(first_t)", "epoch", "GROUP BY gateway"))
    begins = {gateway: max(begin, first.get(gateway) or 0) for gateway, begin in midnights.items()}
    spans = {gateway: range(-(-begin // HOUR) * HOUR, end, HOUR) for gateway, begin in begins.items()}
    gateways = [gateway for gateway, hours in spans.items() if hours]
    pending = _pending(conn, gateways, sorted({hour for hours in spans.values() for hour in hours}))
    found = {}
    for gateway, polls in _promised(conn, gateways):
        hours = [hour for hour in spans[gateway] if hour not in pending[gateway]]
        if polls and hours:
            answered = _answered(conn, gateway, polls, hours)
            found[gateway] = answered / (len(hours) * sum(polls.values()))
    return found


def _pending(conn: Sql, gateways: Sequence[str], hours: Sequence[int]) -> defaultdict[str, set[int]]:
    """Hours that have changed and are not rolled up yet: nothing can be told of them."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for each in hours:
        for gateway, hour in rows_about(
            conn, gateways, "hour", "changed_hour", "AND hour = ? GROUP BY gateway, hour", each
        ):
            found[gateway].add(hour)
    return found


def _promised(conn: Sql, gateways: Sequence[str]) -> Iterator[tuple[str, dict[str, int]]]:
    """Each gateway with the polls of an hour of its meters, by their newest description."""
    newest = "AND received = (SELECT max(received) FROM meters WHERE gateway = m.gateway)"
    told = dict(rows_about(conn, gateways, "description", "meters AS m", newest))
    for gateway, description in told.items():
        yield gateway, polls_of(description)


def polls_of(description: str) -> dict[str, int]:
    """Polls in an hour of each meter that has one in it, of a P/meters; pulse inputs are not polled.

    >>> polls_of('{"meters": [{"id": "main", "interval": 10.0}, {"id": "water", "pin": 17}]}')
    {'main': 360}
    """
    meters = json.loads(description).get("meters")
    polls: dict[str, int] = {}
    for meter in meters[:MOST_METERS] if isinstance(meters, list) else ():
        known: dict[str, Any] = meter if isinstance(meter, dict) else {}
        name, interval = known.get("id"), known.get("interval")
        if isinstance(name, str) and isinstance(interval, int | float) and LEAST <= interval <= HOUR / 1000:
            polls[name] = int(HOUR / (1000 * interval))
    return polls


def _answered(conn: Sql, gateway: str, polls: Mapping[str, int], hours: Sequence[int]) -> int:
    """Polls of these hours that brought something; what came in two rows counts once."""
    wanted, marks = set(hours), ", ".join("?" * len(polls))
    sql = f"""SELECT meter, t, readings - missing FROM reading_hour
        WHERE gateway = ? AND meter IN ({marks}) AND t >= ? AND t <= ?"""  # noqa: S608 - marks alone
    rows = conn.execute(sql, (gateway, *polls, hours[0], hours[-1])).fetchall()
    return sum(min(polls[meter], good) for meter, t, good in rows if t in wanted)
