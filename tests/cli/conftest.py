"""The house whose screens are looked at."""

from contextlib import ExitStack

import pytest
from cli_screens import TRUE, screens

from gateway.demo.simulator.slave import Slave, WordImage
from tests.served_meters import float_registers, served


@pytest.fixture(scope="session")
def known(tmp_path_factory):
    """Name of a screen → the words of its command line. Unit 2 has its words in the other order."""
    with ExitStack() as stack:
        images = [WordImage(float_registers(TRUE, little=little), functions=(4,)) for little in (False, True)]
        bus = served(stack, [Slave(unit, image) for unit, image in enumerate(images, 1)])
        yield screens(tmp_path_factory.mktemp("house"), f"{bus.host}:{bus.port}")
