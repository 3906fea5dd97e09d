"""A history of five years beside a journal of thirty days: whichever is damaged, the other one is safe."""

from contextlib import closing
from datetime import date, timedelta

import pytest
from history_gateway import ISTANBUL, QUARTER, T0, Gateway

from gateway.history import FILE, HistoryReader, make_copy

YEARS = 5 * 365
DAYS = 30
REGISTERS = (("m", "active_energy_import"), ("old", "active_energy_export"))
FIRST = ISTANBUL.place(T0)[0] - timedelta(YEARS)


class Building(Gateway):
    """Five years lie behind it when its journal begins."""

    kwh = 1000.0

    def live(self, days) -> None:
        for _ in range(days * 96):
            self.kwh += 0.7
            self.poll(round(self.kwh, 3), pause=QUARTER)

    def everything(self, register) -> list[tuple[int, int, str]]:
        """What a page would read of a register: (start, Wh, letter)."""
        self.save()
        with closing(HistoryReader(self.directory)) as reader:
            found = reader.intervals(*register, FIRST, date(2030, 1, 1))
            return [(each.start, each.value, each.quality) for each in found]


@pytest.fixture
def gateway(tmp_path):
    made = Building(tmp_path)
    start, count = ISTANBUL.quarters(FIRST)[0], YEARS * 96
    for register in REGISTERS:
        made.history.adopt(register, start, [k % 900 for k in range(count)], "m" * count)
    made.save()
    made.live(DAYS - 1)
    make_copy(tmp_path / FILE)
    made.live(1)
    made.drain()
    made.save()
    yield made
    made.history.close()


def spoil(directory) -> None:
    data = bytearray((directory / FILE).read_bytes())
    data[100 : len(data) // 2] = b"\x77" * (len(data) // 2 - 100)
    (directory / FILE).write_bytes(bytes(data))
    for suffix in ("-wal", "-shm"):
        (directory / f"{FILE}{suffix}").unlink(missing_ok=True)


def test_a_damaged_history_has_its_five_years_from_the_copy_and_the_day_from_the_journal(gateway) -> None:
    before = {register: gateway.everything(register) for register in REGISTERS}
    assert len(before[REGISTERS[0]]) > (YEARS + DAYS - 1) * 96
    gateway.history.close()
    spoil(gateway.directory)
    gateway.start()
    gateway.drain()
    assert {register: gateway.everything(register) for register in REGISTERS} == before
    assert {len(versions) for versions in gateway.platform.held.values()} == {1}


def test_without_a_copy_thirty_days_come_back_and_the_years_are_told_as_lost(gateway) -> None:
    before = gateway.everything(REGISTERS[0])
    gateway.history.close()
    spoil(gateway.directory)
    (gateway.directory / f"{FILE}.1").unlink()
    gateway.start()
    gateway.history.note_lost(ISTANBUL.place(T0)[0])
    gateway.drain()
    gateway.live(1)
    gateway.drain()
    held = gateway.everything(REGISTERS[0])
    mine = [each for each in before if each[0] >= T0 + QUARTER]
    assert held[: len(mine)] == mine
    assert {len(versions) for versions in gateway.platform.held.values()} == {1}


def test_a_journal_that_is_lost_costs_no_day_of_the_history(gateway) -> None:
    before = {register: gateway.everything(register) for register in REGISTERS}
    versions = dict(gateway.platform.newest())
    gateway.history.close()
    gateway.journal = []  # moved aside; a new file counts on
    gateway.start()
    gateway.projection.renumbered()
    gateway.live(2)
    gateway.drain()
    for register in REGISTERS:
        held = gateway.everything(register)
        assert held[: len(before[register])] == before[register]
    after = gateway.platform.newest()
    assert {start: after[start] for start in versions} == versions
    # The engine knows its registers: what flowed on is measured, without a hole.
    starts = [start for start in sorted(after) if start >= max(versions)]
    assert starts == list(range(starts[0], starts[-1] + 1, QUARTER))
    assert {after[start][1] for start in starts} == {"m"}
