"""What stands in a file as it stands in the commented sample: somebody else's name, address or number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.config import Key, Table, rows_of

SAMPLE_ID = "izm-konak-017"
SAMPLE_NAME = "Konak Belediye Binası"
SAMPLE_BROKER = "platform.example"
SAMPLE_PORT = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
SAMPLE_SERIAL = "12345678"
_EXAMPLE = re.compile(r"(?:.*\.)?(?:example|example\.(?:com|net|org)|invalid)\.?", re.IGNORECASE)
"""Names that belong to nobody, for examples (RFC 2606)."""
_URL = re.compile(r"[a-z]+://(?:[^@/]*@)?(?P<host>\[[^\]]*\]|[^:/?#]*)")
_NAME_OF_NOBODY = "is a name for examples that nobody has (RFC 2606)"

SampleFound = tuple[bool, tuple[list[Key], str, str]]
"""Whether it is a mistake for certain; where, what is wrong, what to write."""


def sample_values(document: Table) -> Iterator[SampleFound]:
    """Keys that still say what the sample says.

    A gateway may be called like the sample's; with a second value of the sample beside it, it is the sample.
    """
    others = list(_others(document))
    gateway = document.get("gateway")
    if isinstance(gateway, Table) and gateway.get("id") == SAMPLE_ID:
        what = f"{SAMPLE_ID!r} is the id of the sample configuration"
        untouched = bool(others) or gateway.get("name") == SAMPLE_NAME
        yield (
            untouched,
            (
                ["gateway", "id"],
                what,
                "write this gateway's own id: no other one of the platform may have it",
            ),
        )
    elif isinstance(gateway, Table) and gateway.get("name") == SAMPLE_NAME:
        yield (
            False,
            (
                ["gateway", "name"],
                f"{SAMPLE_NAME!r} is the building of the sample configuration",
                "write what people call yours",
            ),
        )
    yield from others


def _others(document: Table) -> Iterator[SampleFound]:
    for index, row in rows_of(document, "uplinks"):
        match = _URL.match(url) if isinstance(url := row.get("url"), str) else None
        if match and _EXAMPLE.fullmatch(match["host"]):
            certain = match["host"].casefold() == SAMPLE_BROKER
            yield (
                certain,
                (
                    ["uplinks", index, "url"],
                    f"{match['host']} {_NAME_OF_NOBODY}",
                    "write the address of your platform's broker",
                ),
            )
        if row.get("username") == SAMPLE_ID:
            mend = "write the name that the platform gave this gateway"
            yield (
                False,
                (
                    ["uplinks", index, "username"],
                    f"{SAMPLE_ID!r} is the user name of the sample configuration",
                    mend,
                ),
            )
    for index, row in rows_of(document, "buses"):
        if isinstance(port := row.get("port"), str) and port.endswith(SAMPLE_PORT):
            mend = "write the name of yours: ls -l /dev/serial/by-id"
            yield False, (["buses", index, "port"], "is the adapter of the sample configuration", mend)
        if isinstance(host := row.get("host"), str) and _EXAMPLE.fullmatch(host):
            yield (
                False,
                (
                    ["buses", index, "host"],
                    f"{host} {_NAME_OF_NOBODY}",
                    "write the host name or the IP address of the device",
                ),
            )
    for index, row in rows_of(document, "meters"):
        if str(row.get("serial")) == SAMPLE_SERIAL:
            mend = "write the meter's own, or leave it out: the first one that it says is kept in mind"
            yield (
                False,
                (
                    ["meters", index, "serial"],
                    f"{SAMPLE_SERIAL!r} is the serial number of the sample configuration",
                    mend,
                ),
            )
