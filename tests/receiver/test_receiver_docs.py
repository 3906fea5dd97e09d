"""The manual names every option of the command and every table of the database, and its SQL runs."""

import re
from pathlib import Path

import pytest
from receiver_feed import arrival, opening

from gateway.cli.receive import command
from gateway.receiver.store import SqliteStore

MANUAL = (Path(__file__).parents[2] / "docs" / "receiver.md").read_text()


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
