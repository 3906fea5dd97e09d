"""The building's energy for page and API: what was used, where, when, and whether it was usual."""

from gateway.status.energy.facts import BuildingFacts, EnergyHistory, EnergyMeter, EnergyReader
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period

__all__ = ["BuildingFacts", "EnergyHistory", "EnergyMeter", "EnergyReader", "Figures", "Period"]
