"""The small messages beside the batches: receipts, replay commands and replies, state. Pure: bytes ⇄
models.
"""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.common.text import visible
from gateway.errors import WireError
from gateway.model import Ranges
from gateway.wire.batch import Epoch, Seq, first_flaw

MAX_SMALL = 16 * 1024
MAX_RANGES = 1000
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""As gateway.wire.digest makes it."""


class SmallMessage(BaseModel):
    """What all of them have: unknown fields are ignored, types are strict."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, defer_build=True)

    def to_bytes(self) -> bytes:
        """The message as compact JSON in UTF-8."""
        return json.dumps(
            self.model_dump(by_alias=True, exclude_none=True), ensure_ascii=False, separators=(",", ":")
        ).encode()


PlainText = Annotated[str, AfterValidator(visible)]
"""What people will read: nothing in it can act on a terminal, a log or a page."""


class Receipt(SmallMessage):
    """P/receipt/<consumer>: what the platform has committed of one epoch.

    `upto`: every batch of this epoch up to this seq; 0 for none. `have`: further inclusive ranges.
    `conflicts`: seqs that
    came twice with different content. `digests`: of the content that is stored under a seq in conflict, so
    that the gateway whose batch it is counts it as delivered; may be missing.
    """

    epoch: Epoch
    upto: Annotated[int, Field(ge=0, lt=2**53)]
    have: Annotated[
        list[Annotated[list[Seq], Field(min_length=2, max_length=2)]], Field(max_length=MAX_RANGES)
    ] = []
    conflicts: Annotated[list[Seq], Field(max_length=MAX_RANGES)] | None = None
    digests: Annotated[list[tuple[Seq, Digest]], Field(max_length=MAX_RANGES)] | None = None

    def covers(self, first: int) -> Ranges:
        """Every seq that the receipt names, `upto` counted from `first`, the epoch's first. Raises
        WireError.
        """
        ranges = Ranges()
        if self.upto >= first:
            ranges.add(first, self.upto)
        for start, end in self.have:
            if end < start:
                raise WireError(f"a receipt's range runs backwards: {start} to {end}")
            ranges.add(start, end)
        return ranges


class Replay(SmallMessage):
    """P/cmd/replay: send these again, or say why they are gone."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    epoch: Epoch
    from_: Annotated[Seq, Field(alias="from")]
    to: Seq


class Reply(SmallMessage):
    """P/reply: what became of a command. `gone` explains seqs that cannot be sent: [first, last, reason].

    `sent` counts the batches that were handed to the broker again. With `ok` false nothing was done and
    `error` says why.
    """

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True, defer_build=True)
    id: Annotated[str, Field(max_length=64)]
    ok: bool
    error: PlainText | None = None
    epoch: Epoch | None = None
    sent: int | None = None
    gone: list[tuple[int, int, PlainText]] | None = None


class State(SmallMessage):
    """P/state, retained, and the Last Will: `epoch` and `seq` are the newest committed batch."""

    online: bool
    epoch: Epoch | None = None
    seq: Annotated[int, Field(ge=0)] | None = None
    backlog: Annotated[int, Field(ge=0)] | None = None
    version: PlainText | None = None
    intervals_behind: Annotated[int, Field(ge=0)] | None = None


class DayManifest(SmallMessage):
    """Fields of the event `manifest`: what a local day of one register must hold, so that the platform can
    prove that it does.

    Of the published intervals of that day, the highest version of each: `first` and `last` edge (UTC ms, 0
    without any), how many, their sum, and the SHA-256 over their lines `start,value,quality,version`, ASCII,
    a line feed behind each, by start. A higher `version` of the manifest replaces a lower.
    """

    meter: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    quantity: Annotated[str, Field(min_length=1, max_length=64)]
    day: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    version: Annotated[int, Field(ge=1, lt=2**31)]
    first: Annotated[int, Field(ge=0, lt=2**53)]
    last: Annotated[int, Field(ge=0, lt=2**53)]
    count: Annotated[int, Field(ge=0, lt=2**31)]
    sum: Annotated[int, Field(gt=-(2**53), lt=2**53)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


AnyMessage = TypeVar("AnyMessage", bound=SmallMessage)


def parse(model: type[AnyMessage], payload: bytes, most: int = MAX_SMALL) -> AnyMessage:
    """A message of at most `most` bytes. Raises WireError, never anything else."""
    if len(payload) > most:
        raise WireError(f"the message has {len(payload)} bytes, more than {most}")
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise WireError(f"not a {model.__name__.lower()}: {first_flaw(error)}") from error
