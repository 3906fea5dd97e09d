"""The section `building`: what turns energy into what a facility manager asks."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.config.places import plain_text
from gateway.config.units import Number, Switch

OWN_RULES = "/etc/submeter/rules"
"""Where a file of tariffs and limits that wins over the shipped one stands."""
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _a_month(value: str) -> str:
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", value):
        raise ValueError("is not a month: write one like 2026-03")
    return value


def _hours(value: str) -> str:
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-(([01]\d|2[0-3]):([0-5]\d)|24:00)", value)
    if not match or value[:5] >= value[6:]:
        raise ValueError("is not a time of day: write from-to, like 08:00-17:30")
    return value


def _a_full_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is no full path: write one like /etc/submeter/temperatures.csv")
    return plain_text(value)


def _a_phone(value: str) -> str:
    if not re.fullmatch(r"\+?[0-9 ()-]{5,30}", value):
        raise ValueError("is not a phone number: write one like +90 232 000 00 00")
    return value


class _Part(BaseModel):
    """A part of the section: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class PvMeter(_Part):
    """A meter of a photovoltaic plant. `yield_`: which of its registers counts what the plant gives."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=False, defer_build=True
    )
    meter: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    yield_: Annotated[Literal["import", "export"] | None, Field(alias="yield")] = None


class OpeningHours(_Part):
    """When the building is open; other days, and public holidays, are closed ones."""

    days: Annotated[tuple[Weekday, ...], Field(strict=False)] = ("mon", "tue", "wed", "thu", "fri")
    hours: Annotated[str, AfterValidator(_hours)] = "08:00-17:00"

    @property
    def slots(self) -> range:
        """The quarter hours of the day, 0 to 95, in which it is open."""
        begin, end = (int(text[:2]) * 4 + -(-int(text[3:]) // 15) for text in self.hours.split("-"))
        return range(begin, end)


class ServiceFirm(_Part):
    """Whom a person calls when something is to be mended."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    phone: Annotated[str, AfterValidator(_a_phone)] | None = None


class BuildingSection(_Part):
    """What is known of the building; what is left out is not shown, and the page says so."""

    area: Annotated[Number, Field(gt=0, le=10_000_000)] | None = None
    """m²."""
    installed_kva: Annotated[Number, Field(gt=0, le=1_000_000)] | None = None
    contract_kw: Annotated[Number, Field(gt=0, le=1_000_000)] | None = None
    exempt: Switch = False
    """From charges for reactive energy."""
    tariff: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = "tr-three-time"
    clock: Literal["new", "old"] = "new"
    """old: the distributor's meter was not moved to summer time for good."""
    pv: Annotated[tuple[PvMeter, ...], Field(strict=False, max_length=32)] = ()
    opening: OpeningHours = OpeningHours()
    forgiven: Annotated[tuple[Annotated[str, AfterValidator(_a_month)], ...], Field(strict=False)] = ()
    """Months whose breach of a reactive limit the distributor has disregarded."""
    jump: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Times the quarter hour before at which a measured one is told; None: none is."""
    temperatures: Annotated[str, Field(max_length=1024), AfterValidator(_a_full_path)] | None = None
    """A CSV file with the mean temperature of each day: degree days are counted from it."""
    service: ServiceFirm | None = None
