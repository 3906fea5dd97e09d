"""What law and market say, read from a file: every row with the day from which it holds and its source."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.common.files import is_missing
from gateway.config.sections.building import OWN_RULES
from gateway.config.units import Number
from gateway.config.validation import validate
from gateway.config.yamlfile import load_yaml
from gateway.errors import ConfigError

_PACKAGED = Path(__file__).parent / "rules_of_countries"
_CHECKOUT = Path(__file__).parents[2] / "config" / "rules"
_NIGHT = 24


def _a_day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("is not a day: write one like 2026-01-01") from None


def _hours(value: str) -> str:
    match = re.fullmatch(r"(\d\d)-(\d\d)", value)
    if not match or int(match[1]) >= _NIGHT or int(match[2]) > _NIGHT:
        raise ValueError("is not a band: write its hours, like 06-17")
    return value


def _whole_day(value: dict[str, str]) -> dict[str, str]:
    hours: list[int] = []
    for text in value.values():
        first, last = int(text[:2]), int(text[3:])
        hours += range(first, last) if first < last else [*range(first, _NIGHT), *range(last)]
    if sorted(hours) != list(range(_NIGHT)):
        raise ValueError("do not cover the day: write bands in which each hour stands once")
    return value


WrittenDay = Annotated[date, BeforeValidator(_a_day)]
SourceText = Annotated[str, Field(min_length=3, max_length=300)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class _Dated(_Row):
    """`valid_from`: its first day."""

    valid_from: WrittenDay
    source: SourceText


class _OldClock(_Row):
    later: Annotated[int, Field(ge=0, le=23)]
    from_month: Annotated[int, Field(ge=1, le=12)]
    until_month: Annotated[int, Field(ge=1, le=12)]


class _Tariff(_Dated):
    bands: Annotated[
        dict[Annotated[str, Field(pattern=r"^t\d$")], Annotated[str, AfterValidator(_hours)]],
        AfterValidator(_whole_day),
    ]
    clock_old: _OldClock | None = None
    prices: dict[str, str | Annotated[Number, Field(ge=0)]] | None = None
    reactive: dict[str, str | Annotated[Number, Field(ge=0)]] | None = None


class _ReactiveClass(_Row):
    from_kva: Annotated[Number, Field(ge=0)]
    inductive: Annotated[Number, Field(gt=0, le=100)]
    capacitive: Annotated[Number, Field(gt=0, le=100)]


class _Reactive(_Dated):
    classes: Annotated[tuple[_ReactiveClass, ...], Field(strict=False, min_length=1)]
    exempt_kw: Annotated[Number, Field(ge=0)] = 0.0
    forgiven_per_year: Annotated[int, Field(ge=0, le=12)] = 0


class _Netting(_Dated):
    over: Literal["hour", "month"]


class _Demand(_Dated):
    minutes: Literal[15, 30, 60]


class _Co2(_Dated):
    scope: Literal["consumption", "avoided"]
    value: Annotated[Number, Field(ge=0)]


class _Tep(_Dated):
    value: Annotated[Number, Field(gt=0)]


class _DegreeDays(_Dated):
    kind: Literal["heating", "cooling"]
    base: Number
    when: Number


class RulesFile(_Row):
    """A whole file of tariffs and limits, checked."""

    tariffs: dict[
        Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")],
        Annotated[tuple[_Tariff, ...], Field(strict=False, min_length=1)],
    ]
    reactive: Annotated[tuple[_Reactive, ...], Field(strict=False)] = ()
    netting: Annotated[tuple[_Netting, ...], Field(strict=False)] = ()
    demand: Annotated[tuple[_Demand, ...], Field(strict=False)] = ()
    co2: Annotated[tuple[_Co2, ...], Field(strict=False)] = ()
    tep: Annotated[tuple[_Tep, ...], Field(strict=False)] = ()
    degree_days: Annotated[tuple[_DegreeDays, ...], Field(strict=False)] = ()


def rules_path(country: str = "tr", own: Path | None = None) -> Path:
    """The file that counts: one's own before the shipped one, whatever stands there."""
    name = f"{country}.yaml"
    shipped = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    mine = (own or Path(OWN_RULES)) / name
    return mine if not is_missing(mine) or mine.is_symlink() else shipped / name


def load_rules(path: Path) -> dict[str, Any]:
    """The rows of a rules file as plain values, for gateway.energy.DatedRules. Raises ConfigError with every
    mistake.
    """
    document, problems = load_yaml(path)
    if document is None:
        raise ConfigError(problems)
    rules, found = validate(RulesFile, document, str(path), _explain)
    if rules is None or problems or found:
        raise ConfigError(sorted({*problems, *found}))
    return rules.model_dump()


def _explain(error: dict[str, Any]) -> tuple[str, str]:
    what, _, mend = str(error.get("ctx", {}).get("error", error["msg"])).partition(": write ")
    return what, f"write {mend}" if mend else "look at the shipped file"
