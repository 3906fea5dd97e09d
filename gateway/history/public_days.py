"""Public holidays of a country, with half days: python -m gateway.history.public_days TR 2025 2027.

A process of its own, once a year: what it loads is more than the rest of the engine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import holidays

LANGUAGES = {"tr": "tr", "en": "en_US"}


def public_days(country: str, years: range) -> Iterator[tuple[int, str, str, bool]]:
    """(day since 0001-01-01, name in Turkish, name in English, whether it begins at 13:00), by date.

    Raises NotImplementedError for a country that is not known.
    """
    half = holidays.country_holidays(country, years=years, categories=_half(country))
    names = {
        language: holidays.country_holidays(
            country, years=years, language=code, categories=("public", *_half(country))
        )
        for language, code in LANGUAGES.items()
    }
    whole = holidays.country_holidays(country, years=years)
    for day in sorted(names["en"]):
        yield day.toordinal(), names["tr"][day], names["en"][day], day in half and day not in whole


def _half(country: str) -> tuple[str, ...]:
    known = getattr(holidays, country).supported_categories
    return tuple(category for category in ("half_day",) if category in known)


def main() -> None:
    """Print a JSON array a line."""
    country, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for row in public_days(country, range(first, last + 1)):
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
