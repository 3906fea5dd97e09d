"""The bars of a period: one for each quarter hour, hour, day, month or year, in the bands of the tariff."""

from gateway.status.energy.bars.bands import band_names, band_sums
from gateway.status.energy.bars.picture import hours_table, main_picture
from gateway.status.energy.bars.sums import (
    WhByBar,
    bars_of,
    bars_of_fed,
    bars_of_meter,
    bars_of_series,
    quarters_due,
)

__all__ = [
    "WhByBar", "band_names", "band_sums", "bars_of", "bars_of_fed", "bars_of_meter", "bars_of_series",
    "hours_table", "main_picture", "quarters_due",
]  # fmt: skip
