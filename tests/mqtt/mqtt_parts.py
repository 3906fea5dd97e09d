"""What the tests of the MQTT room share."""

from gateway.common.address import BrokerAddress
from gateway.mqtt import Broker


def broker_at(port, protocol="auto"):
    """An account at a broker on this machine."""
    return Broker("uplink city", BrokerAddress.of(f"mqtt://127.0.0.1:{port}"), "gw1-city", protocol=protocol)
