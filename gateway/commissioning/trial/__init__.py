"""A meter is read live with a table: is what it says possible, and which table would make it so?"""

from gateway.commissioning.trial.physics import PhysicsCheck, judge
from gateway.commissioning.trial.trial import Trial, try_table

__all__ = ["PhysicsCheck", "Trial", "judge", "try_table"]
