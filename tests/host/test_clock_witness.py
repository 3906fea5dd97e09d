"""The clock's state comes from another process where the daemon may not ask the kernel."""

from __future__ import annotations

import pytest

from gateway.host import clock
from gateway.host.clock_witness import witness


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the word is left, on a machine whose kernel and timesyncd say nothing."""
    file = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "_WITNESS", file)
    monkeypatch.setattr(clock, "_TIMESYNCD", tmp_path / "none")
    monkeypatch.setattr(clock.ctypes, "CDLL", lambda *_, **__: None)  # no adjtimex: as where it is forbidden
    return file


@pytest.mark.parametrize(
    ("age", "synced"), [(0, True), (20_000, True), (31_000, False), (-60_000, False), (86_400_000, False)]
)
def test_a_word_that_is_fresh_and_of_this_boot_is_believed(place, age, synced):
    place.write_text(str(clock.uptime_ms() - age))
    assert clock.kernel_synced() is synced


@pytest.mark.parametrize("text", ["", "yes", "12\x00", "9" * 5000, "-5"])
def test_what_is_no_word_is_none(place, text):
    place.write_text(text)
    assert clock.kernel_synced() is False


def test_without_a_witness_nobody_vouches(place):
    assert clock.kernel_synced() is False


@pytest.mark.parametrize("said", [True, False])
def test_the_witness_leaves_word_only_while_the_kernel_says_so(place, monkeypatch, said):
    place.write_text(str(clock.uptime_ms()))
    monkeypatch.setattr("gateway.host.clock_witness.asked_synced", lambda: said)
    witness(place)
    assert place.exists() is said
    assert clock.kernel_synced() is said
    monkeypatch.setattr("gateway.host.clock_witness.asked_synced", lambda: False)
    witness(place)
    assert clock.kernel_synced() is False


def test_a_witness_does_not_vouch_for_itself(place):
    # Its own word must not keep it alive: what it asks is the kernel and timesyncd alone.
    place.write_text(str(clock.uptime_ms()))
    witness(place)
    assert not place.exists()
