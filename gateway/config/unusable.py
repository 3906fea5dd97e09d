"""What is written as it should be and leads nowhere: hosts and brokers that no connection can be opened to,
addresses that cannot be listened on, folders for ports. A gateway starts all the same: the other lines are
read, and a few of these addresses work on some machines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from gateway.common.address import BrokerAddress
from gateway.common.text import flaw
from gateway.config.explain import Told, refused
from gateway.config.load import rows_of
from gateway.config.places import a_broker, a_host, a_listener, a_port, address_of, is_address
from gateway.config.yamlfile import Key, Table

_Validator = Callable[[str], object]
_INTERFACE: Final = re.compile(r"[!-$&-.0-~]{1,15}")
"""Linux allows 15 characters, no blank and no slash."""


def unusable_places(document: Table) -> Iterator[tuple[list[Key], str, str]]:
    """Where in the file, what is wrong, what to write. What the schema refuses is left to it."""
    for loc, value, well_written, usable in _places(document):
        if (
            isinstance(value, str)
            and _fault(well_written, value) is None
            and (told := _fault(usable, value)) is not None
        ):
            yield loc, *told


def _places(document: Table) -> Iterator[tuple[list[Key], object, _Validator, _Validator]]:
    for index, bus in rows_of(document, "buses"):
        if bus.get("type") == "serial":
            yield ["buses", index, "port"], bus.get("port"), a_port, _of_a_device
        else:
            yield ["buses", index, "host"], bus.get("host"), a_host, _of_one_machine
    for index, uplink in rows_of(document, "uplinks"):
        for key in ("url", "enroll_url"):
            yield ["uplinks", index, key], uplink.get(key), a_broker, _of_one_broker
    status = document.get("status")
    if isinstance(status, Table):
        yield ["status", "listen"], status.get("listen"), a_listener, _of_this_machine
        names = status.get("names")
        for index, name in enumerate(names if isinstance(names, list) else ()):
            yield ["status", "names", index], name, a_host, _of_one_machine


def _fault(validator: _Validator, value: str) -> Told | None:
    try:
        validator(value)
    except ValueError as error:
        return refused(value, error)
    return None


def _of_one_machine(value: str) -> None:
    """Raises ValueError for an IP address that no connection can be opened to."""
    if not is_address(value):
        return
    address, zone = address_of(value), value.partition("%")[2]
    if address.is_multicast or str(address) == "255.255.255.255":
        raise ValueError("is an address of many machines: write the one of the device itself")
    if address.is_unspecified or (address.version == 4 and address.packed[0] == 0):
        raise ValueError(
            "is the address of no machine: write the one of the device itself, or 127.0.0.1 for this machine"
        )
    if address.version == 4 and address.is_reserved:
        raise ValueError("is an address that nobody has: write the one of the device itself")
    if address.version == 6 and address.is_link_local:
        if not zone:
            raise ValueError(
                "is of one network only, and does not say of which: write the interface behind it, like "
                "fe80::1%eth0; ip link lists them"
            )
        # A number alone is the interface's own: 253 is no 3.
        if zone.startswith("25") and not re.fullmatch("[0-9]+", zone):
            raise ValueError(
                f"has the 25 of a URL in front of its interface: write {value.replace('%25', '%', 1)}"
            )
        if not _INTERFACE.fullmatch(zone):
            raise ValueError("has an interface that cannot be: write one that ip link lists, like eth0")
    elif zone:
        raise ValueError(
            f"has an interface, which belongs to fe80 addresses only: write {value.partition('%')[0]}"
        )


def _of_one_broker(value: str) -> None:
    _of_one_machine(BrokerAddress.of(value).host)


def _of_this_machine(value: str) -> None:
    """Raises ValueError for an address that cannot be listened on."""
    if what := flaw(value, blanks=False, wide=False):
        raise ValueError(f"{what}: write host:port, like 0.0.0.0:8080")
    match = re.fullmatch(r"(\[[0-9a-fA-F.]*:[0-9a-fA-F:.]*\]|[^][:]+):[0-9]{1,5}", value)
    host = match[1].strip("[]") if match else ""
    if _fault(a_host, host) is not None:
        raise ValueError("is not an address to listen on: write host:port, like 0.0.0.0:8080")
    if is_address(host):
        address = address_of(host)
        if address.is_multicast or str(address) == "255.255.255.255":
            raise ValueError("has an address of many machines: write 0.0.0.0:8080 for all of this machine")
        if address.version == 6 and address.is_link_local:
            raise ValueError(
                "has an address that cannot be listened on without its interface: write [::]:8080 for all "
                "addresses, or one that does not begin with fe80"
            )


def _of_a_device(value: str) -> None:
    if value.endswith("/"):
        raise ValueError("is a folder: write the port in it, like /dev/ttyUSB0")
