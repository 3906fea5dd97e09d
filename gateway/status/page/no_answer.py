"""A request that gets no answer, and what most requests must find first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from starlette.exceptions import HTTPException

from gateway.status.snapshot import MeterView, Snapshot

_RANGE = re.compile(r"from=[0-9-]+&to=[0-9-]+")


class NoAnswer(HTTPException):
    """A request that gets no answer: what is wrong, and what to do."""

    hint = "see docs/api.md"

    def __init__(
        self, status: int, what: str, *, hint: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, what, headers)
        self.hint = hint


def refused(status: int, why: str, hint: str = "") -> NoAnswer:
    """A request that cannot be meant: what `why` says behind a colon is what to write, else it is `hint`."""
    what, _colon, instead = why.partition(": ")
    return NoAnswer(status, what, hint=instead or hint)


def meant(hint: str, asked: Mapping[str, str]) -> str:
    """The query of the range of days that a hint names, of the meter that was asked for, in steps that go
    with it; empty: it names none.
    """
    found = _RANGE.search(hint)
    of = {word: asked[word] for word in ("meter", "quantity") if word in asked}
    return f"?{urlencode(dict(parse_qsl(found[0])) | of)}" if found else ""


def present(now: Snapshot, meter_id: str) -> MeterView:
    """The meter. Raises HTTPException (404)."""
    meter = now.meter(meter_id)
    if meter is None:
        raise HTTPException(404, "there is no such meter")
    return meter
