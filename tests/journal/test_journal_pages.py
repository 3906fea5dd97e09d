"""The page reader against SQLite itself: whatever SQLite wrote, it finds, from the file and from the WAL
alike.
"""

import random
import shutil
import sqlite3
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.journal.file import missing
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


def test_every_size_around_the_end_of_a_page_is_read(tmp_path):
    """Where a payload just fits into its page, and where it just fills its overflow pages."""
    sizes = [*range(830, 960), *range(1850, 1990), *range(2870, 3010)]
    written = list(rows(sizes))
    store = JournalStore(tmp_path / "journal.db")
    with store.transaction():
        store.insert(written)
    store.close()
    with PageScan(tmp_path / "journal.db") as scan:
        found = {one.row.seq: one.row for some in scan.found() for one in some}
    assert found == {row.seq: row for row in written}


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
    assert from_record([*row.record[:-1], 1 << 46]) is None


@pytest.mark.parametrize("column", range(13))
def test_a_change_of_any_column_is_noticed(column):
    [row] = rows([50])
    record = list(row.record)
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


MAGIC = b"SQLite format 3\0"


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (512, 512),
        (1024, 1024),
        (4096, 4096),
        (32768, 32768),
        (1, 65536),  # 65536 does not fit into two bytes
        (0, 0),
        (256, 0),
        (511, 0),
        (513, 0),
        (1023, 0),
        (3000, 0),
        (65535, 0),
    ],
)
def test_the_size_of_a_page_is_a_power_of_two_that_the_header_says(said, size):
    header = MAGIC + said.to_bytes(2, "big") + bytes(82)
    assert len(header) == 100
    assert pages.page_size(header) == size
    assert pages.page_size(header + b"more") == size


@pytest.mark.parametrize(
    "header", [b"", MAGIC, MAGIC + b"\x04\x00" + bytes(81), b"SQLite format 2\0" + b"\x04\x00" + bytes(82)]
)
def test_what_is_no_header_says_no_size(header):
    assert pages.page_size(header) == 0


def leaf(size, *cells, kind=pages.LEAF):
    """A page of a table whose cells begin at these places."""
    head = bytes([kind, 0, 0, *len(cells).to_bytes(2, "big"), 0, 0, 0])
    return (head + b"".join(cell.to_bytes(2, "big") for cell in cells)).ljust(size, b"\0")


def test_pages_of_rows_are_counted_where_a_page_can_begin():
    good, edge = leaf(512, 300, 400), leaf(512, 12, 511)
    assert pages.leaves(good, 512) == 1, "also when it is the last one"
    assert pages.leaves(good + edge + bytes(512) + good, 512) == 3
    assert pages.leaves((good + edge)[:-1], 512) == 1, "half a page is none"
    assert pages.leaves(b"x" + good, 512) == 0
    # The directory of two cells ends at 12: no cell lies before that, or behind the page.
    assert pages.leaves(leaf(512, 11, 400), 512) == 0
    assert pages.leaves(leaf(512, 300, 512), 512) == 0
    assert pages.leaves(leaf(512), 512) == 0, "no cell"
    assert pages.leaves(leaf(512, 300, kind=0x05), 512) == 0
    assert pages.leaves(leaf(512, 300)[:3] + b"\xff\xff" + bytes(507), 512) == 0
    # 513 cells: both bytes of the number count, and each of them lies behind the directory.
    many = [2000 + n for n in range(513)]
    assert pages.leaves(leaf(4096, *many), 4096) == 1
    assert pages.leaves(leaf(4096, many[0], 5, *many[2:]), 4096) == 0


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x81\x00", 128),
        (b"\xff\x7f", 16383),
        (b"\x81\x80\x00", 16384),
        (b"\x80" * 8 + b"\xff", 255),
        (b"\x81" + b"\x80" * 7 + b"\x00", 1 << 57),
        (b"\xff" * 9, (1 << 64) - 1),
    ],
)
def test_numbers_have_one_to_nine_bytes(data, value):
    assert pages.varint(b"?" + data + b"?", 1) == (value, 1 + len(data))
    with pytest.raises(IndexError):
        pages.varint(data[:-1], 0)


