"""From when until when the certificates of a PEM file are valid."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

from gateway.common.files import read_regular

MAX_FILE = 4 * 1024 * 1024
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME, _GENERAL_TIME = 0xA0, 0x17, 0x18
_CENTURY = 50
"""UTCTime has two digits of the year: from 50 on they are of the century before (RFC 5280, 4.1.2.5.1)."""

Validity = tuple[datetime, datetime]


def validities(path: Path) -> list[Validity]:
    """(not before, not after) of each certificate in a PEM file, in UTC, in its order. Raises OSError,
    ValueError.
    """
    text = read_regular(path, MAX_FILE).decode("ascii", "replace")
    return [_validity(ssl.PEM_cert_to_DER_cert(block)) for block in _PEM.findall(text)]


def _validity(der: bytes) -> Validity:
    """The fourth field of a certificate behind its optional version (RFC 5280, 4.1)."""
    try:
        _, outer, _ = _element(der, 0)
        _, start, _ = _element(der, outer)
        kind, _, end = _element(der, start)
        at = end if kind == _VERSION else start
        for _ in range(3):  # serial number, signature algorithm, issuer
            _, _, at = _element(der, at)
        _, at, _ = _element(der, at)
        times = []
        for _ in range(2):
            kind, begin, at = _element(der, at)
            times.append(_time(kind, der[begin:at].decode("ascii")))
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("is not a certificate: write a PEM file") from error
    return times[0], times[1]


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, first byte and end of the content of the element at `at` (X.690, 8.1). Raises IndexError."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    if start + length > len(der):
        raise IndexError
    return der[at], start, start + length


def _time(kind: int, text: str) -> datetime:
    if kind == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _CENTURY else "20") + text
    elif kind != _GENERAL_TIME:
        raise IndexError
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
