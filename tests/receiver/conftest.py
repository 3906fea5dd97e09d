"""A store, and a real broker on a free port."""

import pytest
from receiver_feed import MOSQUITTO, Mosquitto

from gateway.receiver.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "platform.db")
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    server = Mosquitto(tmp_path)
    server.start()
    yield server
    server.stop()
