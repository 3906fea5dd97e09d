"""The configuration: what may stand in the file, and how a mistake in it is told."""

from gateway.config.load import load_config, parse_config
from gateway.config.schema import Bus, Config, Meter, Pulse, SerialBus, TcpBus, Uplink

__all__ = ["Bus", "Config", "Meter", "Pulse", "SerialBus", "TcpBus", "Uplink", "load_config", "parse_config"]
