"""Words that a person may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice

_LONGEST = 100
_MOST = 500
"""Characters of a word, and words among which it is looked for: the time that it takes grows with both."""


def near(word: str, known: Iterable[str], most: int = 1, *, likeness: float = 0.6) -> list[str]:
    """Up to `most` of the known words that are like this one, the likest first.

    `likeness` goes from 0 (anything) to 1 (the same).
    """
    return difflib.get_close_matches(word[:_LONGEST], list(islice(known, _MOST)), most, likeness)


def either(words: Sequence[str]) -> str:
    """A choice in words.

    >>> either(["even", "odd", "none"])
    'even, odd or none'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A question with the known word that is likest, or `otherwise` when there is none.

    >>> did_you_mean("activ_power", ["active_power", "frequency"], "see the list")
    'did you mean active_power?'
    """
    found = near(word, known)
    return f"did you mean {found[0]}?" if found else otherwise
