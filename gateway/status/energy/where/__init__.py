"""Where the energy went: the tree of meters, the sun, and what follows from the facts of the building."""

from gateway.status.energy.where.below import degree_fact, figures_below, not_measured, peak_of, too_coarse
from gateway.status.energy.where.shares import other_meters, rest_without, shares
from gateway.status.energy.where.sun import sun, untold

__all__ = [
    "degree_fact", "figures_below", "not_measured", "other_meters", "peak_of", "rest_without", "shares",
    "sun", "too_coarse", "untold",
]  # fmt: skip
