"""The page reader against SQLite itself: whatever SQLite wrote, it finds, from the file and from the WAL
alike.
"""

import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.journal.file.rows import BatchRow, from_record
from gateway.journal.file.store import JournalStore
from gateway.journal.recovery import pages
from gateway.journal.recovery.scan import PageScan
from gateway.model import Sealed


def rows(sizes, seed=1):
    rng = random.Random(seed)
    total = 0
    for seq, size in enumerate(sizes, 1):
        total += 3
        sealed = Sealed(
            f"{rng.getrandbits(64):016x}",
            seq,
            f"{rng.getrandbits(128):032x}",
            rng.getrandbits(41),
            rng.getrandbits(40),
            "synced",
            3,
            7,
            seq % 5 == 0,
            rng.randbytes(size),
        )
        yield BatchRow(sealed, total, '{"settled":{}}' if seq % 2 else "")


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(
        st.one_of(
            st.integers(0, 5000),
            st.integers(0, 60_000),
            st.sampled_from([880, 888, 889, 890, 989, 990, 1908]),
        ),
        min_size=1,
        max_size=40,
    ),
    moved=st.booleans(),
)
def test_every_row_is_found_whatever_its_size(tmp_path_factory, sizes, moved):
    directory = tmp_path_factory.mktemp("pages")
    store = JournalStore(directory / "journal.db")
    written = list(rows(sizes))
    for row in written:
        with store.transaction():
            store.insert([row])
    if moved:
        store.checkpoint("TRUNCATE")
    shutil.copytree(directory, directory / "copy")
    store.close()
    with PageScan(directory / "copy" / "journal.db") as scan:
        found = {one.row.seq: one for some in scan.found() for one in some}
    assert {seq: one.row for seq, one in found.items()} == {row.seq: row for row in written}
    assert all(one.own for one in found.values())


def test_rows_saved_from_an_older_file_are_told_apart(tmp_path):
    store = JournalStore(tmp_path / "journal.db")
    [one, two] = rows([100, 5000])
    with store.transaction():
        store.insert([one])
        store.insert([two], "salvage")
    store.close()
    with PageScan(tmp_path / "journal.db") as scan:
        found = {item.row.seq: item.own for some in scan.found() for item in some}
    assert found == {1: True, 2: False}


@given(data=st.binary(max_size=4096))
@settings(max_examples=40, deadline=None)
def test_noise_gives_nothing_and_hurts_nobody(data):
    page = bytes([pages.LEAF]) + data.ljust(4095, b"\x7f")
    assert [one for one in pages.rows(page, 2, lambda _: page) if one] == []
    assert list(pages.gone(bytes([pages.INDEX_LEAF]) + page[1:])) == []
    wal = pages.Wal(data * 3)
    assert wal.sound == {}


def test_a_body_that_became_a_number_is_none():
    [row] = rows([50])
    assert from_record([*row.record()[:-1], 1 << 46]) is None


@pytest.mark.parametrize("column", range(13))
def test_a_change_of_any_column_is_noticed(column):
    [row] = rows([50])
    record = list(row.record())
    assert from_record(record) == row
    value = record[column]
    record[column] = (
        value + 1
        if isinstance(value, int)
        else value + "x"
        if isinstance(value, str)
        else bytes([value[0] ^ 1]) + value[1:]
    )
    assert from_record(record) is None
