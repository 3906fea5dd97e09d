"""Care from afar under a real systemd: the units of root in their sandbox, and a reboot in the middle of a
trial.

`python -m tests.package.afar SUITE PACKAGE FOLDER` is that part of the machine's life alone.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from gateway.common.address import BrokerAddress
from gateway.demo.show.site import GATEWAY
from gateway.host import signing
from gateway.mqtt import Broker
from gateway.remote.sending import CareAnswer, CareSender, Order, key_in
from tests.package.service import PATIENCE, Story, begun, provisioned
from tests.rig import until

DECIDED = 900.0
"""s within which a version that is on trial is kept or taken back."""


def looked_after(story: Story) -> str:
    """A meter is read, a configuration is kept, and one that a reboot cuts off is taken back."""
    machine, site = story.machine, story.site
    file = site.directory / "engineer.key"
    signing.new_key(file)
    key = key_in(file)
    public = story.etc / "trust" / "engineer.pub"
    public.write_text(f"ed25519:{base64.b64encode(key.public).decode()} engineer\n")
    public.chmod(0o644)
    assert machine.run("stat", "--format=%U %a", "/etc/submeter/trust") == "root 750"
    present: dict[str, Any] = yaml.safe_load((story.etc / "gateway.yaml").read_text())
    remote = {"uplink": "city", "commands": ["read", "diagnostics", "config", "drivers", "update"]}
    present = {**present, "gateway": {**present["gateway"], "id": GATEWAY}, "remote": remote}
    story.write(present)
    machine.run("systemctl", "reload", "submeter-gateway")
    until(lambda: (story.status().get("remote") or {}).get("uplink") == "city", PATIENCE, "it is on", 0.5)
    until(story.delivered, PATIENCE, "readings are delivered", 0.5)
    account = Broker("care", BrokerAddress.of(f"mqtt://127.0.0.1:{site.broker_port}"), "engineer")
    told: list[CareAnswer] = []
    with CareSender(account, GATEWAY) as sender:
        read = sender.send(Order(GATEWAY, "read"), key, 120)
        assert read.ok, read.error
        named = {**present, "gateway": {**present["gateway"], "name": "From afar"}}
        kept = sender.send(Order(GATEWAY, "config", json.dumps(named)), key, 420, told.append)
        log = machine.run("journalctl", "-b", "-u", "submeter-apply")
        assert (kept.ok, kept.state) == (True, "kept"), f"{kept}\n{log}"
        assert json.loads((story.etc / "gateway.yaml").read_text()) == named
        assert machine.run("stat", "--format=%U:%G %a", "/etc/submeter/gateway.yaml") == "root:submeter 640"
        deaf = {**named, "meters": [{**meter, "address": 99} for meter in named["meters"][:1]]}
        sender.publish(Order(GATEWAY, "config", json.dumps(deaf)), key)
        mark = machine.tree / "var/lib/submeter-apply/trial.json"
        until(mark.exists, PATIENCE, "it is on trial", 0.2)
        until(lambda: json.loads((story.etc / "gateway.yaml").read_text()) == deaf, PATIENCE, "it is there")
        story.interrupted(machine.reboot)
    assert json.loads((story.etc / "gateway.yaml").read_text()) == named
    assert not mark.exists()
    results = machine.tree / "var/lib/submeter-apply/results"
    states = [json.loads(path.read_text())["state"] for path in sorted(results.glob("*.json"))]
    assert states == ["kept", "undone"], states
    for unit in ("submeter-apply", "submeter-recover"):
        machine.run("systemd-analyze", "security", "--threshold=25", unit)
    return (
        "signed commands from afar read a meter and change the configuration, by the units of root in their "
        "sandbox; a change that a reboot cuts off is taken back before the gateway starts"
    )


def newer(package: Path, folder: Path) -> Path:
    """The same package as another version."""
    inside, made = folder / "inside", folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(inside)], check=True)
    control = inside / "DEBIAN" / "control"
    text = re.sub(r"^Version: (.*)$", r"Version: \1.1", control.read_text(), flags=re.MULTILINE)
    control.write_text(text)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(inside), str(made)],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(inside)
    return made


def updated(story: Story, package: Path, folder: Path) -> str:
    """A signed package is fetched, judged by its content, installed, and on trial like any."""
    machine, fresh = story.machine, newer(package, folder)
    mark = machine.tree / "var/lib/submeter-upgrade/trial.json"
    until(lambda: not mark.exists(), DECIDED, "the version before is decided on", 1)
    key = key_in(story.site.directory / "engineer.key")
    account = Broker("care", BrokerAddress.of(f"mqtt://127.0.0.1:{story.site.broker_port}"), "engineer")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, CareSender(account, GATEWAY) as sender:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        content = fresh.read_bytes()
        url = f"http://127.0.0.1:{server.server_port}/{fresh.name}"
        wanted = {"url": url, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        other = sender.send(Order(GATEWAY, "update", json.dumps({**wanted, "sha256": "0" * 64})), key, 300)
        assert (other.ok, other.state) == (False, "failed"), other
        sender.publish(Order(GATEWAY, "update", json.dumps(wanted)), key)
        until(
            lambda: (story.status().get("upgrade") or {}).get("outcome") == "trial", PATIENCE,
            "the new version is on trial", 1,
        )  # fmt: skip
        server.shutdown()
    version = machine.run("dpkg-query", "-W", "-f=${Version}", "submeter-gateway")
    assert version.endswith(".1"), version
    assert not (machine.tree / "var/lib/submeter-upgrade/incoming.deb").exists()
    return "a signed package is fetched, installed and on trial; one with another content is not handed over"


def main() -> None:
    """Install, begin by a file of the boot partition, be looked after."""
    suite, package, folder = sys.argv[1], *map(Path, sys.argv[2:4])
    with begun(suite, folder) as story:
        story.install(package)
        print(provisioned(story, package), flush=True)
        print(looked_after(story), flush=True)
        print(updated(story, package, folder), flush=True)


if __name__ == "__main__":
    main()
