"""The technician's window from the button to the journal, with the real daemon and a real meter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
from test_daemon import answers, bus, control, meter, plant

from tests.rig import Rig, rig, until

BUTTON, LAMP = 26, 5
SECRET, USER = "correct horse battery staple", "izm-konak-secret-user"
SCRIPT = Path(__file__).with_name("panel_daemon.py")


def start(site: Rig) -> subprocess.Popen:
    with (site.directory / "gateway.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(site.config_path), str(BUTTON)],
            stdin=subprocess.PIPE, stderr=log, text=True, cwd=SCRIPT.parents[2],
            env={**__import__("os").environ, "SUBMETER_SOCKET": str(site.socket)},
        )  # fmt: skip
    site.processes["gateway"] = process
    until(lambda: answers(site), 60, "the control socket answers")
    return process


def move(process: subprocess.Popen, *levels: str, pause: float = 0.0) -> None:
    for level in levels:
        process.stdin.write(f"{level}\n")
        process.stdin.flush()
        time.sleep(pause)


def events(site: Rig) -> list[dict]:
    with control(site) as client:
        rows = client.get("/journal/rows", params={"limit": 500}).json()
    found = json.loads(json.dumps(rows))
    return [event for event in walk(found) if str(event.get("kind", "")).startswith("technician_window")]


def walk(value):
    if isinstance(value, dict):
        if "kind" in value and "dt" in value:
            yield value
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def test_from_the_button_to_the_journal(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path, 1)) as site:
        (tmp_path / "password").write_text(SECRET + "\n")
        city = {"name": "city", "url": "mqtt://127.0.0.1:1", "username": USER}
        city["password_file"] = str(tmp_path / "password")
        site.configure(
            uplinks=[city],
            gateway={"id": "bench-1", "commit_interval": "1s"}, buses=[bus(site)], meters=[meter(1)],
            pins={"leds": {"power": LAMP}, "button": BUTTON},
        )  # fmt: skip
        before = site.config_path.read_bytes()
        listen = json.loads(before)["status"]["listen"]
        process = start(site)
        with httpx.Client(base_url=f"http://{listen}", timeout=30) as browser:

            def page() -> int:
                try:
                    return browser.get("/technician").status_code
                except httpx.TransportError:
                    return 0

            until(lambda: page() == 404, 60, "the page is there, and no window")

            def held() -> bool:
                # The panel may not have its pin yet.
                move(process, "high", "low", pause=0.1)
                time.sleep(1.0)
                move(process, "high")
                return page() == 200

            until(held, 60, "the window is open")
            origin = {"origin": f"http://{listen}", "content-type": "application/x-www-form-urlencoded"}
            assert browser.post("/technician/open", headers=origin).status_code == 303
            text = browser.get("/technician?lang=en").text
            assert "gateway bench-1 runs" in text  # the log
            token = re.search(r'name="token" value="([^"]+)"', text)[1]
            sent = browser.post("/technician/read", content=f"meter=m1&token={token}", headers=origin)
            assert sent.status_code == 303
            assert "Registers as they came" in browser.get("/technician?lang=en").text
            bundle = browser.get("/technician/bundle")
            assert bundle.json()["gateway"] == "bench-1"
            for hidden in (SECRET, USER):
                assert hidden not in bundle.text
                assert hidden not in browser.get("/technician").text
            until(lambda: len(events(site)) >= 4, 60, "the journal has it")
            move(process, "low", "high")
            until(lambda: page() == 404, 60, "the second press ends it")
            # Without a body: what is refused is not read, and a connection that ends so may be a reset one.
            assert browser.post("/technician/read", headers=origin).status_code == 405
            until(
                lambda: events(site)[-1]["kind"] == "technician_window_ended", 60, "the journal has its end"
            )
        told = [(event["kind"], event.get("action", event.get("why", ""))) for event in events(site)]
        assert told == [
            ("technician_window_opened", ""),
            ("technician_window_taken", ""),
            ("technician_window_used", "read"),
            ("technician_window_used", "bundle"),
            ("technician_window_ended", "pressed"),
        ]
        assert site.config_path.read_bytes() == before
        assert sorted(path.name for path in tmp_path.glob("gateway.yaml*")) == ["gateway.yaml"]
