"""What only this machine can say of a configuration: ports, rights, names, certificates' dates, room, the
page's address.

Nothing is written, and nothing is asked on a bus.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from datetime import UTC, datetime
from pathlib import Path

from gateway.catalogue import Driver
from gateway.check.certificates import validities
from gateway.check.files import Told
from gateway.check.rights import User, name_of, service_user
from gateway.common.files import SECRETS, give_back, open_to
from gateway.config import (
    Config,
    Key,
    SerialBus,
    TcpBus,
    dotted,
    examine,
    is_address,
    line_of,
    one_spelling,
    same_line,
)
from gateway.errors import Problem
from gateway.field import MeterTask, forecast_bus, port_in_use, port_trouble, stored_per_day

LOOKUP = 10.0
"""s for all names together."""
LEAST_FREE = 100_000_000
"""Bytes: below this a disk is full with the next update of the system."""
SOON = 30
"""Days before its end from which a certificate is told."""


def check_machine(path: Path, config: Config, drivers: dict[str, Driver], socket_path: Path) -> list[Problem]:
    """What speaks against this configuration on this machine. `socket_path`: where a running gateway is
    asked.
    """
    document = examine(path).document
    user = service_user()
    running = _listens(socket_path)
    found = [
        *_ports(config, user, running=running),
        *_rights(config, user),
        *_names(config),
        *_certificates(config),
        *_room(config, drivers),
        *_page(config, running=running),
    ]
    problems = [
        Problem(str(path), line_of(document, loc), dotted(loc), what, mend) for loc, what, mend in found
    ]
    if (blocked := _blocked(path, user)) is not None:
        problems.append(
            Problem(
                str(path),
                1,
                "",
                f"{blocked} may not be read by the user {user.name}",
                open_to(user.group, blocked),
            )
        )
    return sorted(problems)


def _ports(config: Config, user: User, *, running: bool) -> Iterator[Told]:
    for index, bus in enumerate(config.buses):
        if not isinstance(bus, SerialBus):
            continue
        loc: list[Key] = ["buses", index, "port"]
        if (doubt := port_trouble(bus)) is not None:
            yield loc, doubt.message, doubt.hint
        elif not user.may(Path(bus.port), write=True):
            yield (
                loc,
                f"{bus.port} may not be opened by the user {user.name}",
                f"sudo usermod -aG dialout {user.name}, then restart the service (a person logs in anew)",
            )
        elif not running and (held := port_in_use(bus)) is not None:
            yield loc, held.message, held.hint


def _rights(config: Config, user: User) -> Iterator[Told]:
    for index, uplink in enumerate(config.uplinks):
        for key in ("password_file", "ca", "cert", "key"):
            path = getattr(uplink, key)
            if not path or Path(path).parent == SECRETS:
                continue  # handed over by systemd: root alone need read it
            if (blocked := _blocked(Path(path), user)) is not None:
                yield (
                    ["uplinks", index, key],
                    f"{blocked} may not be read by the user {user.name}",
                    open_to(user.group, blocked),
                )
    yield from _journal(Path(config.journal.directory), user)


def _journal(directory: Path, user: User) -> Iterator[Told]:
    """The folder of the journal and its files, which `user` must write."""
    loc: list[Key] = ["journal", "directory"]
    try:
        if not _is_folder(directory):
            mend = f"sudo install -d -o {user.name} -g {user.group} -m 750 {directory}"
            yield loc, f"there is no folder {directory}", mend
            return
        for entry in (directory, *sorted(directory.glob("journal.*"))):
            if (place := _barred(entry, user)) is None:
                continue
            if place in directory.resolve().parents:
                what = f"{place} may not be searched by the user {user.name}"
                yield loc, what, f"sudo chmod o+x {place}, or write another folder"
            else:
                what = f"{entry} may not be written by the user {user.name}"
                yield loc, what, give_back(directory, name_of(entry.stat().st_uid), user.name)
            return
    except PermissionError:
        yield loc, f"you may not open {directory}", "use sudo"


def _is_folder(directory: Path) -> bool:
    """Raises PermissionError when that cannot be seen."""
    try:
        return stat.S_ISDIR(directory.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _barred(entry: Path, user: User) -> Path | None:
    """What keeps `user` from writing it; nothing does from what has just gone, like a log that was merged."""
    try:
        return user.barred(entry, write=True)
    except FileNotFoundError:
        return None


def _blocked(path: Path, user: User) -> Path | None:
    """What on the way to a file, itself included, `user` may not read; None when it may, or the file is
    told elsewhere.
    """
    try:
        return None if user.may(path) else path
    except OSError:
        return None


def _names(config: Config) -> Iterator[Told]:
    """Host names that cannot be looked up, all at the same time."""
    wanted: list[tuple[list[Key], str]] = [
        (["buses", i, "host"], bus.host) for i, bus in enumerate(config.buses) if isinstance(bus, TcpBus)
    ]
    wanted += [(["uplinks", i, "url"], uplink.broker.host) for i, uplink in enumerate(config.uplinks)]
    names = [(loc, host) for loc, host in wanted if not is_address(host)]
    yield from _interfaces([(loc, host) for loc, host in wanted if is_address(host)])
    if not names:
        return
    pool = ThreadPoolExecutor(len(names), "lookup")
    try:
        found: dict[str, set[str]] = {}
        tasks = [(loc, host, pool.submit(socket.getaddrinfo, host, None)) for loc, host in names]
        for loc, host, task in tasks:
            try:
                found[host] = {str(each[4][0]) for each in task.result(LOOKUP)}
            except LateError:
                yield (
                    loc,
                    f"looking up the name {host} takes longer than {LOOKUP:g} s",
                    "check the name servers in /etc/resolv.conf",
                )
            except (OSError, UnicodeError) as error:
                silent = getattr(error, "errno", None) == socket.EAI_AGAIN
                what = (
                    f"no name server answers for {host}" if silent else f"the name {host} is not known here"
                )
                yield (
                    loc,
                    what,
                    "check the name servers in /etc/resolv.conf" if silent else "check how it is written",
                )
        yield from _one_host(config, found)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_host(config: Config, found: dict[str, set[str]]) -> Iterator[Told]:
    """Buses whose hosts are called differently and are one: `found` has the addresses of each name. Who is
    written alike is told without a look-up.
    """
    first: dict[tuple[str, int], TcpBus] = {}
    for index, bus in enumerate(config.buses):
        if not isinstance(bus, TcpBus):
            continue
        for address in sorted(found.get(bus.host, {one_spelling(bus.host)})):
            other = first.setdefault((address, bus.port), bus)
            if other is bus or same_line(bus.model_dump(), other.model_dump()):
                continue
            yield (
                ["buses", index, "host"],
                f"{bus.host} and {other.host}, the host of the bus {other.name}, are one machine: {address}",
                "write one bus, and put the meters of both on it: a line has one master",
            )
            break


def _interfaces(wanted: list[tuple[list[Key], str]]) -> Iterator[Told]:
    """Addresses behind an interface that this machine does not have."""
    behind = [(loc, zone) for loc, host in wanted if (zone := host.partition("%")[2])]
    if not behind:
        return
    have = {name for number, name in socket.if_nameindex() for name in (name, str(number))}
    for loc, zone in behind:
        if zone not in have:
            yield loc, f"this machine has no interface {zone}", "write one that ip link lists"


def _certificates(config: Config) -> Iterator[Told]:
    now = datetime.now(UTC)
    for index, uplink in enumerate(config.uplinks):
        for key in ("ca", "cert"):
            path = getattr(uplink, key)
            try:
                found = validities(Path(path)) if path else []
            except (OSError, ValueError):
                continue  # told by who cannot use the file
            loc: list[Key] = ["uplinks", index, key]
            # Of several authorities one may be old: the newest counts. A client's own certificate stands
            # first.
            chosen = (
                [found[0]]
                if key == "cert" and found
                else [max(found, key=lambda each: each[1])]
                if found
                else []
            )
            for begins, ends in chosen:
                if now > ends:
                    yield (
                        loc,
                        f"{path} expired on {ends:%Y-%m-%d}",
                        "ask the platform's operator for a new one",
                    )
                elif now < begins:
                    yield (
                        loc,
                        f"{path} is valid from {begins:%Y-%m-%d} on only",
                        "look at the clock of this machine: timedatectl",
                    )
                elif (ends - now).days < SOON:
                    yield (
                        loc,
                        f"{path} expires on {ends:%Y-%m-%d}",
                        "ask the platform's operator for a new one in time",
                    )


def _room(config: Config, drivers: dict[str, Driver]) -> Iterator[Told]:
    directory = Path(config.journal.directory)
    place = next((each for each in (directory, *directory.parents) if os.path.isdir(each)), Path("/"))  # noqa: PTH112 - also what may not be seen
    free = shutil.disk_usage(place).free
    loc: list[Key] = ["journal", "directory"]
    tasks = [
        MeterTask(meter, drivers[meter.driver])
        for meter in config.meters
        if meter.enabled and meter.driver in drivers
    ]
    forecasts, slot = [forecast_bus(bus, tasks) for bus in config.buses], config.gateway.commit_interval
    daily = stored_per_day(forecasts, slot, own=config.own_interval)
    held = 0
    with contextlib.suppress(OSError):  # what may not be seen, and a log that was merged meanwhile
        held = sum(file.stat().st_size for file in directory.glob("journal.db*"))
    room = max(0, min(config.journal.budget - held, free // 2))
    if free < LEAST_FREE:
        yield (
            loc,
            f"{free / 1e6:.0f} MB are free at {place}",
            "make room on that disk, or write a folder on a larger one",
        )
    elif daily and room / daily < config.journal.warn / 86400 and free // 2 < config.journal.budget - held:
        what = (
            f"{free / 1e6:.0f} MB are free at {place}: room for {room / daily:.1f} days of readings "
            f"without the platform"
        )
        yield loc, what, "make room on that disk, or write a folder on a larger one"


def _page(config: Config, *, running: bool) -> Iterator[Told]:
    if not config.status.enabled or running:
        return
    host, port = config.status.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            mend = {
                errno.EADDRINUSE: f"end the program that listens there (ss -ltnp 'sport = :{port}'), or "
                f"write another port",
                errno.EADDRNOTAVAIL: "write 0.0.0.0 for all addresses of this machine, or one of them: ip "
                "address",
                errno.EACCES: "write a port from 1024 on",
            }.get(error.errno or 0, "write 0.0.0.0:8080")
            yield (
                ["status", "listen"],
                f"{config.status.listen} cannot be listened on: {os.strerror(error.errno or 0)}",
                mend,
            )


def _listens(path: Path) -> bool:
    """Whether a gateway runs here: then ports and the page's address are its own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except PermissionError:
            return True
        except OSError:
            return False
    return True
