"""What a person may set: quarter hours that are all known. Else the sum would stand in fewer of them."""

from __future__ import annotations

from typing import Final

from gateway.daemon.slots import QUARTER_MS
from gateway.errors import GatewayError

LONGEST: Final = 400 * 96
"""Quarter hours that are set at once: a year and a month."""


def check_quarters(first: int, last: int) -> int:
    """How many quarter hours lie between two times (ms UTC). Raises GatewayError."""
    if first % QUARTER_MS or last % QUARTER_MS or last <= first:
        raise GatewayError(
            "what is set begins and ends with a quarter hour", hint="write times like 14:00 and 14:15"
        )
    if last - first > LONGEST * QUARTER_MS:
        raise GatewayError("more than a year cannot be set at once", hint="set it year by year")
    return (last - first) // QUARTER_MS


def check_known(known: int, quarters: int, meter: str, quantity: str) -> None:
    """Raises GatewayError unless every quarter hour is known."""
    hint = "submeter energy prints what is known, by meter and day"
    if not known:
        raise GatewayError(f"nothing is known of {quantity} of {meter} at that time", hint=hint)
    if known < quarters:
        raise GatewayError(
            f"of {quantity} of {meter} only {known} of these {quarters} quarter hours are known", hint=hint
        )
