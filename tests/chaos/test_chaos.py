"""Whatever is killed or stopped: nothing that was taken is lost, nothing counts twice, no value is wrong.
The control loses.
"""

import os

import pytest

from tests.chaos.mistreat import mistreat
from tests.mosquitto import MOSQUITTO

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]


@pytest.mark.timeout(600)
def test_a_minute_of_kills_loses_nothing(tmp_path) -> None:
    story = mistreat(tmp_path, 60, seed=7)
    account = story.account
    assert account.good, "\n".join(account.problems)
    assert story.blows.total() >= 5, story.blows
    assert account.arrived > 50
    assert account.values > 1000


@pytest.mark.timeout(600)
def test_the_control_loses(tmp_path) -> None:
    account = mistreat(tmp_path, 10, seed=7, control=True).account
    assert account.absent_batches > 0, "delete on PUBACK lost nothing: the mistreatment proves nothing"


@pytest.mark.slow
def test_hours_of_kills_lose_nothing(tmp_path) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", "60"))
    story = mistreat(tmp_path, minutes * 60, seed=11)
    assert story.account.good, "\n".join(story.account.problems)
