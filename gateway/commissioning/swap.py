"""Meters that are being exchanged: what the old one showed at its end, until the new one is there. What such
a meter says meanwhile belongs to no register, and is not taken.

It rides with each batch, so that it outlives a restart: whoever exchanges the main meter may have to switch
the gateway off, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from gateway.errors import GatewayError
from gateway.model import QUANTITIES

PATIENCE: Final = 4 * 3_600_000
"""ms after which an exchange that nobody ends is given up: the meter is read on, and another serial number or
a register that falls says by itself what happened."""
EXCHANGE_EVENTS: Final = frozenset(
    {"meter_changed", "serial_mismatch", "serial_match", "register_fell", "register_leapt"}
)
"""What is known while a meter is exchanged, and need not be told."""
DISPLAY: Final = 1.0
"""Unit of a register by which a display may lag behind it: it shows fewer digits."""
How = Literal["read", "typed", "unknown"]


@dataclass(frozen=True, slots=True)
class MeterSwap:
    """An exchange that has begun at `since` (UTC, ms). `closing`: register by quantity, in its unit, and
    `how` it is known; `serial` the old meter's number, `by` and `why` as the person wrote.
    """

    meter: str
    since: int
    closing: dict[str, float] = field(default_factory=dict)
    how: How = "read"
    serial: str = ""
    by: str = ""
    why: str = ""


class MeterSwaps:
    """The exchanges that have begun. `carried` is what `carry` gave."""

    def __init__(self, carried: object = None) -> None:
        self._begun: dict[str, MeterSwap] = {}
        for each in carried if isinstance(carried, list) else ():
            try:
                swap = MeterSwap(**each)
            except TypeError:  # another version's: the meter is read on
                continue
            self._begun[swap.meter] = swap

    def __contains__(self, meter: str) -> bool:
        return meter in self._begun

    def __iter__(self) -> Iterator[MeterSwap]:
        return iter(self._begun.values())

    def get(self, meter: str) -> MeterSwap | None:
        """The exchange of a meter, if it has begun."""
        return self._begun.get(meter)

    def begin(self, swap: MeterSwap) -> None:
        """From here on nothing that this meter says is taken."""
        self._begun[swap.meter] = swap

    def end(self, meter: str) -> MeterSwap:
        """It is exchanged, or it is not. Raises GatewayError."""
        if meter not in self._begun:
            raise GatewayError(
                f"no exchange of meter {meter} has begun", hint=f"begin it: submeter swap {meter}"
            )
        return self._begun.pop(meter)

    def overdue(self, now: int) -> list[MeterSwap]:
        """Those that nobody has ended in time (`now`: UTC, ms)."""
        return [swap for swap in self._begun.values() if now - swap.since > PATIENCE]

    def carry(self) -> list[dict[str, Any]]:
        """What must ride with the next batch."""
        return [asdict(swap) for swap in self._begun.values()]


def counters_of(values: Mapping[str, float], suspect: tuple[str, ...] = ()) -> dict[str, float]:
    """The registers among the values of a reading, those that are believed."""
    return {
        name: value
        for name, value in values.items()
        if name not in suspect and name in QUANTITIES and QUANTITIES[name].is_register
    }


def check_typed(meter: str, typed: Mapping[str, float], known: Mapping[str, float]) -> None:
    """Whether indices that a person typed can be the last ones of a meter whose registers were last read as
    `known`. Raises GatewayError.
    """
    for quantity, value in typed.items():
        word = QUANTITIES.get(quantity)
        if word is None or not word.is_register or not word.low <= value <= word.high:
            raise GatewayError(
                f"{quantity}={value:g} is no register of a meter",
                hint="write it like 12345.6, or active_energy_export=12.3 for another register",
            )
        if known and quantity not in known:
            raise GatewayError(
                f"meter {meter} has no register {quantity}",
                hint=f"its registers are: {', '.join(sorted(known))}",
            )
        if value < known.get(quantity, 0.0) - DISPLAY:
            raise GatewayError(
                f"{quantity} of meter {meter} cannot have ended at {value:.12g} {word.unit}: it was "
                f"last read at {known[quantity]:.12g} {word.unit}",
                hint="write the index as the display shows it, by the ratios that the gateway has",
            )
