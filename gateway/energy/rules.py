"""What law and market say, as dated rows: the newest that holds on a day counts, and carries its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
HOURS: Final = 24
_SUNDAY: Final = 6


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """`value` holds from `valid_from` on."""

    valid_from: date
    value: T
    source: str


@dataclass(frozen=True)
class Tariff:
    """`bands`: the name of each hour's band. An old clock shows, between the last Sundays of two months,
    `later` hours less. `prices` by band, per kWh; `reactive_price` per kvarh; `currency` empty: no money is
    shown.
    """

    bands: tuple[str, ...]
    later: int = 0
    from_month: int = 10
    until_month: int = 3
    prices: Mapping[str, float] = field(default_factory=dict)
    reactive_price: float | None = None
    reactive_currency: str = ""
    currency: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The bands, in order."""
        return tuple(sorted(set(self.bands)))

    def band(self, day: date, hour: int, *, old_clock: bool = False) -> str:
        """The band of an hour of a local day."""
        return self.bands_of(day, old_clock=old_clock)[hour % HOURS]

    def bands_of(self, day: date, *, old_clock: bool = False) -> tuple[str, ...]:
        """The band of each hour of a local day."""
        if old_clock and self.later and _is_winter(day, self.from_month, self.until_month):
            return self.bands[-self.later :] + self.bands[: -self.later]
        return self.bands


@dataclass(frozen=True, slots=True)
class ReactiveLimits:
    """Per cent of the active energy drawn in the billing month."""

    inductive: float
    capacitive: float
    exempt_kw: float
    forgiven_per_year: int


@dataclass(frozen=True, slots=True)
class DegreeDayBase:
    """°C: a day whose mean is at or beyond `when` counts with its distance from `base`."""

    base: float
    when: float


@lru_cache(maxsize=64)
def _last_sunday(year: int, month: int) -> date:
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(1)
    return last - timedelta((last.weekday() - _SUNDAY) % 7)


def _is_winter(day: date, from_month: int, until_month: int) -> bool:
    begins, ends = _last_sunday(day.year, from_month), _last_sunday(day.year, until_month)
    return day >= begins or day < ends


class DatedRules:
    """The rows of a rules file: plain values as `gateway.config.load_rules` gives them."""

    def __init__(self, rows: Mapping[str, Any]) -> None:
        self._tariffs = {name: _dated(each, _tariff) for name, each in rows["tariffs"].items()}
        self._reactive: list[Dated[Mapping[str, Any]]] = _dated(rows["reactive"], lambda row: row)
        self._netting = _dated(rows["netting"], lambda row: str(row["over"]))
        self._demand = _dated(rows["demand"], lambda row: int(row["minutes"]))
        self._co2 = {
            scope: _dated([row for row in rows["co2"] if row["scope"] == scope], lambda row: row["value"])
            for scope in ("consumption", "avoided")
        }
        self._tep = _dated(rows["tep"], lambda row: row["value"])
        self._degree_days = {
            kind: _dated(
                [row for row in rows["degree_days"] if row["kind"] == kind],
                lambda row: DegreeDayBase(row["base"], row["when"]),
            )
            for kind in ("heating", "cooling")
        }

    @property
    def tariffs(self) -> tuple[str, ...]:
        """Names of all tariffs."""
        return tuple(self._tariffs)

    def tariff(self, name: str, day: date) -> Dated[Tariff] | None:
        """A tariff as it holds on a day; None: there is none of that name, or not yet."""
        return _at(self._tariffs.get(name, []), day)

    def reactive(self, installed_kva: float, day: date) -> Dated[ReactiveLimits] | None:
        """The limits for an installed power."""
        row = _at(self._reactive, day)
        if row is None:
            return None
        fits = [each for each in row.value["classes"] if each["from_kva"] <= installed_kva]
        if not fits:
            return None
        most = max(fits, key=itemgetter("from_kva"))
        limits = ReactiveLimits(
            most["inductive"], most["capacitive"], row.value["exempt_kw"], row.value["forgiven_per_year"]
        )
        return Dated(row.valid_from, limits, row.source)

    def netting(self, day: date) -> Dated[str] | None:
        """Over which time energy is netted: hour or month."""
        return _at(self._netting, day)

    def demand_minutes(self, day: date) -> Dated[int] | None:
        """Minutes over which demand is the mean."""
        return _at(self._demand, day)

    def co2(self, scope: str, day: date) -> Dated[float] | None:
        """T per MWh; scope: consumption, avoided."""
        return _at(self._co2.get(scope, []), day)

    def tep(self, day: date) -> Dated[float] | None:
        """Tonnes of oil equivalent per MWh."""
        return _at(self._tep, day)

    def degree_days(self, kind: str, day: date) -> Dated[DegreeDayBase] | None:
        """How a day counts; kind: heating, cooling."""
        return _at(self._degree_days.get(kind, []), day)


def _dated(rows: Iterable[Mapping[str, Any]], value: Any) -> list[Dated[Any]]:
    found = [Dated(row["valid_from"], value(row), row["source"]) for row in rows]
    return sorted(found, key=lambda row: row.valid_from)


def _at(rows: Sequence[Dated[T]], day: date) -> Dated[T] | None:
    for row in reversed(rows):  # of each day of years
        if row.valid_from <= day:
            return row
    return None


def _tariff(row: Mapping[str, Any]) -> Tariff:
    bands = [""] * HOURS
    for name, text in row["bands"].items():
        first, last = int(text[:2]), int(text[3:])
        for hour in range(first, last) if first < last else [*range(first, HOURS), *range(last)]:
            bands[hour] = name
    old, prices, reactive = row["clock_old"] or {}, row["prices"] or {}, row["reactive"] or {}
    return Tariff(
        tuple(bands),
        later=old.get("later", 0),
        from_month=old.get("from_month", 10),
        until_month=old.get("until_month", 3),
        prices={name: price for name, price in prices.items() if name != "currency"},
        reactive_price=reactive.get("kvarh"),
        reactive_currency=str(reactive.get("currency", "")),
        currency=str(prices.get("currency", "")),
    )
