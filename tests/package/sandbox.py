"""The service inside its unit's own sandbox, with everything that a gateway does at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.certificates import certificate
from tests.mosquitto import Mosquitto
from tests.package.service import DRIVER, PATIENCE, Story
from tests.ports import free_port
from tests.rig import until

DROP_IN = """\
[Service]
DeviceAllow=char-pts rw
"""
"""The line is a pty; everything else of the sandbox is the unit's own."""


def sandboxed(story: Story, package: Path) -> str:
    """Under the unit as it is: a serial line, pulses, page, uplinks with a password that is root's alone and
    with TLS, the clock.
    """
    machine = story.machine
    story.install(package)
    image = {"driver": DRIVER, "circuit": "main"}
    slaves = [{"unit": 1, "meter": "m3", "image": image}]
    line = {"name": "line1", "path": "/run/line1", "baudrate": 9600, "slaves": slaves}
    (machine.tree / "srv/line.json").write_text(json.dumps({"seed": 1, "lines": [line]}))
    (site,) = (machine.tree / "opt/submeter/lib").glob("python*/site-packages")
    (site / "lgpio.py").write_bytes(Path(__file__).with_name("pins_in_memory.py").read_bytes())
    sealed = _broker_with_tls(story)
    simulator = machine.start("/opt/submeter/bin/python", "-m", "gateway.demo.simulator", "/srv/line.json")
    try:
        until(lambda: machine.ask("test", "-e", "/run/line1")[0] == 0, PATIENCE, "the line is there", 0.2)
        machine.run(
            "sh", "-c", "chgrp dialout $(readlink -f /run/line1) && chmod 660 $(readlink -f /run/line1)"
        )
        unit = machine.tree / "etc/systemd/system/submeter-gateway.service.d"
        unit.mkdir()
        (unit / "line.conf").write_text(DROP_IN)
        machine.run(
            "sh",
            "-c",
            "umask 077; echo word > /etc/submeter/secrets/city.password",
        )
        word = "/etc/submeter/secrets/city.password"
        for place, rights in (("/etc/submeter/secrets", "700"), (word, "600")):
            assert machine.run("stat", "--format=%U %a", place) == f"root {rights}"
        story.write({
            "gateway": {"id": "sandboxed", "commit_interval": "1s"}, "clock": {"hold": "0s"},
            "buses": [{"name": "line1", "type": "serial", "port": "/run/line1"}],
            "meters": [{"id": "m3", "bus": "line1", "address": 1, "driver": DRIVER, "interval": "1s"}],
            "pulses": [{"id": "water", "pin": 17, "per_unit": 1000, "quantity": "volume"}],
            "uplinks": [
                story.site.uplink(username="city", password_file=word),
                {"name": "sealed", "url": f"mqtts://127.0.0.1:{sealed.port}", "ca": "/etc/submeter/ca.crt",
                 "spread": "0s"},
            ],
        })  # fmt: skip
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "submeter-gateway")
        until(lambda: _answers(story), PATIENCE, "it answers", 1)
        until(lambda: _delivered(story) == {"city", "sealed"}, PATIENCE, "it delivers, by TLS too", 1)
        assert "city.password" not in machine.ask("submeter", "check")[1]
        machine.run("mv", "/etc/submeter/secrets", "/etc/submeter/elsewhere")
        machine.run("systemctl", "restart", "submeter-gateway")
        until(lambda: _answers(story), PATIENCE, "it reads without that folder, too", 1)
        machine.run("mv", "/etc/submeter/elsewhere", "/etc/submeter/secrets")
        machine.run("systemctl", "restart", "submeter-gateway")
        until(lambda: _delivered(story) == {"city", "sealed"}, PATIENCE, "it delivers with it again", 1)
        until(lambda: _counted(story) > 2, PATIENCE, "it counts pulses", 1)
        assert story.page()[0] == 200
        assert machine.show("ActiveState", "submeter-clock") == "active"
        machine.run("systemd-analyze", "security", "--threshold=15", "submeter-clock")
        (unit / "line.conf").write_text("")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemd-analyze", "security", "--threshold=15", "submeter-gateway")
        said = machine.run("journalctl", "-b", "-u", "submeter-gateway")
        assert "not permitted" not in said, said[-3000:]
    finally:
        simulator.terminate()
        simulator.wait(60)
        story.site.kill("sealed")
        sealed.kill()
        (site / "lgpio.py").unlink()
    return (
        "inside the sandbox (exposure at most 1.5): a serial line through the group dialout, page, an uplink "
        "with a password that only root can read and one with TLS, pulses (of a pin in memory), the clock's "
        "state from its witness"
    )


def _answers(story: Story) -> bool:
    return {meter["id"]: meter["state"] for meter in story.meters()}.get("m3") == "answering"


def _delivered(story: Story) -> set[str]:
    return {uplink["name"] for uplink in story.status().get("uplinks", []) if uplink.get("delivered", 0)}


def _counted(story: Story) -> int:
    code, said = story.machine.ask("submeter", "pulses", "show", "--json")
    return json.loads(said)[0]["count"] if code == 0 else 0


def _broker_with_tls(story: Story) -> Mosquitto:
    """A broker that speaks TLS to gateways, with a platform at another port of it; who signed for it lies
    where the daemon may read it.
    """
    folder, plain = story.site.directory, free_port()
    cert, key = certificate(folder, "sealed", "/CN=broker", host="IP:127.0.0.1")
    (story.etc / "ca.crt").write_bytes(cert.read_bytes())
    (story.etc / "ca.crt").chmod(0o644)
    tls = f"allow_anonymous true\ncertfile {cert}\nkeyfile {key}\n"
    broker = Mosquitto(folder, f"{tls}listener {plain} 127.0.0.1\n").start()
    at = ("--broker", f"mqtt://127.0.0.1:{plain}", "--database", str(folder / "sealed.db"))
    story.site.start("sealed", sys.executable, "-m", "gateway", "receive", *at)
    return broker
