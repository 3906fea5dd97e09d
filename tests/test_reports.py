"""The page about faults shows what `tests.reports` holds, and names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.reliability import PAGE, ROOT
from tests.reports import ATTACKED, REPORTED, Found, section


def test_the_page_has_the_tables() -> None:
    assert section() in PAGE.read_text()


@pytest.mark.parametrize("row", [*REPORTED, *ATTACKED], ids=lambda row: row.fault[:40])
def test_each_row_names_tests_that_are_there(row: Found) -> None:
    folder = ""
    named = re.findall(r"`([^`]+\.py)`", row.held_by)
    assert named
    for name in named:
        folder = name.rpartition("/")[0] or folder
        assert (ROOT / folder / name.rpartition("/")[2]).is_file(), name
