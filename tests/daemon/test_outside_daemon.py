"""A configuration that nobody could mean is told on log and page at a reload; the page names keys, never
paths.
"""

import os
import signal
from pathlib import Path

import httpx
import pytest
from test_daemon import answers, bus, configure, meter, plant, started, status

from gateway.config import parse_config
from gateway.daemon.snapshots import Paths
from tests.rig import free_port, rig, until


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text(path.read_text() + "\njournal: {budget: " + "9" * 400 + "GB}\n"),
        lambda path: path.write_text(path.read_text() + "\n? [a, b]\n: c\n"),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        lambda path: path.unlink(),
    ],
    ids=["number", "key", "fifo", "zero", "gone"],
)
def test_a_hangup_always_says_something(tmp_path, spoil) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1)])
        started(site)
        spoil(site.config_path)
        site.processes["gateway"].send_signal(signal.SIGHUP)
        until(lambda: status(site)["problems"], 60, "the page says it")
        assert any("was not taken over" in line for line in status(site)["problems"])
        assert not any(str(tmp_path) in line for line in status(site)["problems"])
        assert f"{site.config_path} was not taken over" in site.log("gateway")
        assert "Traceback" not in site.log("gateway")
        assert answers(site)


def test_the_page_names_the_key_and_the_log_the_path(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        ca = tmp_path / "no-such-ca.pem"
        site.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"}, buses=[bus(site)], meters=[meter(1)],
            uplinks=[{"name": "other", "url": "mqtts://127.0.0.1:1", "username": "u", "ca": str(ca)}],
        )  # fmt: skip
        started(site)
        until(lambda: status(site)["uplinks"][0]["error"], 60, "the uplink says why")
        assert "uplinks[0].ca" in status(site)["uplinks"][0]["error"]
        assert str(ca) not in str(status(site))
        assert str(ca) in site.log("gateway")


def test_paths_are_replaced_whole() -> None:
    config = parse_config(
        "gateway: {id: g}\njournal: {directory: /var/lib/submeter}\n"
        "uplinks: [{name: u, url: 'mqtts://h', ca: /etc/submeter/ca.pem, username: u, password_file: "
        "/etc/submeter/ca.pem.old}]\n"
    )
    paths = Paths(config, Path("/etc/submeter/gateway.yaml"))
    assert (
        paths.hide("the CA file /etc/submeter/ca.pem cannot be used")
        == "the CA file uplinks[0].ca cannot be used"
    )
    assert paths.hide("/etc/submeter/ca.pem.old: no") == "uplinks[0].password_file: no"
    assert paths.hide("/etc/submeter/gateway.yaml was not taken over") == "gateway.yaml was not taken over"
    assert paths.hide("/var/lib/submeter/journal.db: no room") == "journal.directory/journal.db: no room"
    assert paths.hide("/dev/ttyUSB0 is a port") == "/dev/ttyUSB0 is a port"


def test_two_buses_on_one_line_run_and_are_told(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        twin = {**bus(site), "name": "twin"}
        site.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"}, buses=[bus(site), twin], meters=[meter(1)]
        )
        started(site)
        assert any("buses[1]" in line and "one bus" in line for line in status(site)["problems"])
        assert "buses[1]" in site.log("gateway")
        until(lambda: status(site)["meters"][0]["state"] == "answering", 60, "the rest is read")


def test_it_starts_with_addresses_that_lead_nowhere_and_tells_them(tmp_path) -> None:
    """Each of them ran once, or works on this system: after an upgrade the other lines are read as before."""
    with rig(tmp_path, plant(tmp_path)) as site:
        page = free_port()
        site.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"},
            buses=[
                bus(site), {"name": "unused", "type": "tcp", "host": "0.0.0.0"},
                {"name": "many", "type": "tcp", "host": "ff02::1"},
                {"name": "folder", "type": "serial", "port": "/dev/ttyUSB0/"},
            ],
            meters=[meter(1)],
            uplinks=[site.uplink(url=f"mqtt://0.0.0.0:{site.broker_port}")],
            status={"listen": f"0:{page}", "names": ["gateway.local", "fe80::1"]},
        )  # fmt: skip
        started(site)
        until(lambda: status(site)["meters"][0]["state"] == "answering", 60, "the other line is read")
        told = "\n".join(status(site)["problems"])
        for key, why in (
            ("buses[1].host", "is the address of no machine"),
            ("buses[2].host", "is an address of many machines"),
            ("buses[3].port", "is a folder"),
            ("uplinks[0].url", "is the address of no machine"),
            ("status.listen", "is not an address to listen on"),
            ("status.names[1]", "is of one network only"),
        ):
            assert any(key in line and why in line for line in status(site)["problems"]), told
            assert key in site.log("gateway")
        assert httpx.get(f"http://127.0.0.1:{page}/", timeout=30).status_code < 500, "0 is 0.0.0.0 here"
