"""Measures what goes wrong on a line, on the way to the platform and on this machine, and names the cause."""

from gateway.commissioning.doctor.bus import BusSurroundings, PortAccess, RealPorts, examine_bus
from gateway.commissioning.doctor.diagnosis import Diagnosis, Evidence, ExaminedPart, Observation, worst_first
from gateway.commissioning.doctor.line.reads import LineProgress
from gateway.commissioning.doctor.machine import MachineView, examine_machine
from gateway.commissioning.doctor.targets import Target, target_of
from gateway.commissioning.doctor.uplink import SampleBatch, examine_uplink

__all__ = [
    "BusSurroundings",
    "Diagnosis",
    "Evidence",
    "ExaminedPart",
    "LineProgress",
    "MachineView",
    "Observation",
    "PortAccess",
    "RealPorts",
    "SampleBatch",
    "Target",
    "examine_bus",
    "examine_machine",
    "examine_uplink",
    "target_of",
    "worst_first",
]
