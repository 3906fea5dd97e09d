"""Modbus frames and what they cost on a wire. Written independently of the daemon's own: a simulator must
not share its mistakes.
"""

from __future__ import annotations

import struct

SHORTEST = 4
"""Bytes of the shortest thing that can be a frame: unit, function, CRC."""
_FAST = 19200


def _table() -> tuple[int, ...]:
    # CRC-16/MODBUS, reflected polynomial 0xA001 (Modbus over serial line V1.02, 6.2.2).
    rows = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        rows.append(crc)
    return tuple(rows)


_CRC = _table()


def crc16(data: bytes) -> bytes:
    """The two CRC bytes as they stand on the wire, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return bytes((crc & 0xFF, crc >> 8))


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """A frame for a serial line: unit, PDU, CRC."""
    body = bytes((unit,)) + pdu
    return body + crc16(body)


def rtu_parts(frame: bytes) -> tuple[int, bytes] | None:
    """Unit and PDU of a frame; None when it is too short or its CRC is wrong."""
    if len(frame) < SHORTEST or crc16(frame[:-2]) != frame[-2:]:
        return None
    return frame[0], frame[1:-2]


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """A Modbus TCP frame: MBAP header and PDU."""
    return struct.pack(">HHHB", transaction & 0xFFFF, 0, len(pdu) + 1, unit) + pdu


def character_time(baudrate: int, parity: str = "N", stopbits: int = 1) -> float:
    """Seconds of one character: a start bit, eight data bits, parity, stop bits."""
    return (9 + (parity != "N") + stopbits) / baudrate


def silence(baudrate: int) -> float:
    """t3.5 in seconds: 3.5 characters of 11 bits, and 1.75 ms above 19200 baud (Modbus over serial line
    V1.02, 2.5.1.1).
    """
    return 0.00175 if baudrate > _FAST else 3.5 * 11 / baudrate
