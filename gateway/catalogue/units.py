"""Units as they stand in a register's `raw` column, and the factor into the vocabulary's unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_GJ = "277.77777777777777777777777778"
_MJ = "0.27777777777777777777777777778"
_KJ = "2.7777777777777777777777777778e-4"
"""kWh: 1 kWh is 3.6 MJ. A calorie is that of the steam tables, 4.1868 J, with which heat meters count."""
_FINEST = 9
_UNITS = {
    "V": {"mV": "1e-3", "V": "1", "kV": "1e3"},
    "A": {"mA": "1e-3", "A": "1", "kA": "1e3"},
    "kW": {
        "W": "1e-3", "kW": "1", "MW": "1e3", "kJ/h": _KJ, "MJ/h": _MJ, "GJ/h": _GJ,
        "kcal/h": "1.163e-3", "Mcal/h": "1.163", "Gcal/h": "1163",
    },
    "kvar": {"var": "1e-3", "kvar": "1", "Mvar": "1e3"},
    "kVA": {"VA": "1e-3", "kVA": "1", "MVA": "1e3"},
    "kWh": {
        "Wh": "1e-3", "kWh": "1", "MWh": "1e3", "GWh": "1e6", "kJ": _KJ, "MJ": _MJ, "GJ": _GJ,
        "kcal": "1.163e-3", "Mcal": "1.163", "Gcal": "1163",
    },
    "kvarh": {"varh": "1e-3", "kvarh": "1", "Mvarh": "1e3"},
    "kVAh": {"VAh": "1e-3", "kVAh": "1", "MVAh": "1e3"},
    "Hz": {"mHz": "1e-3", "Hz": "1"},
    "%": {"%": "1"},
    "°C": {"°C": "1", "C": "1"},
    "m³": {"l": "1e-3", "m3": "1", "m³": "1"},
    "m³/h": {
        "l/h": "1e-3", "l/min": "0.06", "l/s": "3.6", "m3/h": "1", "m³/h": "1", "m³/min": "60",
        "m³/s": "3600",
    },
    "": {"": "1", "-": "1"},
}  # fmt: skip
_TABLE = {
    symbol: (unit, Decimal(factor)) for unit, symbols in _UNITS.items() for symbol, factor in symbols.items()
}
_RAW = re.compile(r"(-?(?:\d+(?:\.\d+)?(?:e-?\d+)?)(?![\d.]))?\s*([^\d\s.][^\s.]*)?")

KNOWN = sorted(symbol for symbol in _TABLE if symbol not in {"", "-"})


@dataclass(frozen=True, slots=True)
class Raw:
    """What a raw column says: `unit` of the vocabulary, `factor` into it, `shift` of decimals from the raw
    unit.
    """

    unit: str
    factor: Decimal
    shift: int

    @property
    def places(self) -> int:
        """Decimal places that a whole number times the factor can have."""
        exponent = self.factor.normalize().as_tuple().exponent
        return min(_FINEST, max(0, -exponent)) if isinstance(exponent, int) else 0


def parse_raw(text: str) -> Raw | None:
    """What '0.1V', 'W', '10Wh', '0.001' or '-1W' say; None when it is not a unit."""
    match = _RAW.fullmatch(text)
    if not match or (match[2] or "") not in _TABLE or (match[1] is not None and Decimal(match[1]) == 0):
        return None
    unit, factor = _TABLE[match[2] or ""]
    return Raw(unit, factor * Decimal(match[1] or "1"), -factor.adjusted())


def example(unit: str) -> str:
    """How a raw column may give this unit."""
    symbols = [symbol for symbol, (other, _) in _TABLE.items() if other == unit and symbol]
    return f"{', '.join(symbols[:3])} or 0.1{symbols[0]}" if unit else "1 or 0.001"
