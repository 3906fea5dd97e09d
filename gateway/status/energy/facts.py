"""What the energy pages need to know of the building, and the history that they read: given by the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.energy import (
        BuildingRegisters,
        BuildingSeries,
        Calendar,
        DatedRules,
        DaySum,
        Interval,
        KeptFinding,
        Manifest,
        PollHours,
        Register,
    )


@dataclass(frozen=True, slots=True)
class EnergyMeter:
    """A meter of the tree. `generates`: which of its registers counts what a plant gives, import or export;
    "auto" when nobody has said; empty for a meter of what is used. `class_`: as in EN 50470, `ct_class` of
    its transformers; `assumed`: nobody has said the class.
    """

    id: str
    label: str
    parent: str = ""
    feeds: str = ""
    generates: str = ""
    class_: str = "B"
    ct_class: str = ""
    assumed: bool = True


@dataclass(frozen=True, slots=True)
class BuildingFacts:
    """What the configuration says of the building; None and empty: nobody has said it.

    `open_days` are weekdays, 0 is Monday; `open_slots` quarter hours of a day.
    """

    meters: tuple[EnergyMeter, ...] = ()
    area: float | None = None
    installed_kva: float | None = None
    contract_kw: float | None = None
    exempt: bool = False
    tariff: str = ""
    old_clock: bool = False
    open_days: tuple[int, ...] = (0, 1, 2, 3, 4)
    open_slots: range = range(32, 68)
    forgiven: tuple[str, ...] = ()
    rules: DatedRules | None = None
    temperatures: Mapping[date, float] = field(default_factory=dict)
    """Local day → mean outdoor temperature, °C."""

    def is_exempt(self, day: date) -> bool:
        """Whether nothing is paid for reactive energy: the configuration says so, or so little is installed
        that its connection is below the least one that pays.
        """
        if self.exempt or self.rules is None or self.installed_kva is None:
            return self.exempt
        limits = self.rules.reactive(self.installed_kva, day)
        return limits is not None and self.installed_kva <= limits.value.exempt_kw

    @property
    def roots(self) -> tuple[EnergyMeter, ...]:
        """The meters at the top of the tree, plants aside: together they are the building."""
        known = {meter.id for meter in self.meters}
        return tuple(
            meter for meter in self.meters if (meter.parent or "") not in known and not meter.generates
        )

    @property
    def plants(self) -> tuple[EnergyMeter, ...]:
        """Meters of what is generated."""
        return tuple(meter for meter in self.meters if meter.generates)


class DayLike(Protocol):
    """The quarter hours of a local day."""

    @property
    def day(self) -> date:
        """The local day."""

    @property
    def values(self) -> Sequence[int]:
        """Wh or the register's other whole unit."""

    @property
    def quality(self) -> Sequence[str]:
        """A letter for each; empty where nothing is known."""


class PublicDay(Protocol):
    """A public holiday by its names; `half`: it begins at 13:00."""

    @property
    def tr(self) -> str: ...
    @property
    def en(self) -> str: ...
    @property
    def half(self) -> bool: ...


class EnergyReader(Protocol):
    """An open history: for one thread at a time."""

    def registers(self) -> list[tuple[str, str]]:
        """Meter and quantity of everything that has a day."""

    def span(self) -> tuple[date, date] | None:
        """First and last local day with an interval."""

    def days(self, meter: str, quantity: str, first: date, last: date) -> Iterator[DayLike]:
        """The local days that have an interval, by date."""

    def sums(
        self,
        meter: str,
        quantity: str,
        first: date,
        last: date,
        calendar: Calendar | None = None,
        *,
        unmeasured: bool = False,
    ) -> Sequence[DaySum]:
        """A sum for each local day that has an interval, by date, or of those alone of which something is
        `unmeasured`; with a calendar every one has its hours.
        """

    def counted(self, meter: str, quantity: str, first: date, last: date) -> tuple[int, int]:
        """What a register took on some local days, and of how many intervals that is known."""

    def building_sums(
        self, series: BuildingSeries, registers: BuildingRegisters, first: date, last: date
    ) -> tuple[Sequence[DaySum], date]:
        """The kept sums of a building, by date, and the local day from which on none are kept."""

    def begins(self) -> Mapping[Register, date]:
        """The first local day of each register."""

    def directions(self) -> Mapping[str, str]:
        """Plant → the direction that counts its yield, as its days have told it."""

    def intervals(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Interval]:
        """The newest version of each interval of some local days, by start."""

    def manifests(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Manifest]:
        """Of each day that has one, by date: what the platform must hold."""

    def lost(self) -> list[tuple[date, date]]:
        """Local days that went with a damaged file."""

    def polls(self, meter: str) -> PollHours:
        """How a meter answered, hour by hour, of the last week."""

    def findings(self) -> Sequence[KeptFinding]:
        """The newest findings of each meter, by the time at which they were so last."""

    def steps(self) -> Mapping[Register, int]:
        """The step of each register, in whole base units, where a quarter hour brings less than one."""

    def holidays(self) -> Mapping[date, PublicDay]:
        """The known public holidays."""

    def close(self) -> None:
        """Close the file."""


class BilledAmountLike(Protocol):
    """A line of a bill in Wh (a band by its name) or varh (inductive, capacitive), beside our meter's."""

    @property
    def name(self) -> str: ...
    @property
    def measured(self) -> int: ...
    @property
    def billed(self) -> int: ...
    @property
    def allowed(self) -> int:
        """By how much the classes of both meters let them differ."""

    def is_beyond(self, missing: int) -> bool:
        """Whether they differ by more, with so many quarter hours missing of ours."""

    def is_open(self, missing: int) -> bool:
        """Whether what is missing may be what they differ by."""


class BillLike(Protocol):
    """A bill of the distributor that was compared with our meter, from its first to its last local day."""

    @property
    def meter(self) -> str: ...
    @property
    def first(self) -> date: ...
    @property
    def last(self) -> date: ...
    @property
    def made(self) -> int:
        """When it was compared, UTC in ms."""

    @property
    def amounts(self) -> Sequence[BilledAmountLike]: ...
    @property
    def lacking(self) -> Sequence[tuple[date, int]]:
        """Days with quarter hours that were not measured, and how many of them."""

    @property
    def missing(self) -> int:
        """Quarter hours of which our meter knows nothing."""

    @property
    def apart(self) -> Sequence[tuple[date, int, int]]:
        """Days that explain a difference, the largest first, with Wh of our meter and of the bill."""


def _none() -> Sequence[BillLike]:
    return ()


@dataclass(frozen=True, slots=True)
class EnergyHistory:
    """The building, how to open its history, and the bills that were compared with it; `open` and `bills`
    raise HistoryError while there is nothing that can be read. `progress` is the share of the journal that
    has become history, 1 when it goes along.

    It can be sent to another process (pickle), if `open` and `bills` can.
    """

    facts: BuildingFacts
    open: Callable[[], EnergyReader]
    progress: float = 1.0
    bills: Callable[[], Sequence[BillLike]] = _none
