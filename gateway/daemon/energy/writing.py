"""Writing to the history when there may be no room for it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.errors import HistoryError

log = logging.getLogger(__name__)


def kept_going(write: Callable[[], bool | None]) -> bool:
    """Write something; whether it was, and whether there is more of it. A full disk is no reason to read the
    journal again.
    """
    try:
        return write() is not False
    except HistoryError as error:
        if type(error) is not HistoryError:
            raise
        log.warning("%s", error)
        return False
