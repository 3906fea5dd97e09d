"""The platform's page and metrics: every gateway at a glance, for whoever looks after them."""

from gateway.platform.server import PlatformPage, listen_address

__all__ = ["PlatformPage", "listen_address"]
