"""The page about faults shows what `tests.reports` holds, and names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.reliability import PAGE, ROOT
from tests.reports import ATTACKED, REPORTED, Found, section

_FUNCTION = re.compile(r"^(?:async )?def (\w+)\(", re.MULTILINE)


def test_the_page_has_the_tables() -> None:
    assert section() in PAGE.read_text()


@pytest.mark.parametrize("row", [*REPORTED, *ATTACKED], ids=lambda row: row.fault[:40])
def test_each_row_names_tests_that_are_there(row: Found) -> None:
    for test in row.tests:
        file, name = test.split("::")
        functions = _FUNCTION.findall((ROOT / "tests" / file).read_text(encoding="utf-8"))
        assert name in functions, test
