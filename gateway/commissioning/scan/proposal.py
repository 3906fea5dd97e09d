"""What to write into the configuration for the meters that were found. Asks this machine only which names are
one port.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.commissioning.scan.found import FoundMeter
from gateway.commissioning.scan.settings import LineSetting
from gateway.config import same_line

_ID = re.compile(r"[^a-z0-9]+")
_LONGEST_ID = 32
_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """Lines for the sections `buses` and `meters`; `left_out` are meters that no line can be written for:
    their table is not known, they share an address, or stand at another setting than most of the line.
    `other_type`: the bus of the configuration at this host that is of another type than its frames.
    """

    bus: dict[str, object] | None
    meters: tuple[dict[str, object], ...]
    left_out: tuple[FoundMeter, ...] = ()
    other_type: str = ""

    @property
    def text(self) -> str:
        """The lines as they stand in the file."""
        lines = []
        for section, items in (("buses", [self.bus] if self.bus else []), ("meters", list(self.meters))):
            if items:
                lines += [f"{section}:", *(line for item in items for line in item_lines(item))]
        return "\n".join(lines)


def propose_lines(
    found: Iterable[FoundMeter],
    *,
    place: Mapping[str, object],
    buses: Iterable[Mapping[str, object]] = (),
    meters: Iterable[Mapping[str, object]] = (),
) -> Proposal:
    """Lines for what was found at `place` (`{type: serial, port}`, or `{type: tcp, host, port}` and likewise
    `rtu-over-tcp`); `buses` and `meters` are what the configuration has already, by its keys.
    """
    every = list(found)
    known = next((bus for bus in buses if same_line(bus, place)), None)
    names = {str(bus["name"]) for bus in buses}
    setting = _setting(every, known)
    name = str(known["name"]) if known else _free("line" if place["type"] == "serial" else "plant", names)
    bus = None if known or not every else {"name": name, **place, **_as_keys(setting)}
    taken = {(meter.get("bus"), meter.get("address")) for meter in meters}
    ids = {str(meter["id"]) for meter in meters}
    written, left = [], []
    for meter in every:
        if (name, meter.unit) in taken and known:
            continue
        if meter.double or not meter.identified.candidates or meter.setting not in {None, setting}:
            left.append(meter)
            continue
        driver = meter.identified.candidates[0].name
        key = _key(_ID.sub("-", f"{driver.partition('-')[2]}-{meter.unit}"), name, ids)
        ids.add(key)
        item: dict[str, object] = {"id": key, "bus": name, "address": meter.unit, "driver": driver}
        if meter.identified.serial:
            item["serial"] = meter.identified.serial
        written.append(item)
    other = known is not None and bool(every) and known.get("type") != place["type"]
    return Proposal(bus, tuple(written), tuple(left), name if other else "")


def item_lines(item: Mapping[str, object], indent: str = "  ") -> list[str]:
    """One item of a section, on a line of its own per key."""
    texts = item_texts(item)
    return [f"{indent}{'  ' if at else '- '}{text}" for at, text in enumerate(texts)]


def item_texts(item: Mapping[str, object]) -> list[str]:
    """Its keys with their values, as YAML has them."""
    return [f"{key}: {_scalar(value)}" for key, value in item.items()]


def _scalar(value: object) -> str:
    """As YAML reads it back: a text that looks like a number or a word of YAML is quoted."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z/][A-Za-z0-9/._-]*", value)
    if plain and str(value).casefold() not in _YAML_WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _setting(found: list[FoundMeter], bus: Mapping[str, object] | None) -> LineSetting | None:
    """The line's own setting, else the one at which most meters stand."""
    if bus is not None and bus.get("type") == "serial":
        return LineSetting(
            int(str(bus.get("baudrate", 9600))), str(bus.get("parity", "N")), int(str(bus.get("stopbits", 1)))
        )
    count = Counter(meter.setting for meter in found if meter.setting is not None)
    return count.most_common(1)[0][0] if count else None


def _as_keys(setting: LineSetting | None) -> dict[str, object]:
    if setting is None:
        return {}
    return {"baudrate": setting.baudrate, "parity": setting.parity, "stopbits": setting.stopbits}


def _key(name: str, bus: str, used: set[str]) -> str:
    """An id that nobody has: the bus tells meters of one model and address apart."""
    for key in (name, f"{name}-{bus}"):
        if (short := key[-_LONGEST_ID:].strip("-")) not in used:
            return short
    return _free(name[-_LONGEST_ID + 4 :].strip("-"), used)


def _free(name: str, used: set[str]) -> str:
    """The name, or the first with a number behind it that nobody has."""
    name = name or "meter"
    if name not in used and name not in {"line", "plant"}:
        return name
    number = 1
    while f"{name}{number}" in used:
        number += 1
    return f"{name}{number}"
