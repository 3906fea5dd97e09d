"""One driver in words: what it is, what it reads and where, and what its table leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.catalogue import Driver, Row, Variant, offered, quantities
from gateway.catalogue.listing import NO, port, serves, summary
from gateway.cli.language import _
from gateway.cli.prose import aligned, entry, said
from gateway.common.text import visible
from gateway.model import QUANTITIES

_MOST_NAMES: Final = 8
"""Values of an identity that are all shown."""


def driver_lines(driver: Driver) -> list[str]:
    """What a driver is, and a row for each value that it reads."""
    limits = driver.limits
    reads = _("function %(function)s, at most %(n)s registers") % {
        "function": limits.function,
        "n": limits.max_registers,
    }
    facts = [
        (_("also"), ", ".join(driver.covers)),
        (_("gives"), summary(driver)),
        (
            _("serves"),
            "; ".join(
                f"{name}: {answer}" for name, answer in serves(quantities(driver)).items() if answer != NO
            ),
        ),
        (_("port"), port(driver.serial, driver.tcp_port)),
        (_("reads"), reads),
        (_("proof"), driver.verified),
        (_("source"), driver.source),
        (_("no kWh"), driver.no_import),
        (_("known by"), known_by(driver)),
        (_("no identity"), driver.no_identity),
        *((_("not for"), f"{', '.join(labels)}: {name}") for name, labels in driver.others.items()),
        *((_("note"), note) for note in driver.notes),
        *((_("variant"), _variant(variant)) for variant in driver.variants),
    ]
    if driver.discovery:
        models = ", ".join(str(model_id) for model_id in driver.discovery.main)
        found = _("walking the SunSpec models %(models)s, at each model's own place:") % {"models": models}
        facts.append((_("found by"), found))
    names = max(len(name) for name, _text in facts)
    told = said(f"{driver.name}: {driver.maker} {driver.model}")
    for name, text in facts:
        told += entry(name, text, names) if text else []
    told += ["", *aligned(_rows(driver.rows or offered(driver)))]
    for variant in driver.variants:
        known = _rows(driver.rows)
        if more := [row for row in _rows(variant.rows) if row not in known]:
            told += ["", *said(f"{variant.name}:"), *aligned(more)]
    return [*told, "", *said(visible(driver.path))]


def known_by(driver: Driver) -> str:
    """The register that names the meter, and what may stand there."""
    one = driver.identity
    if one is None:
        return ""
    values = [str(value) for value in one.values]
    more = f"{values[0]} … {values[-1]}" if len(values) > _MOST_NAMES else ", ".join(values)
    return f"{_place(one.function, one.address)}: {more}"


def _rows(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Of each row where it stands, its type, its name, its unit and how often it is read."""
    return [(place(row), row.type, row.name, f"{unit(row)} {row.pace}".strip()) for row in rows]


def _variant(variant: Variant) -> str:
    return _("%(name)s, when register %(register)s says so") % {
        "name": variant.name,
        "register": variant.when.address,
    }


def place(row: Row) -> str:
    """Where a row stands: function and address, or that it is a sum."""
    return _place(row.function, row.address) if row.words else _("sum")


def _place(function: int, address: int) -> str:
    return f"{function}: {address} (0x{address:04X})"


def unit(row: Row) -> str:
    """The unit of a reading; what an attribute is called has none."""
    return QUANTITIES[row.name].unit if row.name in QUANTITIES else ""
