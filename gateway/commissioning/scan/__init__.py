"""Finds the meters of a serial line or of a TCP host, and says which they are."""

from gateway.commissioning.scan.identify import Identified, identify
from gateway.commissioning.scan.line import HostLine, ProbeLine, SerialLine
from gateway.commissioning.scan.settings import Setting, likely_addresses, likely_settings
from gateway.commissioning.scan.sweep import FoundMeter, ScanProgress, Sweep, Swept

__all__ = [
    "FoundMeter",
    "HostLine",
    "Identified",
    "ProbeLine",
    "ScanProgress",
    "SerialLine",
    "Setting",
    "Sweep",
    "Swept",
    "identify",
    "likely_addresses",
    "likely_settings",
]
