"""The clock is believed only when somebody vouches for it, and its steps are told."""

import os
import socket

import pytest

from gateway.host.clock import PATIENCE_MS, RELEASED_MS, Clock, ClockChange, boot_id
from gateway.host.notify import notify, watchdog_seconds


class Hands:
    """A clock whose hands the test moves; `vouched` is the word of whoever `trust` names, `kernel` that of
    the kernel beside it.
    """

    def __init__(self, wall=1_000_000, uptime=500, vouched=False, kernel=False) -> None:
        self.wall, self.uptime, self.vouched, self.kernel = wall, uptime, vouched, kernel

    def clock(self, trust="kernel", **more) -> Clock:
        return Clock(
            trust,
            wall=lambda: self.wall,
            uptime=lambda: self.uptime,
            boot="b" * 32,
            vouched=lambda: self.vouched and trust != "kernel",
            kernel=lambda: self.kernel or (self.vouched and trust == "kernel"),
            **more,
        )

    def pass_time(self, ms) -> None:
        self.wall += ms
        self.uptime += ms


def test_unsynced_until_the_kernel_says_so() -> None:
    hands = Hands()
    clock = hands.clock()
    assert not clock.synced
    hands.pass_time(1000)
    assert clock.changes() == []
    hands.vouched = True
    hands.wall += 86_400_000
    assert clock.changes() == [ClockChange("clock_step", 86_400_000), ClockChange("clock_synced")]
    assert clock.synced


def test_holdover_survives_the_loss_of_ntp_but_not_an_unknown_hand() -> None:
    hands = Hands(vouched=True)
    clock = hands.clock()
    hands.vouched = False
    hands.pass_time(60_000)
    assert clock.changes() == []
    assert clock.synced
    hands.wall -= 3_600_000
    assert [change.kind for change in clock.changes()] == ["clock_step", "clock_unsynced"]


def test_a_synced_clock_wins_over_the_floor() -> None:
    assert Hands(wall=1000, vouched=True).clock(floor=5000).synced
    assert not Hands(wall=1000, vouched=True).clock("rtc", floor=5000).synced
    assert not Hands(wall=1000, vouched=True).clock("system", floor=5000).synced
    assert Hands(wall=6000, vouched=True).clock("system", floor=5000).synced


def test_an_anchor_of_the_same_boot_is_believed_after_a_restart() -> None:
    hands = Hands(wall=1_000_000, uptime=500)
    assert hands.clock(anchor=(999_600, 100)).synced
    assert not hands.clock(anchor=(990_000, 100)).synced


def test_slow_drift_is_no_step() -> None:
    hands = Hands(vouched=True)
    clock = hands.clock()
    for _ in range(100):
        hands.pass_time(1000)
        hands.wall += 400
        assert clock.changes() == []


def test_a_pause_between_the_two_clocks_is_no_step() -> None:
    """The program is held up for two seconds after it has read the wall clock: once, then each time."""
    hands = Hands(vouched=True)
    held_up = iter(())

    def wall() -> int:
        read = hands.wall
        hands.pass_time(next(held_up, 0))
        return read

    clock = Clock("kernel", wall=wall, uptime=lambda: hands.uptime, boot="b" * 32, kernel=lambda: True)
    before = clock.moment()
    held_up = iter((2000,))
    assert clock.changes() == []
    wall_ms, uptime_ms = clock.moment()
    assert wall_ms - uptime_ms == before[0] - before[1]
    held_up = iter((2000,) * 99)
    assert [change.kind for change in clock.changes()] == ["clock_step"], "nothing else can be known"


def test_the_boot_has_a_name() -> None:
    assert len(boot_id()) == 32


