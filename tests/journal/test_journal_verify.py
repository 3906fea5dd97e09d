"""Every row of a file is read once, newest first."""

import pytest

from gateway.errors import JournalDamaged
from gateway.journal.file.verify import Verification


class Rows:
    """What the walk needs of a file: which rows it has, and which of them were read."""

    path = "journal.db"

    def __init__(self, **tables):
        self.tables = tables
        self.read = []

    def query(self, sql, arguments):
        table = "salvage" if "FROM salvage" in sql else "batch"
        return [(key,) for key in sorted(self.tables.get(table, ()), reverse=True) if key < arguments[0]][:3]

    def select(self, _, arguments, table):
        self.read += [(table, key) for key in self.tables[table] if arguments[0] <= key <= arguments[1]]


def test_the_walk_reads_every_row_once_the_newest_first_and_those_of_damaged_files_last():
    store = Rows(batch=range(1, 8), salvage=range(1, 5))
    walk = Verification(store, 7)
    assert (walk.part, walk.done) == (0.0, False)
    walk.step(10.0)
    assert walk.done
    assert walk.part == 1.0
    assert sorted(store.read) == [("batch", n) for n in range(1, 8)] + [("salvage", n) for n in range(1, 5)]
    assert store.read[:3] == [("batch", 5), ("batch", 6), ("batch", 7)]
    assert store.read[-1][0] == "salvage"


def test_an_empty_file_is_walked_at_once():
    walk = Verification(Rows(), 0)
    walk.step(10.0)
    assert walk.done


def test_rows_out_of_order_are_damage():
    store = Rows(batch=range(1, 8))
    store.query = lambda *_: [(5,), (6,), (4,)]
    with pytest.raises(JournalDamaged, match="out of order"):
        Verification(store, 7).step(10.0)
