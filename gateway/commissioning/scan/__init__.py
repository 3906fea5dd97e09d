"""Finds the meters of a serial line or of a TCP host, and says which they are."""

from gateway.commissioning.scan.found import FoundMeter, ScanProgress, Swept
from gateway.commissioning.scan.identify import Identified, identify
from gateway.commissioning.scan.line import (
    HostProbe,
    LineCounters,
    Probe,
    RawExchange,
    SerialProbe,
    answered,
    asks,
    placed,
)
from gateway.commissioning.scan.proposal import Proposal, item_lines, propose_lines
from gateway.commissioning.scan.settings import LineSetting, likely_addresses, likely_settings
from gateway.commissioning.scan.sweep import Sweep

__all__ = [
    "FoundMeter",
    "HostProbe",
    "Identified",
    "LineCounters",
    "LineSetting",
    "Probe",
    "Proposal",
    "RawExchange",
    "ScanProgress",
    "SerialProbe",
    "Sweep",
    "Swept",
    "answered",
    "asks",
    "identify",
    "item_lines",
    "likely_addresses",
    "likely_settings",
    "placed",
    "propose_lines",
]
