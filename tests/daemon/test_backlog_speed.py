"""How fast a backlog shrinks, and when it will be delivered: only what was seen for long enough is said."""

from __future__ import annotations

import pytest

from gateway.daemon.snapshots import EVERY, LEAST, WINDOW, BacklogSpeed


def watched(*backlogs: int, begin: float = 100.0, every: float = EVERY) -> BacklogSpeed:
    speed = BacklogSpeed()
    for index, backlog in enumerate(backlogs):
        speed.add("city", begin + index * every, backlog, index)
    return speed


@pytest.mark.parametrize(
    ("backlogs", "left"),
    [
        ((100, 90, 80), 40.0),  # ten in five seconds
        ((100, 100, 80), 40.0),  # what it came to, not the last step
        ((80, 100, 60), 30.0),
        ((60, 60, 60), None),  # stands
        ((60, 70, 80), None),  # grows
        ((60, 30, 0), None),  # nothing is left to say
        ((100, 90), None),  # not seen for long enough
        ((100,), None),
        ((), None),
    ],
)
def test_seconds_until_nothing_waits(backlogs: tuple[int, ...], left: float | None) -> None:
    assert watched(*backlogs).left("city") == left
    assert watched(*backlogs).left("mirror") is None


def test_just_long_enough_is_long_enough() -> None:
    assert watched(100, 90, every=LEAST).left("city") == pytest.approx(9 * LEAST)
    assert watched(100, 90, every=LEAST - 0.001).left("city") is None


def test_what_is_older_than_a_minute_no_longer_counts() -> None:
    """It grew for an hour, and has shrunk since a minute: the hour is not held against it."""
    speed = watched(*range(0, 7200, 10))
    begin = 100.0 + 720 * EVERY
    for index in range(int(WINDOW / EVERY) + 2):
        speed.add("city", begin + index * EVERY, 7200 - 100 * index, 7200 + index)
    # 1 300 less in 65 s, the minute of them 1 200.
    assert speed.left("city") == pytest.approx((7200 - 1300) / 20)


@pytest.mark.parametrize(
    ("delivered", "left"),
    [
        ((7, 7, 7), None),  # it makes room for itself
        ((7, 7, 8), 40.0),
        ((7, 0, 0), None),  # a reload: counted anew, and not for long enough
        ((0, 7, 7), 40.0),
    ],
)
def test_what_only_makes_room_for_itself_is_not_being_delivered(delivered, left) -> None:
    speed = BacklogSpeed()
    for index, (backlog, count) in enumerate(zip((100, 90, 80), delivered, strict=True)):
        speed.add("city", 100.0 + index * EVERY, backlog, count)
    assert speed.left("city") == left


def test_each_uplink_has_its_own_and_those_that_are_gone_are_forgotten() -> None:
    speed = watched(100, 90, 80)
    for index, backlog in enumerate((50, 45, 40)):
        speed.add("mirror", 100.0 + index * EVERY, backlog, index)
    assert (speed.left("city"), speed.left("mirror")) == (40.0, 80 / 2)
    speed.keep({"mirror"})
    assert (speed.left("city"), speed.left("mirror")) == (None, 40.0)