def test_every_serial_type_is_read_as_sqlite_writes_it(tmp_path):
    conn = sqlite3.connect(tmp_path / "other.db")
    conn.execute("PRAGMA page_size = 1024")
    conn.execute("CREATE TABLE t (a, b, c, d, e, f, g, h, i, j, k, l)")
    values = (None, 1, 300, 70_000, 1 << 30, 1 << 40, 1 << 60, 2.5, 0, -1, "ğüş", b"\x00\xff")
    conn.execute(f"INSERT INTO t VALUES ({','.join('?' * 12)})", values)
    conn.commit()
    conn.close()
    page = (tmp_path / "other.db").read_bytes()[1024:2048]
    [place] = struct.unpack_from(">H", page, 8)
    size, at = pages.varint(page, place)
    rowid, at = pages.varint(page, at)
    assert rowid == 1
    whole = page[at : at + size]
    assert pages.record(whole) == list(values)
    for wrong in (whole[:-1], whole + b"\0", b"\x02" + whole[1:], b""):
        with pytest.raises((IndexError, ValueError)):
            pages.record(wrong)


def test_a_row_of_another_table_is_told_by_its_header_and_never_read():
    asked = []
    page = leaf(1024, 900)
    body = bytes([60, 1, pages.MAX_HEADER + 1])
    page = page[:900] + body + page[903:]
    with pytest.raises(ValueError, match="no table of ours"):
        pages.cell(page, 900, lambda number: asked.append(number) or b"")
    huge = page[:900] + b"\x90\x80\x01" + page[903:]  # a payload of 256 KiB and one byte
    assert pages.varint(huge, 900)[0] == pages.MAX_ROW + 1
    with pytest.raises(ValueError, match="no table of ours"):
        pages.cell(huge, 900, lambda number: asked.append(number) or b"")
    assert asked == []


