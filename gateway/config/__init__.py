"""The configuration: what may stand in the file, and how a mistake in it is told."""

from gateway.config.additions import with_items, with_keys, with_value, write_beside
from gateway.config.explain import explain, shown
from gateway.config.load import examine, load_config, parse_config, rows_of
from gateway.config.places import a_broker, host_and_port, is_address, plain_text, same_lines
from gateway.config.schema import (
    REPLY_RULE,
    Bus,
    Config,
    DriversSection,
    JournalSection,
    Meter,
    Pulse,
    SerialBus,
    StatusSection,
    TcpBus,
    Uplink,
)
from gateway.config.sections.machine import OWN_ID, PinsSection
from gateway.config.sections.remote import TRUST, RemoteSection
from gateway.config.units import Duration, parse_duration, parse_ratio
from gateway.config.yamlfile import (
    MAX_PROBLEMS,
    Block,
    Key,
    Table,
    dotted,
    few,
    line_of,
    odd_character,
    parse_yaml,
    read_text,
    validate,
    value_of,
)

__all__ = [
    "MAX_PROBLEMS",
    "OWN_ID",
    "REPLY_RULE",
    "TRUST",
    "Block",
    "Bus",
    "Config",
    "DriversSection",
    "Duration",
    "JournalSection",
    "Key",
    "Meter",
    "PinsSection",
    "Pulse",
    "RemoteSection",
    "SerialBus",
    "StatusSection",
    "Table",
    "TcpBus",
    "Uplink",
    "a_broker",
    "dotted",
    "examine",
    "explain",
    "few",
    "host_and_port",
    "is_address",
    "line_of",
    "load_config",
    "odd_character",
    "parse_config",
    "parse_duration",
    "parse_ratio",
    "parse_yaml",
    "plain_text",
    "read_text",
    "rows_of",
    "same_lines",
    "shown",
    "validate",
    "value_of",
    "with_items",
    "with_keys",
    "with_value",
    "write_beside",
]
