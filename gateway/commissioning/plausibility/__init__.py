"""A meter is read live with a table: is what it says possible, and which table would make it so?

Only physics is loaded with this face: a table is tried by few of those who judge values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.commissioning.plausibility.physics import PhysicsCheck, judge
from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway.commissioning.plausibility.tried_table import TriedTable, try_table

__all__ = ["PhysicsCheck", "TriedTable", "judge", "try_table"]

_HOMES = {"TriedTable": "tried_table", "try_table": "tried_table"}

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), __name__, _HOMES)
