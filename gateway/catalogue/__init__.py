"""The meter tables: their language, their loader, and how a driver that must look at its meter first is
resolved.
"""

from gateway.catalogue.driver import Discovery, Driver, Identity, Limits, Row, SerialDefaults, Span, Variant
from gateway.catalogue.load import find, load_driver, load_file, load_text, shipped, unknown
from gateway.catalogue.resolve import recognised, resolve, shown

__all__ = [
    "Discovery",
    "Driver",
    "Identity",
    "Limits",
    "Row",
    "SerialDefaults",
    "Span",
    "Variant",
    "find",
    "load_driver",
    "load_file",
    "load_text",
    "recognised",
    "resolve",
    "shipped",
    "shown",
    "unknown",
]
