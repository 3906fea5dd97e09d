"""What every test may rely on."""

import asyncio
import logging
import os
import signal
import time
from contextlib import ExitStack

import pytest
from hypothesis import settings

from tests import virtual_time
from tests.mosquitto import MOSQUITTO, Mosquitto

# How long one example takes says something of the machine, nothing of the code; and a run says the same each
# time. Other examples are looked for with --hypothesis-profile search.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("tests")


def pytest_runtest_setup():
    # GNU readline, which pytest loads, writes a width of terminal into the environment, past os.environ:
    # every process that is started inherits it, the workers side by side and the commands of their tests.
    # These must not wrap their lines to it.
    os.environ.pop("COLUMNS", None)
    os.unsetenv("COLUMNS")


def pytest_configure(config):
    # A run in the background of a script ignores Ctrl-C, and so would every command that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "virtual_time: sleeps pass at once and last exactly as long as they say"
    )


def pytest_asyncio_loop_factories(item):
    if item.get_closest_marker("virtual_time"):
        return {"virtual": virtual_time.VirtualLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _monotonic_is_virtual(request, monkeypatch):
    if request.node.get_closest_marker("virtual_time"):
        monkeypatch.setattr(time, "monotonic", virtual_time.monotonic)
        monkeypatch.setattr(time, "sleep", virtual_time.sleep)
        monkeypatch.setattr("gateway.common.wait._wall", virtual_time.monotonic)


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    # Commands that are called in this process turn the gateway's log down for their own output.
    logger = logging.getLogger("gateway")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def stack():
    """What is entered here is left at the end of the test."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def mosquitto(tmp_path):
    """Make brokers: mosquitto(conf=…, start=True)."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: MQTT 5 and TLS are not exercised")
    made = []

    def make(*args, start=True, **options):
        made.append(Mosquitto(tmp_path, *args, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for broker in made:
        broker.kill()
