"""A meter is read live with a table: is what it says possible, and which table would make it so?"""

from gateway.commissioning.trial.physics import PhysicsCheck
from gateway.commissioning.trial.trial import Trial, trial

__all__ = ["PhysicsCheck", "Trial", "trial"]
