"""Remote care on the gateway: signed commands are judged, counted, answered, and carried out."""

from gateway.remote.care.renewal import Renewal, RenewalHost
from gateway.remote.care.service import CareHost, CareService

__all__ = ["CareHost", "CareService", "Renewal", "RenewalHost"]
