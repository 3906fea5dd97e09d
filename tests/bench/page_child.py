"""A page over a history of years, in a process of its own: `python -m tests.bench.page_child FOLDER PORT`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "status"))

import energy_building  # noqa: E402 - after its folder is known
import status_building  # noqa: E402

from gateway.status.energy.facts import EnergyMeter  # noqa: E402
from gateway.status.page import energy_pages, home  # noqa: E402
from gateway.status.page.app import create_page  # noqa: E402
from gateway.status.screen import day as screen_day  # noqa: E402
from gateway.status.server import PageServer  # noqa: E402

for kept in (energy_pages, home, screen_day):
    kept.KEPT = 0  # every answer is made anew

METERS = tuple(f"m{number}" for number in range(2, 10))


def meters() -> tuple[EnergyMeter, ...]:
    """Ten meters: the main one, eight below it, and a plant."""
    below = (EnergyMeter(name, f"Kat {name[1:]}", "main") for name in METERS)
    return (EnergyMeter("main", "Ana sayaç"), *below, EnergyMeter("pv", "Güneş", "main", generates="import"))


async def serve(directory: Path, port: int) -> None:
    """Until the process is ended."""
    views = tuple(
        status_building.meter(each.id, each.label, number, status_building.electric(5.0, 1000.0))
        for number, each in enumerate(meters(), 1)
    )
    building = status_building.Building(replace(status_building.CALM, meters=views, screen=True))
    building.history = energy_building.energy_history(directory, meters=meters())
    server = PageServer(create_page(building), "127.0.0.1", port, building.changes.close)
    assert await server.start(), server.error
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
