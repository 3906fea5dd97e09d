"""The smoke of `make prove-city`: a few blows, the control, and one receiver that never comes back."""

import logging

import pytest

from tests.city import blows
from tests.mosquitto import MOSQUITTO
from tests.receiver.postgres_server import programs

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        MOSQUITTO is None or programs() is None, reason="mosquitto or PostgreSQL is not installed"
    ),
]


@pytest.fixture(autouse=True)
def quiet():
    log = logging.getLogger("gateway")
    before, _ = log.level, log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)


def test_a_few_blows_lose_nothing_and_double_nothing(tmp_path):
    done, ledger, verdict = blows.under_blows(tmp_path, 3, seed=5, gateways=10)
    assert done.total() == 3
    assert verdict.good, verdict.problems
    assert verdict.waiting == 0
    assert ledger.taken == verdict.stored > 200
