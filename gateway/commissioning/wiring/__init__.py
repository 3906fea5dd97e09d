"""Which conductor each current transformer measures, from recorded values. It reads no meter."""

from gateway.commissioning.wiring.hypotheses import INPUTS
from gateway.commissioning.wiring.journalled import read_journalled
from gateway.commissioning.wiring.recorded import Recorded, read_recorded
from gateway.commissioning.wiring.tree import judge_meters, parts_of
from gateway.commissioning.wiring.verdict import SILENT, WiringFinding, WiringVerdict, judge_wiring

__all__ = [
    "INPUTS",
    "SILENT",
    "Recorded",
    "WiringFinding",
    "WiringVerdict",
    "judge_meters",
    "judge_wiring",
    "parts_of",
    "read_journalled",
    "read_recorded",
]
