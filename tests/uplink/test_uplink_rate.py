"""How fast the backlog goes, when live batches go, and when a silent platform is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.uplink.delivery.retry_timer import RetryTimer
from gateway.uplink.outgoing.rate import TokenBucket, live_offset, start_delay

# -- the rate


@given(st.floats(0.1, 5000), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_a_bucket_never_gives_more_than_its_rate(rate, waits):
    bucket, now, taken = TokenBucket(rate, 0.0), 0.0, 0
    for wait in waits:
        now += wait
        while bucket.spend(now):
            taken += 1
    assert taken <= rate * now + max(1.0, rate * 0.2) + 1e-6


@given(st.floats(0.1, 5000))
def test_after_the_wait_there_is_a_token(rate):
    bucket = TokenBucket(rate, 0.0)
    while bucket.spend(0.0):
        pass
    wait = bucket.wait(0.0)
    assert wait > 0
    assert bucket.spend(wait * (1 + 1e-9) + 1e-9)


def test_a_rate_of_zero_is_no_limit():
    bucket = TokenBucket(0.0, 0.0)
    assert all(bucket.spend(0.0) for _ in range(10_000))
    assert bucket.wait(0.0) == 0.0


@pytest.mark.parametrize(("configured", "first"), [(50.0, 25.0), (0.0, 25.0), (2.0, 1.0), (0.1, 0.1)])
def test_who_is_too_fast_gives_half_each_time_and_twice_as_much_after_every_calm_ten_minutes(
    configured, first
):
    bucket, now = TokenBucket(configured, 0.0), 0.0
    assert bucket.slow_down(now) == first
    for _ in range(20):
        slowest = bucket.slow_down(now)
    assert slowest == min(0.2, configured or 0.2)
    assert given_in(bucket, now, 600.0) <= slowest * 600 + 1
    for _ in range(12):
        now += 600.0
        taken = given_in(bucket, now, 10.0)
    assert taken == pytest.approx(10 * configured, abs=12) if configured else taken >= 1000


def given_in(bucket, now, seconds):
    """Tokens that are asked for ten times a second, at most a hundred each time."""
    return sum(bucket.spend(now + turn / 10) for turn in range(int(10 * seconds)) for _ in range(100))


@given(st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True))
def test_the_live_offset_belongs_to_the_id(gateway):
    assert 0.0 <= live_offset(gateway, 60.0) < 2.0
    assert live_offset(gateway, 60.0) == live_offset(gateway, 1.0)
    assert live_offset(gateway, 0.0) == 0.0


def test_the_live_offsets_of_a_fleet_are_spread():
    offsets = sorted(live_offset(f"gw-{n:03}", 60.0) for n in range(400))
    assert all(abs(offset - n / 200) < 0.25 for n, offset in enumerate(offsets))


def test_only_a_long_outage_delays_the_backlog():
    assert start_delay(299.0, 60.0, lambda: 0.5) == 0.0
    assert start_delay(301.0, 60.0, lambda: 0.5) == 30.0
    assert start_delay(301.0, 0.0, lambda: 0.5) == 0.0


# -- the time of the next try


def test_patience_doubles_to_five_minutes_and_is_restored_by_progress():
    probe, now, waits = RetryTimer(), 0.0, []
    assert not probe.due(1e9)
    probe.expect(now)
    for _ in range(7):
        waits.append(probe.at - now)
        now = probe.at
        assert probe.due(now)
        probe.tried(now)
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 300.0]
    probe.progress(now, waiting=True)
    assert probe.at - now == 30.0
    probe.soon(now, 1.0)
    assert probe.at - now == 1.0
    probe.progress(now, waiting=False)
    probe.soon(now, 1.0)
    assert not probe.running


def test_with_a_token_there_is_nothing_to_wait_for():
    bucket = TokenBucket(1.0, 0.0)
    assert bucket.wait(0.0) == 0.0
    assert bucket.spend(0.0)
    assert bucket.wait(0.0) == 1.0
    assert bucket.wait(0.75) == pytest.approx(0.25)
    slow = TokenBucket(100.0, 0.0)
    while slow.spend(0.0):
        pass
    assert slow.wait(0.0) == pytest.approx(0.1), "half of what may be used at once: not one wake-up per batch"
