"""Thousands of gateways at the wire in one process: the real encoder and the real uplink over seeded
readings, outages of their network, and a ledger by which the platform is judged.
"""

from gateway.demo.fleet.judge import FleetVerdict, judge
from gateway.demo.fleet.ledger import FleetLedger
from gateway.demo.fleet.plan import Cut, FleetPlan
from gateway.demo.fleet.run import Fleet, Progress

__all__ = ["Cut", "Fleet", "FleetLedger", "FleetPlan", "FleetVerdict", "Progress", "judge"]
