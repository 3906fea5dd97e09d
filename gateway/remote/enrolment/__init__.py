"""Enrolment: a gateway's key is made on the gateway, and certified by the platform."""

from gateway.remote.enrolment.authority import REVOCATIONS, Authority, Given
from gateway.remote.enrolment.device import DeviceIdentity
from gateway.remote.enrolment.exchange import SigningService, ask
from gateway.remote.enrolment.keys import Certificate

__all__ = [
    "REVOCATIONS",
    "Authority",
    "Certificate",
    "DeviceIdentity",
    "Given",
    "SigningService",
    "ask",
]
