"""Where to look first: settings of a line and addresses on it, by what the meters of the library leave the
factory with. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.catalogue import Driver

BAUDRATES: Final = (9600, 19200, 38400, 4800, 2400, 115200, 57600, 1200)
"""The likelier first where the library says nothing."""
PARITIES: Final = ("N", "E", "O")
LAST_ADDRESS: Final = 247
FIRST_ADDRESSES: Final = range(1, 11)
"""What people give by hand: they begin at 1 and count."""
ANSWER_TIME: Final = 0.05
"""s from the silence that ends a request to the answer of a meter whose table does not say how long it takes,
and in which an adapter hands it on."""
_REQUEST: Final = 8
_T35: Final = 3.5
_FAST: Final = 19200
_T35_FAST: Final = 0.00175


@dataclass(frozen=True, order=True, slots=True)
class LineSetting:
    """How bytes stand on a serial line."""

    baudrate: int = 9600
    parity: str = "N"
    stopbits: int = 1

    def __str__(self) -> str:
        return f"{self.baudrate} 8{self.parity}{self.stopbits}"

    @property
    def character(self) -> float:
        """Seconds of a character: a start bit, eight data bits, parity, stop bits."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baudrate

    @property
    def silence(self) -> float:
        """t3.5 in s; 1.75 ms above 19200 baud (Modbus over serial line V1.02, 2.5.1.1)."""
        return _T35_FAST if self.baudrate > _FAST else _T35 * 11 / self.baudrate

    def silent_cost(self, answer_time: float) -> float:
        """Seconds that a probe costs which nobody answers."""
        return _REQUEST * self.character + self.silent_wait(answer_time)

    def silent_wait(self, answer_time: float) -> float:
        """Seconds behind a request after which the first byte of an answer should have come, of meters that
        take so many s for it.
        """
        return self.silence + answer_time + self.character


def slowest_answer(library: Iterable[Driver]) -> float:
    """Seconds in which the slowest meter of a serial line usually answers, of those that are known. One that
    takes longer at times is found all the same: its answer names it, whenever it comes.
    """
    on_a_line = (driver for driver in library if driver.tcp_port is None or driver.serial.baudrate)
    return max((driver.limits.answer_time or ANSWER_TIME for driver in on_a_line), default=ANSWER_TIME)


def likely_settings(library: Iterable[Driver], own: Iterable[LineSetting] = ()) -> list[LineSetting]:
    """All settings, the likeliest first: `own` (what the configuration says), then factory settings by how
    many meters have them, then the others by rate and parity. Two stop bits without parity come last: a UART
    that wants one hears two, and the other way round.
    """
    count = Counter(
        (driver.serial.baudrate, driver.serial.parity or "N")
        for driver in library
        if driver.serial.baudrate is not None
    )
    rest = [(rate, parity) for rate in BAUDRATES for parity in PARITIES]
    ranked = sorted(rest, key=lambda each: -count[each])
    found = [*own, *(LineSetting(rate, parity) for rate, parity in ranked)]
    found += [LineSetting(rate, "N", 2) for rate in BAUDRATES]
    return list(dict.fromkeys(found))


def likely_addresses(library: Iterable[Driver]) -> list[int]:
    """The addresses to ask first: those that people begin with, and those that meters leave the factory with,
    the commoner first.
    """
    count = Counter(driver.serial.address for driver in library if driver.serial.address is not None)
    factory = sorted(count, key=lambda address: (-count[address], address))
    return list(dict.fromkeys([*factory[:1], *FIRST_ADDRESSES, *factory[1:]]))


def time_for(
    settings: Iterable[LineSetting], addresses: int, buffered: int = 0, answer_time: float = ANSWER_TIME
) -> float:
    """Seconds that so many addresses cost at each of these settings when nobody answers, and the wait for the
    last of them, who may be slow. `buffered`: characters that the port keeps back; `answer_time`: s that the
    slowest meter takes.
    """
    return sum(
        (setting.silent_cost(answer_time) + buffered * setting.character) * addresses
        + setting.silent_wait(answer_time)
        for setting in settings
    )


def together(settings: list[LineSetting]) -> str:
    """Settings in few words: the rates that share the same frames stand beside each other."""
    frames: dict[int, list[str]] = {}
    for each in settings:
        rate, _space, frame = str(each).partition(" ")
        frames.setdefault(int(rate), []).append(frame)
    rates: dict[tuple[str, ...], list[int]] = {}
    for number, shared in frames.items():
        rates.setdefault(tuple(shared), []).append(number)
    return "; ".join(
        f"{', '.join(map(str, sorted(numbers)))} {' '.join(shared)}" for shared, numbers in rates.items()
    )
