"""What every test may rely on."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    # Commands that are called in this process turn the gateway's log down for their own output.
    logger = logging.getLogger("gateway")
    level = logger.level
    yield
    logger.setLevel(level)
