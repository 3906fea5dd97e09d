"""Public holidays with half days: looked up once by a process of its own, kept in the history."""

import subprocess
import sys
from datetime import date

import pytest
from history_gateway import ISTANBUL

from gateway.errors import HistoryError
from gateway.history import History, HistoryReader, holidays_of


def test_holidays_are_looked_up_and_kept(tmp_path) -> None:
    history = History(tmp_path, ISTANBUL)
    assert history.holidays("TR", 2025, 2027) is None
    history.keep_holidays("TR", 2025, 2027, holidays_of("TR", 2025, 2027))
    days = history.holidays("TR", 2025, 2027)
    assert days[date(2026, 10, 29)] is False
    assert days[date(2026, 10, 28)] is True  # from 13:00
    assert days[date(2026, 5, 27)] is False  # a moving feast
    assert date(2026, 10, 27) not in days
    assert history.holidays("TR", 2026, 2028) is None  # another year: looked up again
    history.save()
    named = HistoryReader(tmp_path).holidays()[date(2026, 10, 29)]
    assert (named.tr, named.en, named.half) == ("Cumhuriyet Bayramı", "Republic Day", False)


def test_a_country_that_is_not_known_is_said() -> None:
    with pytest.raises(HistoryError, match="holidays of XX are not known"):
        holidays_of("XX", 2026, 2026)


def test_the_library_is_not_loaded_by_who_uses_the_history() -> None:
    code = "import sys, gateway.history; print('holidays' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
