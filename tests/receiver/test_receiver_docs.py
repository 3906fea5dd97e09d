"""The manual names every option of the command and every table of the database, its SQL runs, and its plan of
the hardware is what was measured.
"""

import math
import re
from pathlib import Path

import pytest
from receiver_feed import arrival, opening

from gateway.cli.receive import command
from gateway.receiver.store import SqliteStore

DOCS = Path(__file__).parents[2] / "docs"
MANUAL = (DOCS / "receiver.md").read_text()


@pytest.mark.parametrize(
    "option",
    [option.opts[0] for option in command.params if option.opts[0] != "--lang"],  # every command has that
)
def test_an_option_is_in_the_manual_and_has_help(option):
    assert f"`{option}" in MANUAL
    assert next(o for o in command.params if o.opts[0] == option).help


@pytest.fixture
def store(tmp_path):
    """Its tables are those of the manual; PostgreSQL's are the same, and one more."""
    opened = SqliteStore(tmp_path / "p.db")
    yield opened
    opened.close()


def test_every_table_is_in_the_manual(store):
    names = [*store.db.table_names(), *store.db.view_names()]
    assert [name for name in names if not name.startswith("_") and f"`{name}`" not in MANUAL] == []


def test_the_queries_of_the_manual_run(store):
    with store.atomic():
        store.take([arrival(opening(1, gateway="izm-konak-017"))])
    blocks = re.findall(r"```sql\n(.*?)```", MANUAL, re.DOTALL)
    queries = [query for block in blocks for query in re.sub(r"--.*", "", block).split(";") if query.strip()]
    assert len(queries) == 6
    found = [store.conn.execute(query).fetchall() for query in queries]
    assert found == [[], [], [], [], [], [("hvac", "timeout", 1)]]


# -- the plan of the hardware

BARE, EACH = 50e6, 13e3
"""Bytes of a receiver, and of each gateway that it hears of."""
HALF = 0.5
"""Of a core: what each receiver is given to do."""


def figure(name, page="performance.md"):
    """A row of the figures: the number and the note."""
    text = (DOCS / page).read_text()
    [row] = re.findall(
        rf"^\| {re.escape(name)} \| ([\d  ,.]+) [^|]*\|[^|]*\|[^|]*\| ?(.*?) ?\|$", text, re.MULTILINE
    )
    return float(row[0].replace(" ", "").replace(",", "")), row[1]


def two(number):
    """Two digits that count."""
    digits = max(0, 1 - math.floor(math.log10(number)))
    rounded = round(number, 1 - math.floor(math.log10(number)))
    return f"{rounded:,.{digits}f}".replace(",", " ")


def sized(number, units):
    """A number with the unit that fits: the last of those that are not larger."""
    name, factor = [(name, factor) for name, factor in units.items() if number >= 0.995 * factor][-1]
    return f"{two(number / factor)} {name}"


def planned(gateways, costs):
    """The row of so many gateways."""
    values = 34 * gateways
    cores = [1e-6 * values * costs[part] for part in ("receivers", "database", "broker")]
    told = [two(number) if number >= 0.01 else "below 0.01" for number in cores]
    receivers = math.ceil(cores[0] / HALF)
    return [
        f"{gateways:,}".replace(",", " "),
        f"{values:,}".replace(",", " "),
        ", ".join(told) if set(told) != {"below 0.01"} else "below 0.01",
        "1" if gateways == 100 else f"{receivers} + 1",
        sized(BARE + EACH * gateways, {"MB": 1e6, "GB": 1e9}),
        f"{two(values * (costs['tables'] + costs['log']) / 1e6)} MB/s",
        sized(values * 86_400 * costs["tables"], {"GB": 1e9, "TB": 1e12}),
        f"{two(2 * 8e-6 * values * costs['wire'])} Mbit/s",
    ]


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_what_it_carries_is_what_was_measured(database):
    values, _ = figure(f"into {database}, durable, with receipts")
    assert f"{values / 1000:.0f} 000 values" in MANUAL


def test_the_plan_of_the_hardware_is_what_was_measured():
    _, note = figure("what this machine needs for it")
    costs = {part: float(cost) for part, cost in re.findall(r"(\w+) ([\d.]+)", note.partition(":")[2])}
    for short, name in (
        ("tables", "in its tables with their indexes"),
        ("log", "in its write-ahead log"),
        ("wire", "on the wire"),
    ):
        costs[short] = figure(name)[0]
    for part, words in (
        ("receivers", "{:.2f} µs of CPU in the receiver"),
        ("database", "{:.2f} in PostgreSQL"),
        ("broker", "{:.2f} in mosquitto"),
        ("tables", "{:.0f} bytes in the tables"),
        ("log", "{:.0f} in the write-ahead log"),
        ("wire", "{:.1f} on the wire"),
    ):
        assert words.format(costs[part]) in " ".join(MANUAL.split()), part
    plan = MANUAL.partition("## Hardware")[2]
    rows = [line.strip("| ").split(" | ") for line in re.findall(r"^\| \d.*", plan, re.MULTILINE)]
    assert rows == [planned(int(row[0].replace(" ", "")), costs) for row in rows]
    assert [row[0] for row in rows] == ["100", "1 000", "3 000", "10 000", "30 000", "100 000"]
    memory = 2**20 * figure("memory of the receiver at that load")[0]
    assert abs(BARE + 3000 * EACH - memory) < 0.05 * memory
