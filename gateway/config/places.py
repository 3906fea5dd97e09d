"""Where a bus, a broker or the page is: what may stand in host, port, url and listen, and which two buses
are one and the same line.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.common.address import PORTS, without_escape
from gateway.common.text import flaw, in_short, quoted

_PORT_BEHIND = re.compile(r"(?P<host>[^:/@]+|\[[0-9a-fA-F:.%a-z]+\]):(?P<port>\d{1,5})")
_LABEL = re.compile(r"(?!-)[\w\u0300-\u036f-]{1,63}(?<!-)")
"""Letters and digits of any language, marks, hyphens, and underscores, which RFC 1123 has not and people
use.
"""
_NUMBERS = re.compile(r"[0-9.]+|.*\.(\d+|0[xX][0-9a-fA-F]*)\.?|0[xX][0-9a-fA-F]+")
"""Names whose last part is a number: old resolvers read them as addresses (inet_aton(3): 192.168.1 is
192.168.0.1).
"""
_LONGEST = 253
_LAST_PORT = 65535
_SELF = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})

Place = tuple[str, ...]


def plain_text(value: str) -> str:
    """A text as a validator: no blank at its ends, no character that is not seen. Raises ValueError."""
    if what := flaw(value, wide=False):
        raise ValueError(f"{what}: write it again by hand")
    return value


def a_name(value: str) -> str:
    """A name for people as a validator, without blanks around it. Raises ValueError for what is not seen."""
    name = value.strip()
    if name and (what := flaw(name)):
        raise ValueError(f"{what}: write it again by hand")
    return name


def a_host(value: str) -> str:
    """A host name or an IP address, nothing around it. Raises ValueError with what to write."""
    if what := flaw(value, blanks=False, wide=False):
        raise ValueError(f"{what}: write a host name or an IP address, nothing else")
    if "://" in value:
        rest = value.partition("://")[2].rpartition("@")[2].partition("/")[0]
        raise ValueError(f"is a URL, not a host name: write {_split(rest, 'only the host')}")
    if match := _PORT_BEHIND.fullmatch(value):
        raise ValueError(f"has a port in it: write {_split(match[0], '')}")
    if value[:1] == "[" and value[-1:] == "]":
        raise ValueError(f"is in brackets, which belong to URLs: write {value[1:-1]}")
    if is_address(value):
        return value
    if value.partition("%")[2] and is_address(value.partition("%")[0]):
        raise ValueError(
            f"has an interface, which belongs to fe80 addresses only: write {value.partition('%')[0]}"
        )
    if value[-1:] == "%" and is_address(value[:-1]):
        raise ValueError("has an empty interface: write it, like fe80::1%eth0; ip link lists them")
    if _NUMBERS.fullmatch(value):
        raise ValueError(
            "is not an IP address: write four numbers from 0 to 255 without leading zeros, like 192.0.2.10"
        )
    if ":" in value:
        raise ValueError("is not an IP address of version 6: write it like 2001:db8::10, and a port in port")
    if not _is_name(value):
        raise ValueError("is not a host name: write a name like meter-room.local, or an IP address")
    return value


def _split(text: str, otherwise: str) -> str:
    match = _PORT_BEHIND.fullmatch(text)
    if match:
        return f"host: {match['host'].strip('[]')} and port: {match['port']}"
    return f"host: {text.strip('[]')}" if text and not flaw(text) else otherwise


def a_listener(value: str) -> str:
    """An address to listen on, host:port, as a validator. Raises ValueError with what to write."""
    if re.fullmatch(r"\[[^\]]*%[^\]]*\]:\d{1,5}", value):
        raise ValueError(
            "has a zone id (%…), which cannot be listened on: write [::]:8080 for all addresses, or one "
            "without a zone"
        )
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})", value)
    host = match[1].strip("[]") if match else ""
    mixed = ":" in host and "." in host
    if (
        not match
        or not 1 <= int(match[2]) <= _LAST_PORT
        or (mixed and not is_address(host))
        or not _can_be_passed_on(host)
    ):
        raise ValueError("is not an address to listen on: write host:port, like 0.0.0.0:8080")
    return value


def _can_be_passed_on(host: str) -> bool:
    """Whether the system can be asked about it: before that, sockets encode a name that is not ASCII."""
    try:
        return "\0" not in host and (host.isascii() or bool(host.encode("idna")))
    except UnicodeError:
        return False


def a_broker(value: str) -> str:
    """The address of a broker, with nothing in it that would not be used. Raises ValueError with what to
    write.
    """
    if what := flaw(value, blanks=False, wide=False):
        raise ValueError(f"{what}: write it again by hand")
    try:
        parts = urlsplit(value)
        name = parts.hostname
    except ValueError as error:
        raise ValueError(
            "is not a broker address: write mqtts://host:8883, and an IP address of version 6 in brackets: "
            "mqtts://[2001:db8::10]:8883"
        ) from error
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in PORTS or not name:
        raise ValueError(
            "is not a broker address: write mqtts://host:8883, mqtt://host:1883, wss://host/path or "
            "ws://host/path"
        )
    if "@" in parts.netloc:
        raise ValueError("carries credentials: write username and password_file instead")
    if port == 0:
        raise ValueError("has a port that is not a number from 1 to 65535: write one, or leave it out")
    if parts.query or parts.fragment or value[-1] in "?#":
        raise ValueError("has a part behind ? or # that would not be used: write it without that part")
    if parts.scheme in {"mqtt", "mqtts"} and parts.path not in {"", "/"}:
        raise ValueError("has a path, which only ws:// and wss:// use: write it without the path")
    a_host(without_escape(name))
    return value


def host_and_port(text: str, port: int = 502) -> tuple[str, int]:
    """host, host:port, [IPv6]:port or an IPv6 address alone, as a command line has it; what is none of
    them is left to `a_host`.
    """
    match = None if is_address(text) else _PORT_BEHIND.fullmatch(text)
    if match:
        return match["host"].strip("[]"), int(match["port"])
    return text[1:-1] if text[:1] == "[" and is_address(text[1:-1]) else text, port


def place_of(host: str, port: int) -> str:
    """What `host_and_port` takes apart.

    >>> place_of("192.0.2.10", 502), place_of("2001:db8::10", 502)
    ('192.0.2.10:502', '[2001:db8::10]:502')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_address(host: str) -> bool:
    """Whether it is an IP address of either version, with or without an interface."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IP address as what it is: one of version 4 also where it is written as one of version 6. Raises
    ValueError for what is none.

    >>> address_of("::ffff:192.0.2.10"), address_of("fe80::1%eth0")
    (IPv4Address('192.0.2.10'), IPv6Address('fe80::1%eth0'))
    """
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def one_spelling(host: str) -> str:
    """An IP address in the one way that every spelling of it has in common; a name stays as it is.

    >>> one_spelling("2001:DB8:0::10"), one_spelling("::ffff:192.0.2.10"), one_spelling("Meter.local")
    ('2001:db8::10', '192.0.2.10', 'Meter.local')
    """
    try:
        return str(address_of(host))
    except ValueError:
        return host


