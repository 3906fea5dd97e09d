"""Receivers, the database and the broker killed at any moment, the fleet's ledger as the judge."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gateway.demo.fleet import Fleet, FleetLedger, FleetVerdict
from tests.city.site import Site

GATEWAYS, INTERVAL = 40, 1.0
RECEIVERS = 3
PAUSE = (0.05, 1.5)
"""Seconds between two blows."""
DOWN = (0.0, 2.0)
"""Seconds for which what was killed stays away."""
KINDS = ("receiver", "receiver", "receiver", "database", "broker")


async def strike(site: Site, fleet: Fleet, blows: int, seed: int, done: Counter[str]) -> None:
    """So many blows, then an end."""
    chance = random.Random(seed)
    await asyncio.sleep(3.0)
    for _ in range(blows):
        await asyncio.sleep(chance.uniform(*PAUSE))
        kind, down = chance.choice(KINDS), chance.uniform(*DOWN)
        if kind == "receiver":
            site.kill_receiver(chance.choice(site.receivers))
            await asyncio.sleep(down / 2)
            site.start_receiver()
        elif kind == "database":
            await asyncio.to_thread(site.kill_database)
            await asyncio.sleep(down)
            await asyncio.to_thread(site.server.start)
        else:
            await asyncio.to_thread(site.broker.kill)
            await asyncio.sleep(down)
            await asyncio.to_thread(site.broker.start)
        done[kind] += 1
    # A batch that died on its way is overtaken as long as others follow it; without them it waits for 30 s.
    for _ in range(600):
        if not fleet.open:
            break
        await asyncio.sleep(0.05)
    fleet.stop()


def under_blows(
    folder: Path, blows: int, *, seed: int = 1, careless: bool = False, gateways: int = GATEWAYS
) -> tuple[Counter[str], FleetLedger, FleetVerdict]:
    """What was struck, what was taken, what is there. `careless`: the control."""
    done: Counter[str] = Counter()
    with Site(folder, receivers=RECEIVERS) as site:
        plan = site.plan(
            gateways=gateways,
            meters=3,
            values=8,
            interval=INTERVAL,
            seed=seed,
            backlog=20.0,
            careless=careless,
            protocol="3.1.1" if careless else "5.0",
        )
        beside: Callable[[Fleet], Coroutine[Any, Any, None]] = lambda fleet: strike(  # noqa: E731
            site, fleet, blows, seed, done
        )
        _fleet, ledger = site.run(plan, beside)
        return done, ledger, site.judged(ledger)


def one_never_comes_back(
    folder: Path, seconds: float = 60.0, gateways: int = GATEWAYS
) -> tuple[float, FleetVerdict]:
    """(95th percentile of the receipts' delay in the time after one of three receivers was killed, what is
    there).
    """
    with Site(folder, receivers=RECEIVERS) as site:
        plan = site.plan(gateways=gateways, meters=3, values=8, interval=5.0)
        killed: list[float] = []

        async def beside(fleet: Fleet) -> None:
            await asyncio.sleep(12.0)
            killed.append(fleet.seconds)
            site.kill_receiver(site.receivers[1])
            await asyncio.sleep(seconds)
            fleet.stop()

        fleet, ledger = site.run(plan, beside)
        delay = fleet.delays.percentile(0.95, since=killed[0], until=killed[0] + seconds)
        assert delay is not None, "no receipt came at all"
        return delay, site.judged(ledger)


def a_database_stands_still(
    folder: Path, seconds: float = 40.0, gateways: int = 150
) -> tuple[FleetLedger, FleetVerdict]:
    """Nothing is lost on the way, everything is late: longer than a gateway waits without a receipt before it
    offers a batch again.
    """
    with Site(folder) as site:
        plan = site.plan(gateways=gateways, meters=3, values=8, backlog=300.0)

        async def beside(fleet: Fleet) -> None:
            await asyncio.sleep(1.0)
            site.freeze_database(frozen=True)
            await asyncio.sleep(seconds)
            site.freeze_database(frozen=False)
            fleet.stop()

        _fleet, ledger = site.run(plan, beside)
        return ledger, site.judged(ledger)
