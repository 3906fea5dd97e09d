"""A meter is read live with a table: is what it says possible, and which table would make it so?"""

from gateway.commissioning.plausibility.physics import PhysicsCheck, judge
from gateway.commissioning.plausibility.tried_table import TriedTable, try_table

__all__ = ["PhysicsCheck", "TriedTable", "judge", "try_table"]