def _is_name(host: str) -> bool:
    bare = host.removesuffix(".")
    try:
        encoded = bare.encode("idna")
    except UnicodeError:
        return False
    return len(encoded) <= _LONGEST and all(_LABEL.fullmatch(label) for label in bare.split("."))


def a_port(value: str) -> str:
    """The path of a serial port. Raises ValueError with what to write."""
    if what := flaw(value, wide=False):
        raise ValueError(f"{what}: write it again by hand")
    if "://" in value:
        raise ValueError(
            "is a URL: write type: rtu-over-tcp with host and port for a converter, or a path like "
            "/dev/ttyUSB0"
        )
    if not value.startswith("/"):
        write = (
            f"/dev/{value}" if value.startswith("tty") else "a name from /dev/serial/by-id, or /dev/ttyUSB0"
        )
        raise ValueError(f"is not a path: write {write}")
    return value


def same_lines(buses: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[list[str | int], str, str]]:
    """Buses that are one line: the same port, or the same host and port, however they are written."""
    first: dict[Place, dict[str, Any]] = {}
    for index, bus in buses:
        place = _place(bus)
        if place is None:
            continue
        other = first.setdefault(place, bus)
        if other is not bus:
            key = "port" if place[0] == "serial" else "host"
            written = other.get(key)
            told = "" if written == bus.get(key) else f" ({in_short(written)} is the same)"
            yield (
                ["buses", index, key],
                f"{quoted(bus.get(key))} is the line of the bus {in_short(other.get('name'))} already{told}",
                "write one bus, and put the meters of both on it: a line has one master",
            )


def same_line(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two buses, each with `type` and its port or host, are one line, however it is written."""
    place = _place(one)
    return place is not None and place == _place(other)


def _place(bus: Mapping[str, object]) -> Place | None:
    if (
        bus.get("type") == "serial"
        and isinstance(path := bus.get("port"), str)
        and path.startswith("/")
        and "\0" not in path
    ):
        return _device(path)
    if bus.get("type") in {"tcp", "rtu-over-tcp"} and isinstance(host := bus.get("host"), str):
        port = bus.get("port", 502)
        return ("tcp", _machine(host), str(port))
    return None


def _device(path: str) -> Place:
    try:
        about = os.stat(path)  # noqa: PTH116 - follows every link, as opening would
        if stat.S_ISCHR(about.st_mode):
            return ("serial", f"{about.st_rdev:x}")
    except (OSError, ValueError):
        pass
    return ("serial", os.path.realpath(path))


def _machine(host: str) -> str:
    name = host.casefold().removesuffix(".")
    if name in _SELF or name.endswith(".localhost"):
        return "localhost"
    address = one_spelling(name.strip("[]"))
    if not is_address(address):
        return name
    return "localhost" if address in {"127.0.0.1", "::1"} else address