def test_a_directory_of_cells_that_is_damaged_costs_no_row_of_the_page(tmp_path):
    store = JournalStore(tmp_path / "journal.db")
    written = list(rows([100, 120, 90, 110]))
    with store.transaction():
        store.insert(written)
    store.checkpoint("TRUNCATE")
    store.close()
    data = (tmp_path / "journal.db").read_bytes()
    [number] = [
        at // 1024 + 1
        for at in range(0, len(data), 1024)
        if any(one for one in pages.rows(data[at : at + 1024], at // 1024 + 1, lambda _: b""))
    ]
    page = data[(number - 1) * 1024 : number * 1024]
    for spoilt in (
        page[:8] + b"\xff\xff" + page[10:],  # one place leads nowhere
        page[:3] + b"\xff\xff" + page[5:],  # more cells than a page holds
        page[:3] + b"\x00\x02" + b"\0\0\0" + b"\xff\xff" * 2 + page[12:],
    ):
        found = [one.row for one in pages.rows(spoilt, number, lambda _: b"") if one]
        assert sorted(row.seq for row in found) == [1, 2, 3, 4]
        assert {row.seq: row for row in found} == {row.seq: row for row in written}
    sound = list(pages.rows(page, number, lambda _: b""))
    assert [one.row for one in sound] == written, "in the order of its directory"
    assert None not in sound, "its directory is believed"
    # On the first page of a file the file's own header stands in front.
    head = 8 + 2 * len(written)
    first = bytes(100) + page[:head] + page[100 + head :]
    assert [one.row for one in pages.rows(first, 1, lambda _: b"")] == [one.row for one in sound]
    assert list(pages.rows(first, 2, lambda _: b"")) == []
    assert list(pages.rows(b"", number, lambda _: b"")) == []
    assert list(pages.rows(b"\x05" + page[1:], number, lambda _: b"")) == []


def test_what_is_gone_is_read_from_its_table_alone(tmp_path):
    store = JournalStore(tmp_path / "journal.db")
    noted = [("0a" * 8, 1, 5, "thinned"), ("0a" * 8, 9, 9, "delivered"), ("0b" * 8, 7, 8, "damaged")]
    with store.transaction():
        for number, what in enumerate(noted):
            missing.note(store, what, 10 + number, told=missing.NOBODY)
        store.insert(rows([100]))
    store.checkpoint("TRUNCATE")
    store.close()
    data = (tmp_path / "journal.db").read_bytes()
    each = [list(pages.gone(data[at : at + 1024])) for at in range(0, len(data), 1024)]
    found = {entry for page in each for entry in page}
    assert found == {
        (epoch, first, last, 10 + number, reason) for number, (epoch, first, last, reason) in enumerate(noted)
    }
    assert sum(map(bool, each)) == 1
    [page] = [
        data[at : at + 1024] for at in range(0, len(data), 1024) if list(pages.gone(data[at : at + 1024]))
    ]
    assert list(pages.gone(bytes([pages.LEAF]) + page[1:])) == [], "the page of another kind"
    assert list(pages.gone(b"")) == []
    assert list(pages.gone(page[:3] + b"\xff\xff" + page[5:])) == [], "more cells than a page holds"


@pytest.mark.parametrize(
    ("entry", "plausible"),
    [
        ((b"\x0a" * 8, 1, 1, 0, "thinned"), True),
        ((b"\x0a" * 8, 5, (1 << 53) - 1, (1 << 53) - 1, "damaged"), True),
        ((b"\x0a" * 7, 1, 1, 0, "thinned"), False),
        ((b"\x0a" * 8, 0, 1, 0, "thinned"), False),
        ((b"\x0a" * 8, 2, 1, 0, "thinned"), False),
        ((b"\x0a" * 8, 1, 1 << 53, 0, "thinned"), False),
        ((b"\x0a" * 8, 1, 1, -1, "thinned"), False),
        ((b"\x0a" * 8, 1, 1, 1 << 53, "thinned"), False),
        ((b"\x0a" * 8, 1, 1, 0, "unknown"), False),
        (("text", 1, 1, 0, "thinned"), False),
        ((b"\x0a" * 8, 1, None, 0, "thinned"), False),
    ],
)
def test_an_entry_of_what_is_gone_must_be_plausible(tmp_path, entry, plausible):
    store = JournalStore(tmp_path / "journal.db")
    store.conn.execute("DROP TABLE gone")
    store.conn.execute("CREATE TABLE gone (a, b, c, d, e, f, PRIMARY KEY (a, b)) WITHOUT ROWID")
    store.conn.execute("INSERT INTO gone VALUES (?,?,?,?,?,?)", (*entry, 0))
    store.checkpoint("TRUNCATE")
    store.close()
    data = (tmp_path / "journal.db").read_bytes()
    found = [entry for at in range(0, len(data), 1024) for entry in pages.gone(data[at : at + 1024])]
    assert found == ([("0a" * 8, *entry[1:])] if plausible else [])


def wal_of(tmp_path, commits, rows_each=1):
    """A write-ahead log as a killed process leaves it, and the rows that it holds."""
    store = JournalStore(tmp_path / "journal.db")
    store.checkpoint("TRUNCATE")
    written = list(rows([200] * commits * rows_each))
    for at in range(commits):
        with store.transaction():
            store.insert(written[at * rows_each : (at + 1) * rows_each])
    data = (tmp_path / "journal.db-wal").read_bytes()
    store.close()
    return data, written


def seqs(some):
    return sorted(
        {
            one.row.seq
            for number, page in some
            for one in pages.rows(page, number, lambda _: b"")
            if one and one.own
        }
    )


def test_a_log_gives_what_was_committed_and_keeps_apart_what_nothing_vouches_for(tmp_path):
    data, _ = wal_of(tmp_path, 6)
    whole = pages.Wal(data)
    assert seqs(whole.sound.items()) == [1, 2, 3, 4, 5, 6]
    assert (whole.loose, whole.loose_commits) == ([], 0)
    assert pages.log_page_size(data) == 1024
    frames = (len(data) - 32) // 1048
    assert (len(data) - 32) % 1048 == 0
    # Torn within the last commit: as if it had not been.
    torn = pages.Wal(data[:-1])
    assert seqs(torn.sound.items()) == [1, 2, 3, 4, 5]
    assert torn.loose == [], "less than a frame is none"
    # A flipped bit in the middle: what is behind it is loose, and counted.
    spoilt = bytearray(data)
    middle = frames // 2
    spoilt[32 + middle * 1048 + 500] ^= 1
    found = pages.Wal(bytes(spoilt))
    sound, loose = seqs(found.sound.items()), seqs(found.loose)
    assert sound == list(range(1, len(sound) + 1))
    assert 0 < len(sound) < 6
    assert loose[-1] == 6
    assert len(found.loose) == frames - len([1 for at in range(middle)])
    commits = [struct.unpack_from(">I", data, 32 + at * 1048 + 4)[0] > 0 for at in range(middle, frames)]
    assert found.loose_commits == sum(commits)


def test_frames_of_an_older_round_of_the_log_are_no_loose_commits(tmp_path):
    data, _ = wal_of(tmp_path, 6)
    old = bytearray(data)
    half = 32 + ((len(data) - 32) // 1048 // 2) * 1048
    # The log began anew: what is behind its end still has the salt of the round before.
    for at in range(half, len(old), 1048):
        old[at + 8 : at + 16] = b"\x01" * 8
    found = pages.Wal(bytes(old))
    assert found.sound
    assert (found.loose, found.loose_commits) == ([], 0)


def test_a_log_without_a_sound_header_is_loose_as_a_whole(tmp_path):
    data, _ = wal_of(tmp_path, 3)
    spoilt = bytes([data[0] ^ 0x80]) + data[1:]
    assert pages.log_page_size(spoilt) == 0
    found = pages.Wal(spoilt)
    assert found.sound == {}
    assert seqs(found.loose) == [1, 2, 3]
    assert len(found.loose) == (len(data) - 32) // 1048
    assert pages.log_page_size(data[:31]) == 0
    assert pages.Wal(b"").loose == []
    # Its own header says how large a page is; the file's is believed when that is not sound.
    assert seqs(pages.Wal(data, 4096).sound.items()) == [1, 2, 3]
    assert pages.Wal(spoilt, 4096).sound == {}


def test_a_log_of_the_other_byte_order_is_read_as_well(tmp_path):
    data, _ = wal_of(tmp_path, 3)
    assert data[:4] == b"\x37\x7f\x06\x82", "written on a little-endian machine"
    big = bytearray(data)
    big[:4] = b"\x37\x7f\x06\x83"
    sums = pages._checksum(bytes(big[:24]), ">", (0, 0))
    big[24:32] = struct.pack(">2I", *sums)
    for at in range(32, len(big), 1048):
        sums = pages._checksum(bytes(big[at : at + 8]), ">", sums)
        sums = pages._checksum(bytes(big[at + 24 : at + 1048]), ">", sums)
        big[at + 16 : at + 24] = struct.pack(">2I", *sums)
    assert pages.log_page_size(bytes(big)) == 1024
    assert seqs(pages.Wal(bytes(big)).sound.items()) == [1, 2, 3]


def test_a_commit_of_several_pages_is_all_or_nothing(tmp_path):
    data, _ = wal_of(tmp_path, 4, rows_each=30)
    frames = [(at, struct.unpack_from(">2I", data, at)) for at in range(32, len(data), 1048)]
    last = [at for at, (_, commit) in frames if commit][-1]
    cut = pages.Wal(data[:last])
    assert max(seqs(cut.sound.items())) == 90
    assert cut.loose == []
