"""Real brokers for the uplink's tests."""

import itertools

import pytest
from uplink_kept import InMemory, OnDisk
from uplink_parts import E1

from gateway.mqtt.reconnect import Reconnect
from tests import virtual_time
from tests.ports import free_port


@pytest.fixture(autouse=True)
def _reconnects_on_virtual_time(request, monkeypatch):
    if request.node.get_closest_marker("virtual_time"):
        monkeypatch.setitem(Reconnect.__init__.__kwdefaults__, "monotonic", virtual_time.monotonic)


@pytest.fixture(params=[InMemory, OnDisk], ids=["double", "journal"])
async def kept(request, tmp_path, monkeypatch):
    """What an uplink reads from: the journal's double, and the journal. Epochs are E1, E2 and so on."""
    drawn = itertools.count(int(E1, 16))
    monkeypatch.setattr("gateway.journal.file.batches.new_epoch", lambda: f"{next(drawn):016x}")
    made = request.param(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def free_port_of():
    """Ports that nobody uses."""
    return free_port