def test_notify_reaches_the_service_manager(tmp_path, monkeypatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        assert notify("READY=1", "STATUS=polling")
        assert manager.recv(100) == b"READY=1\nSTATUS=polling"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not notify("READY=1")


def test_the_watchdog_time_is_halved_and_only_ours(monkeypatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "120000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_seconds() == 60
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert watchdog_seconds() is None
    monkeypatch.setenv("WATCHDOG_USEC", "nonsense")
    assert watchdog_seconds() is None


def test_a_running_clock_that_is_set_back_before_what_was_taken_is_not_right() -> None:
    hands = Hands(vouched=True)
    clock = hands.clock("system")
    hands.pass_time(5000)
    assert clock.changes() == []
    hands.wall -= 3_600_000
    assert clock.changes() == [ClockChange("clock_step", -3_600_000), ClockChange("clock_unsynced")]
    hands.pass_time(1000)
    hands.wall += 3_600_000
    assert clock.changes() == [ClockChange("clock_step", 3_600_000), ClockChange("clock_synced")]


@pytest.mark.parametrize("trust", ["kernel", "rtc", "system"])
def test_the_kernels_word_outranks_the_journal_and_lowers_the_floor(trust) -> None:
    hands = Hands(wall=RELEASED_MS, vouched=True, kernel=True)
    clock = hands.clock(trust, floor=RELEASED_MS + 10 * 365 * 86_400_000)
    assert clock.synced
    # NTP goes, the clock is stepped forward by an unknown hand: the wrong hour of years ahead is no bar any
    # more.
    hands.kernel = False
    hands.wall += 1000
    assert clock.changes() == [ClockChange("clock_step", 1000)]
    assert clock.synced


@pytest.mark.parametrize("trust", ["rtc", "system"])
def test_one_wrong_hour_of_a_hardware_clock_is_told_and_forgiven_by_the_kernel(trust) -> None:
    hands = Hands(wall=RELEASED_MS, vouched=True)
    clock = hands.clock(trust)
    hands.wall += 400 * 86_400_000  # taken at its word
    assert clock.changes() == [ClockChange("clock_step", 400 * 86_400_000)]
    hands.wall -= 400 * 86_400_000
    assert clock.changes() == [ClockChange("clock_step", -400 * 86_400_000), ClockChange("clock_unsynced")]
    hands.pass_time(1000)
    hands.kernel = True
    assert clock.changes() == [ClockChange("clock_synced")]
    hands.kernel = False
    hands.pass_time(1000)
    assert clock.changes() == []
    assert clock.synced


@pytest.mark.parametrize("trust", ["rtc", "system"])
def test_without_a_network_a_clock_that_runs_steadily_for_a_day_is_believed_again(trust) -> None:
    hands = Hands(wall=RELEASED_MS, vouched=True)
    clock = hands.clock(trust, floor=RELEASED_MS + 10 * 365 * 86_400_000)
    assert not clock.synced
    hands.pass_time(PATIENCE_MS - 1000)
    assert clock.changes() == []
    hands.wall += 3_600_000  # a step begins the day anew
    assert [change.kind for change in clock.changes()] == ["clock_step"]
    hands.pass_time(PATIENCE_MS - 1000)
    assert clock.changes() == []
    hands.pass_time(1000)
    assert clock.changes() == [ClockChange("clock_synced")]
    hands.pass_time(1000)
    assert clock.changes() == []
    assert clock.synced


@pytest.mark.parametrize(
    ("wall", "vouched", "trust"),
    [
        (0, True, "rtc"),
        (RELEASED_MS - 2 * PATIENCE_MS, True, "system"),
        (RELEASED_MS, False, "rtc"),
        (RELEASED_MS, False, "kernel"),
    ],
)
def test_an_empty_battery_and_a_clock_that_nobody_vouches_for_are_never_believed(
    wall, vouched, trust
) -> None:
    hands = Hands(wall=wall, vouched=vouched and trust != "kernel")
    clock = hands.clock(trust, floor=RELEASED_MS + 10 * 365 * 86_400_000)
    hands.pass_time(PATIENCE_MS + 1000)
    assert clock.changes() == []
    assert not clock.synced
