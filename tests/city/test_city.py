"""The smoke of `make prove-city`: a few blows, and the control. One receiver that never comes back:
tests/receiver/test_receiver_shared.py.
"""

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


def test_the_control_which_forgets_at_the_puback_loses_under_them(tmp_path):
    for seed in range(5, 9):
        folder = tmp_path / str(seed)
        folder.mkdir()
        _done, ledger, verdict = blows.under_blows(folder, 3, seed=seed, careless=True, gateways=10)
        if verdict.lost:
            assert not verdict.good
            assert verdict.lost <= ledger.taken
            return
    raise AssertionError("the control lost nothing: the other test proves nothing")
