"""The bytes of a stored batch for this platform: as they are whenever possible, since re-encoding costs
more than sending.
"""

from __future__ import annotations

from gateway.model import Sealed
from gateway.wire import compress, decompress, peek_gateway, with_header


def rewrap(
    sealed: Sealed, gateway: str, *, t0: int | None = None, epoch: str | None = None, packed: bool = True
) -> bytes:
    """The message for P/data: under the present gateway id, with a repaired time or another epoch where that
    is asked.

    Raises WireError when the stored body is not a batch.
    """
    body = sealed.body
    renamed = peek_gateway(body) != gateway
    if not renamed and t0 is None and epoch is None:
        return body if packed else decompress(body)
    plain = decompress(body)
    if epoch is not None:
        plain = reissued(plain, epoch, (sealed.epoch, sealed.seq))
    plain = with_header(plain, gateway=gateway, t0=t0, clock=None if t0 is None else "anchored")
    return compress(plain) if packed else plain


def reissued(plain: bytes, epoch: str, original: tuple[str, int]) -> bytes:
    """The batch under its derived epoch, with the event that opens the epoch and says where it comes from.
    Raises WireError.
    """
    event = {
        "dt": 0,
        "kind": "epoch_started",
        "previous": None,
        "last": 0,
        "reason": "conflict",
        "of": {"epoch": original[0], "seq": original[1]},
    }
    return with_header(plain, epoch=epoch, events=[event])
