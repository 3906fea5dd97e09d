"""Finds the meters of a serial line or of a TCP host, and says which they are."""

from gateway.commissioning.scan.exchange import RawExchange, asks, listen, placed
from gateway.commissioning.scan.found import FoundMeter, ScanProgress, Swept
from gateway.commissioning.scan.host import ConverterProbe, HostProbe
from gateway.commissioning.scan.host_sweep import HostSweep
from gateway.commissioning.scan.identify import Identified, identify
from gateway.commissioning.scan.line import LineCounters, Probe, SerialProbe
from gateway.commissioning.scan.proposal import Proposal, item_lines, item_texts, propose_lines
from gateway.commissioning.scan.settings import LineSetting, likely_addresses, likely_settings, together
from gateway.commissioning.scan.sweep import Sweep

__all__ = [
    "ConverterProbe",
    "FoundMeter",
    "HostProbe",
    "HostSweep",
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
    "asks",
    "identify",
    "item_lines",
    "item_texts",
    "likely_addresses",
    "likely_settings",
    "listen",
    "placed",
    "propose_lines",
    "together",
]
