"""The last known value of every quantity, with its time: what the page shows between two batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.model import Reading


@dataclass(slots=True)
class LastValue:
    """A value as last read; `uptime` is CLOCK_BOOTTIME in ms."""

    value: float
    uptime: int
    suspect: bool = False


@dataclass(slots=True)
class MeterValues:
    """What is known of one meter.

    `answered` and `polled` are CLOCK_BOOTTIME in ms; `missing` is the reason of a poll that brought nothing.
    `given` are the quantities that it has given since its table or its place last changed, over restarts.
    """

    answered: int | None = None
    polled: int | None = None
    missing: str = ""
    given: set[str] = field(default_factory=set)
    _values: dict[str, LastValue] = field(default_factory=dict, init=False)
    _absent: dict[str, str] = field(default_factory=dict, init=False)
    _newest: Reading | None = field(default=None, init=False)
    """The last reading, while nobody has asked for what it brought: mostly another one comes first."""

    @property
    def values(self) -> dict[str, LastValue]:
        """The last known value of each quantity."""
        self._fold()
        return self._values

    @property
    def absent(self) -> dict[str, str]:
        """Why a quantity was not in the last reading that should have had it."""
        self._fold()
        return self._absent

    def take(self, reading: Reading) -> None:
        """Remember what a reading brought, and what those before it did that it has nothing of."""
        before = self._newest
        if before is not None and (before.absent or not reading.values.keys() >= before.values.keys()):
            self._fold()
        self._newest = reading

    def _fold(self) -> None:
        reading, self._newest = self._newest, None
        if reading is None:
            return
        known, absent, uptime, suspect = self._values, self._absent, reading.uptime, reading.suspect
        for name, value in reading.values.items():
            known[name] = LastValue(value, uptime, name in suspect)
            if absent:
                absent.pop(name, None)
        absent.update(reading.absent)


class LastValues:
    """Last values by meter. Lives on the event loop."""

    def __init__(self, meters: Iterable[str]) -> None:
        self.meters: dict[str, MeterValues] = {meter: MeterValues() for meter in meters}

    def given(self, meter: str) -> set[str]:
        """The quantities that a meter has given, to be added to or forgotten in place."""
        return self.meters[meter].given

    def take(self, reading: Reading) -> bool:
        """Remember what a reading brought; what it did not bring keeps its last value and gets older.

        Whether it brought a quantity that was not given before.
        """
        meter = self.meters.get(reading.meter)
        if meter is None:
            return False
        meter.polled = reading.uptime
        meter.missing = reading.missing
        if reading.missing:
            return False
        if reading.values:
            meter.answered = reading.uptime
        meter.take(reading)
        if meter.given.issuperset(reading.values):
            return False
        meter.given.update(reading.values)
        return True

    def inherit(self, older: LastValues, going_on: Iterable[str]) -> None:
        """Keep what was known before a reload, for the meters that are measured as before: values of
        another table are no values.
        """
        for name in self.meters.keys() & older.meters.keys() & set(going_on):
            self.meters[name] = older.meters[name]
