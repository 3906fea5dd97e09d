"""What the page costs a small machine: modules, memory, time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROBE = """
import asyncio, json, sys
sys.path.insert(0, {tests!r})

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4 / 1024

import gateway.model, logging, email.utils, http, zoneinfo
before = rss()
import gateway.status.page.app, gateway.status.control.app, gateway.status.server
after = rss()
early = [name for name in ("prometheus_client", "httpx", "babel", "rich", "requests") if name in sys.modules]

from dataclasses import replace
from status_building import SNAPSHOT, METERS, Building
import httpx
from gateway.status.page import answers as page
def sixty():
    # Nothing is shared between two snapshots, as in the daemon.
    return tuple(replace(METERS[0], id=f"m{{n}}", values=tuple(replace(v) for v in METERS[0].values * 2)) \
for n in range(60))

building = Building(replace(SNAPSHOT, meters=sixty()))
ready = rss()

async def visit():
    transport = httpx.ASGITransport(app=gateway.status.page.app.create_page(building, ["g"]))
    async with httpx.AsyncClient(transport=transport, base_url="http://g") as http:
        page.AT_LEAST = 0.0
        for round in range(40):
            for path in ("/", "/system", f"/meter/m{{round}}", "/metrics", "/api/v1/status", \
f"/meter/m{{round}}/power.svg"):
                building.change(meters=sixty())
                await asyncio.sleep(0.002)
                assert (await http.get(path)).status_code == 200
            if round == 9:
                settled = rss()
    return settled

settled = asyncio.run(visit())
print(json.dumps(dict(imports=after - before, early=early, visits=settled - ready, leak=rss() - settled)))
"""


def test_the_page_is_light_and_loads_what_is_heavy_only_when_asked():
    probe = PROBE.format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=110, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout)
    assert cost["early"] == []
    assert cost["imports"] < 32, cost
    assert cost["visits"] < 40, cost
    assert cost["leak"] < 6, cost


def test_the_snapshot_alone_needs_no_web_framework():
    code = (
        "import sys, gateway.status.snapshot, gateway.status.trend, gateway.status.source;"
        "print([m for m in ('starlette', 'uvicorn', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_commands_do_not_load_the_web_framework():
    code = (
        "import sys, gateway.cli.status, gateway.cli.reload;"
        "print([m for m in ('starlette', 'uvicorn', 'httpx', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
