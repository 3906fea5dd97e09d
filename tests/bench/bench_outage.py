"""An outage of the broker of 120 s with ten meters a second: lost and counted twice, judged by the meters'
log; when the drain begins.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, at_most
from tests.reliability import note
from tests.rig import Rig, rig, until

METERS = 10
OUTAGE = 120.0
ADDRESS = 0x0200
DRIVER = """maker: Bench
model: meter that counts its serves
verified: simulator
source: "one counter"
reads: {{function: 4, max_registers: 80}}
registers: |
  0x{address:04X} u32 pulse_count - fast
"""


def _stored(site: Rig) -> int:
    # The receiver may still be making its tables.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{site.database}?mode=ro", uri=True)) as db,
    ):
        return int(db.execute("SELECT count(*) FROM batch").fetchone()[0])
    return 0


def run() -> list[Figure]:
    """Count, cut the broker, bring it back, let it drain, compare ordinals."""
    slaves = [
        {"unit": n, "meter": f"m{n}", "image": {"pattern": 1000}, "stamp": {"address": ADDRESS, "words": 2}}
        for n in range(1, METERS + 1)
    ]
    spec: dict[str, Any] = {
        "seed": 1,
        "servers": [{"name": "plant", "host": "127.0.0.1", "port": 0, "slaves": slaves}],
    }
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), spec) as site:
        assert site.simulator is not None
        (site.directory / "drivers").mkdir()
        (site.directory / "drivers" / "counter.yaml").write_text(DRIVER.format(address=ADDRESS))
        site.start_broker()
        site.start_receiver()
        host, port = site.simulator.addresses["plant"]
        meters = [
            {"id": f"m{n}", "bus": "plant", "address": n, "driver": "counter", "interval": "1s"}
            for n in range(1, METERS + 1)
        ]

        def configure(*, enabled: bool) -> None:
            site.configure(
                gateway={"id": "bench-1", "commit_interval": "1s"},
                buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
                meters=[{**meter, "enabled": enabled} for meter in meters],
                uplinks=[site.uplink()],
                drivers={"directory": str(site.directory / "drivers")},
            )

        configure(enabled=True)
        site.start_gateway()
        until(lambda: site.database.exists() and _stored(site) >= 5, 30, "five batches are at the platform")
        site.kill("broker")
        time.sleep(OUTAGE)
        before = _stored(site)
        site.start_broker()
        back = time.monotonic()
        until(lambda: _stored(site) > before, 30, "the backlog begins to drain", pause=0.02)
        begins = time.monotonic() - back
        time.sleep(10)
        site.kill("gateway", 15)
        last = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        configure(enabled=False)
        site.start_gateway()
        time.sleep(12)
        site.kill("gateway", 15)
        serves = [serve for serve in site.serves() if serve["ordinal"] is not None]
        with closing(sqlite3.connect(f"file:{site.database}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT meter, json_extract(\"values\", '$.pulse_count') FROM reading"
            ).fetchall()
    arrived = Counter((meter, int(count)) for meter, count in rows if count is not None)
    # What was served in the moment of the stop was never taken.
    served = {(serve["meter"], serve["ordinal"]) for serve in serves if serve["t"] < last - 2000}
    everything = {(serve["meter"], serve["ordinal"]) for serve in serves}
    lost = [key for key in served if key not in arrived]
    twice = [key for key, count in arrived.items() if count > 1]
    note(
        "outage",
        runs=1,
        taken=len(served),
        lost=len(lost),
        twice=len(twice),
        wrong=len(arrived.keys() - everything),
    )
    return [
        at_most("outage of 120 s, 10 meters a second: readings lost", len(lost), f"of {len(served)}", 0),
        at_most("outage of 120 s: readings counted twice", len(twice), f"of {len(arrived)}", 0),
        at_most("the drain begins after the broker is back", begins, "s", 5),
    ]
