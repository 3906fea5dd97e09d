"""Troubles that are said once when they begin and once when they end."""

from __future__ import annotations

import logging

from gateway.common.text import visible

log = logging.getLogger("gateway.uplink")

MAX_NOTED = 1000
"""Subjects that are remembered: a stranger must not fill memory or log with new ones."""


class Complaints:
    """What is wrong with one uplink at the moment, by subject."""

    def __init__(self, uplink: str) -> None:
        self._uplink = uplink
        self._open: dict[str, str] = {}
        self._noted: set[str] = set()

    def raised(self, subject: str, what: str, hint: str = "", *, cause: BaseException | None = None) -> None:
        """Something is wrong; logged when the subject is new. `cause` adds its traceback."""
        text = visible(f"{what} → {hint}" if hint else what)
        if subject not in self._open:
            log.warning("uplink %s: %s", self._uplink, text, exc_info=cause)
        self._open[subject] = text

    def noted(self, subject: str, what: str) -> None:
        """Something happened that has no end: logged when the subject is new."""
        if subject not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add(subject)
            log.warning("uplink %s: %s", self._uplink, visible(what))

    def ended(self, subject: str) -> None:
        """It is well again; logged when it was not."""
        if self._open.pop(subject, None) is not None:
            log.info("uplink %s: the trouble with %s is over", self._uplink, visible(subject))

    @property
    def latest(self) -> str:
        """The newest open complaint; empty when all is well."""
        return next(reversed(self._open.values()), "")
