"""A row per gateway in the table `fleet`: how it is, and what is wrong with it, the worst first; and how
often it was online, by hour.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.common.text import visible
from gateway.receiver.fleet.problems import CLONE, DAY, LATELY, GatewayFacts, forks, problems, severity
from gateway.receiver.fleet.rows import COLUMNS, FleetRow, folded
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.arrivals import hour_of
from gateway.receiver.store.intervals import STATES
from gateway.receiver.store.ledgers import known_gateways, load_ledgers, rows_about
from gateway.receiver.upkeep.readings import unread
from gateway.receiver.upkeep.work import Work

AT_ONCE = 50
"""Gateways in one piece of work."""
WEEK = 7 * DAY


@dataclass(slots=True)
class GatewayFound:
    """Of one gateway, as it stands in the database."""

    state: Mapping[str, Any] = field(default_factory=dict)
    epochs: list[tuple[Any, ...]] = field(default_factory=list)
    days: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    refused: int = 0
    unread: int = 0
    heard_twice: bool = False


class Summary:
    """Keeps the tables `fleet` and `state_hour`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._conn = work.conn
        self._told: dict[str, tuple[int, str, str]] = {}
        """Of each gateway when its newest description came, its name and its time zone."""
        self._unread: Counter[str] = Counter()
        """Meters of each gateway that give nothing."""

    def sample(self, now: int) -> Iterator[None]:
        """Note who is online."""
        sql = """INSERT INTO state_hour
            SELECT gateway, ?, 1, online, coalesce(backlog, 0) FROM state WHERE true
            ON CONFLICT (gateway, t) DO UPDATE SET samples = state_hour.samples + 1,
            online = state_hour.online + excluded.online, backlog = CASE
            WHEN excluded.backlog > state_hour.backlog THEN excluded.backlog ELSE state_hour.backlog END"""
        with self._work.writing():
            self._conn.execute(sql, (hour_of(now),))
        yield

    def round(self, now: int) -> Iterator[None]:
        """Look at every gateway, some at a time."""
        self._hear_descriptions()
        names = known_gateways(self._conn)
        self._unread = Counter(gateway for gateway, _meter in unread(self._conn, now))
        yield
        for at in range(0, len(names), AT_ONCE):
            some = names[at : at + AT_ONCE]
            with self._work.snapshot():
                found, ledgers = self._found(some, now), load_ledgers(self._conn, some)
                rows = [self._row(name, found[name], ledgers[name], now) for name in some]
            with self._work.writing():
                marks = ", ".join("?" * len(COLUMNS))
                sets = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
                sql = f"""INSERT INTO fleet ({", ".join(COLUMNS)}) VALUES ({marks})
                    ON CONFLICT (gateway) DO UPDATE SET {sets}"""  # noqa: S608 - ours
                self._conn.executemany(sql, [row.as_row() for row in rows])
            yield

    def _hear_descriptions(self) -> None:
        newest = "SELECT gateway, max(received) FROM meters GROUP BY gateway"
        get = "SELECT description FROM meters WHERE gateway = ? AND received = ? LIMIT 1"
        for gateway, received in self._conn.execute(newest).fetchall():
            if self._told.get(gateway, (0, "", ""))[0] != received:
                text = self._conn.execute(get, (gateway, received)).fetchone()[0]
                told = json.loads(text)
                name, zone = told.get("name"), told.get("timezone")
                self._told[gateway] = received, _text(name), _text(zone)

    def _found(self, names: Sequence[str], now: int) -> dict[str, GatewayFound]:
        found: defaultdict[str, GatewayFound] = defaultdict(GatewayFound)
        rows = partial(rows_about, self._conn, names)
        columns = ("online", "epoch", "backlog", "version", "at")
        for gateway, *values in rows(", ".join(columns), "state"):
            found[gateway].state = dict(zip(columns, values, strict=True))
        told = "epoch, previous, reason, last_received, unsynced, last_t"
        for gateway, *epoch in rows(told, "epoch", "ORDER BY last_received"):
            found[gateway].epochs.append(tuple(epoch))
        since = _day_of(now - LATELY)
        for gateway, state, count in rows(
            "state, count(*)", "meter_day", "AND day >= ? GROUP BY 1, 2", since
        ):
            found[gateway].days[state] = count
        for gateway, count in rows("count(*)", "conflict", "AND received >= ? GROUP BY 1", now - WEEK):
            found[gateway].conflicts = count
        for gateway, reason, count, at in rows("reason, count, at", "refused", "AND at >= ?", now - WEEK):
            found[gateway].heard_twice |= reason == CLONE
            found[gateway].refused += count if reason != CLONE and at >= now - DAY else 0
        for gateway in names:
            found[gateway].unread = self._unread[gateway]
        return found

    def _row(self, name: str, found: GatewayFound, ledger: GatewayLedger, now: int) -> FleetRow:
        state, epochs = found.state, found.epochs
        stored = [epoch for epoch in epochs if epoch[3] is not None]
        last_received = max((epoch[3] for epoch in stored), default=None)
        last_t = max((epoch[5] for epoch in stored if epoch[5] is not None), default=None)
        # Of the newest epoch: an anchor takes from `unsynced` what it has dated.
        clock = ("unsynced" if stored[-1][4] else "synced") if stored else None
        days = [found.days.get(state, 0) for state in STATES]
        missing = sum(gap.certain.count for gap in ledger.missing().values())
        facts = GatewayFacts(
            online=bool(state.get("online")),
            last_received=last_received,
            backlog=state.get("backlog") or 0,
            clock=clock,
            missing=missing,
            conflicts=found.conflicts,
            refused=found.refused,
            incomplete=days[1],
            contradicted=days[2],
            unread=found.unread,
            forked=found.heard_twice or any(now - at < WEEK for *_, at in forks(epochs)),
        )
        wrong = problems(facts, now)
        told = self._told.get(name, (0, "", ""))
        return FleetRow(
            gateway=name,
            at=now,
            name=told[1],
            timezone=told[2],
            sought=folded(f"{name} {told[1]}"),
            online=facts.online,
            heard=state.get("at"),
            last_t=last_t,
            last_received=last_received,
            backlog=state.get("backlog"),
            version=state.get("version"),
            clock=clock,
            missing=missing,
            conflicts=found.conflicts,
            refused=found.refused,
            complete=days[0],
            incomplete=days[1],
            contradicted=days[2],
            unread=found.unread,
            problems=tuple(wrong),
            severity=severity(wrong),
        )


def _text(value: object) -> str:
    return visible(value, 100) if isinstance(value, str) else ""


def _day_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
