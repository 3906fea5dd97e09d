"""The meter tables: their language, their loader, and how a driver that must look at its meter is resolved.

Lists of the tables for people are `gateway.catalogue.listing`, what stands on a label is
`gateway.catalogue.labels`: only the commands load them.
"""

from gateway.catalogue.driver import (
    ORDERS,
    Discovery,
    Driver,
    Identity,
    Keyed,
    ModelHeader,
    ReadLimits,
    Row,
    SerialDefaults,
    Span,
    Variant,
)
from gateway.catalogue.encode import build, encode
from gateway.catalogue.load import (
    find,
    library,
    load_driver,
    load_file,
    load_text,
    own_rows,
    shipped,
    skeleton,
    unknown,
)
from gateway.catalogue.resolve import quantities, recognised, resolve, shown
from gateway.catalogue.sunspec import offered

__all__ = [
    "ORDERS",
    "Discovery",
    "Driver",
    "Identity",
    "Keyed",
    "ModelHeader",
    "ReadLimits",
    "Row",
    "SerialDefaults",
    "Span",
    "Variant",
    "build",
    "encode",
    "find",
    "library",
    "load_driver",
    "load_file",
    "load_text",
    "offered",
    "own_rows",
    "quantities",
    "recognised",
    "resolve",
    "shipped",
    "shown",
    "skeleton",
    "unknown",
]
