import contextlib

import pytest
from journal_data import HandClock

from gateway.errors import JournalError
from gateway.journal import Journal


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
async def opened(tmp_path, clock):
    """Opens journals in one directory; closes what is still open at the end."""
    journals = []

    def make(directory=tmp_path, **options):
        options = {"gateway": "g-1", "clock": clock, "uplinks": ["city"]} | options
        journals.append(Journal.open(directory, **options))
        return journals[-1]

    yield make
    for journal in journals:
        with contextlib.suppress(JournalError):
            await journal.close()
