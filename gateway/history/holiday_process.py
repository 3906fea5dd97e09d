"""Public holidays, looked up by a process of its own: what it loads, a daemon need not hold."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from gateway.errors import HistoryError

LIMIT: Final = 60.0
"""s."""


def holidays_of(country: str, first: int, last: int) -> list[tuple[int, str, str, bool]]:
    """(day since 0001-01-01, name in Turkish, name in English, whether it begins at 13:00) of some years.

    Raises HistoryError.
    """
    command = [sys.executable, "-m", "gateway.history.public_days", country, str(first), str(last)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)  # noqa: S603
        return [
            (int(day), tr, en, bool(half)) for day, tr, en, half in map(json.loads, done.stdout.splitlines())
        ]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise HistoryError(
            f"public holidays of {country} are not known: {error}",
            hint="until then days are told apart by their weekday alone",
        ) from error
