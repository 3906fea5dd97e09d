"""What a meter shows in a sound installation, by the name of the quantity."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Installation:
    """Phase to neutral in V, current of a phase in A, and the power factor."""

    volts: float
    amperes: float
    factor: float

    def shows(self, name: str, *, single: bool = False) -> float | None:
        """In V, A, kW, Hz, % or °C; None for what counts and for what is not known. `single`: one phase."""
        phases = 1 if single or name.endswith(("_l1", "_l2", "_l3")) else 3
        apparent = phases * self.volts * self.amperes / 1000
        for start, value in (
            ("voltage_l1n", self.volts),
            ("voltage_l2n", self.volts),
            ("voltage_l3n", self.volts),
            ("voltage_ln", self.volts),
            ("voltage_unbalance", 0.5),
            ("voltage", self.volts if single else self.volts * math.sqrt(3)),
            ("current_n", 0.5),
            ("current", self.amperes),
            ("active_power", apparent * self.factor),
            ("apparent_power", apparent),
            ("reactive_power", apparent * math.sqrt(1 - self.factor**2)),
            ("power_factor", self.factor),
            ("displacement", self.factor),
            ("frequency", 50.0),
            ("thd", 2.5),
            ("dc_power", 4.0),
            ("dc_voltage", 400.0),
            ("dc_current", 10.0),
            ("temperature_flow", 60.0),
            ("temperature_return", 40.0),
        ):
            if name.startswith(start):
                return value
        return None
