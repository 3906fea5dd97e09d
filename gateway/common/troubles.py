"""Troubles that are said once when they begin and once when they end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from math import inf
from types import MappingProxyType

from gateway.common.text import visible

MOST_SUBJECTS = 1000
"""Subjects that are remembered: a stranger who makes up new ones must not fill memory or log."""


class Troubles:
    """What is wrong with one part at the moment, by subject. For one thread.

    `prefix` stands before every line of the log. A subject is a word of the caller's choice ("the journal",
    "consumer city"); it is in trouble from `begin` to `end`. Text from outside is made harmless here.

    >>> troubles = Troubles(logging.getLogger("gateway.example"), "uplink main: ")
    >>> troubles.begin("the journal", "the journal cannot be asked", "look at the disk")
    True
    >>> troubles.begin("the journal", "the journal cannot be asked, for a minute now", "look at the disk")
    False
    >>> troubles.latest
    'the journal cannot be asked, for a minute now → look at the disk'
    >>> troubles.end("the journal")
    True
    """

    def __init__(
        self, log: logging.Logger, prefix: str = "", *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._prefix = prefix
        self._monotonic = monotonic
        self._open: dict[str, str] = {}
        self._kinds: dict[str, Hashable] = {}
        self._noted: dict[str, float] = {}
        self._full = False

    def begin(
        self,
        subject: str,
        what: str,
        hint: str = "",
        *,
        kind: Hashable = None,
        level: int = logging.WARNING,
        cause: BaseException | None = None,
    ) -> bool:
        """`subject` is in trouble; whether that was said.

        It is said when the subject was well, or when the trouble is of another `kind` than the last one;
        `what` and `hint` (what to do next) are kept either way, so that a page shows the newest words.
        `cause` adds its traceback.
        """
        new = subject not in self._open
        if new and not self._room(self._open):
            return False
        said = new or kind != self._kinds[subject]
        text = visible(f"{what} → {hint}" if hint else what)
        if said:
            self._log.log(level, "%s%s", self._prefix, text, exc_info=cause)
        self._open[subject] = text
        self._kinds[subject] = kind
        return said

    def end(self, subject: str, what: str = "", *, level: int = logging.INFO) -> bool:
        """`subject` is well again; whether it was in trouble, and that it no longer is was said."""
        if not self.forget(subject):
            return False
        self._log.log(level, "%s%s", self._prefix, visible(what or f"the trouble with {subject} is over"))
        return True

    def forget(self, subject: str) -> bool:
        """End it without a word: nobody asks any more, or somebody else says it. Whether it was open."""
        self._kinds.pop(subject, None)
        return self._open.pop(subject, None) is not None

    def note(
        self,
        subject: str,
        what: str,
        *,
        every: float = inf,
        level: int = logging.WARNING,
        cause: BaseException | None = None,
    ) -> bool:
        """Something happened that has no end; whether it was said: once, or again after `every` seconds."""
        now = self._monotonic()
        if subject not in self._noted:
            if not self._room(self._noted):
                return False
        elif now - self._noted[subject] < every:
            return False
        self._noted[subject] = now
        self._log.log(level, "%s%s", self._prefix, visible(what), exc_info=cause)
        return True

    def _room(self, subjects: Mapping[str, object]) -> bool:
        if len(subjects) < MOST_SUBJECTS:
            return True
        if not self._full:
            self._full = True
            self._log.warning(
                "%smore than %d troubles: further ones are not logged", self._prefix, MOST_SUBJECTS
            )
        return False

    @property
    def open(self) -> Mapping[str, str]:
        """The words of every trouble that has begun and not ended, by subject, oldest first."""
        return MappingProxyType(self._open)

    @property
    def latest(self) -> str:
        """The words of the trouble that began last; empty when all is well."""
        return next(reversed(self._open.values()), "")
