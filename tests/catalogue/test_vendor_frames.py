"""Frames as makers print them and as they were captured: their CRC holds, and their words are those of our
images.
"""

from __future__ import annotations

import pytest
from register_images import IMAGES, sections

from gateway.catalogue import load_driver
from gateway.demo.simulator.frames import rtu_frame
from gateway.field.meter.decode import Replies, decode
from gateway.field.port.contract import registers_of

FRAMES = [
    # driver, image, request (None when only the answer is printed), answer, address, quantity, value
    ("eastron-sdm120", "vendor", None, "01 04 04 43 66 33 34 1B 38", 0, "voltage_l1n", 230.2),
    ("klemsan-klea320p", "vendor", "01 03 00 00 00 02 C4 0B", None, 0, "voltage_ln", 221.2),
    ("circutor-cvm-c10", "vendor", "0A 04 00 00 00 02 70 B0", None, 0, "voltage_l1n", 212.5),
]


def sound(frame: bytes) -> bool:
    return rtu_frame(frame[0], frame[1:-2]) == frame


@pytest.mark.parametrize(
    ("name", "image", "request_", "answer", "address", "quantity", "value"),
    FRAMES,
    ids=[row[0] for row in FRAMES],
)
def test_printed_frames(
    *,
    name: str,
    image: str,
    request_: str | None,
    answer: str | None,
    address: int,
    quantity: str,
    value: float,
) -> None:
    driver = load_driver(name)
    section = next(found for found in sections(IMAGES / f"{name}.txt") if found.name == image)
    row = next(row for row in driver.rows if row.name == quantity)
    assert row.address == address
    if request_ is not None:
        frame = bytes.fromhex(request_)
        assert sound(frame)
        assert (frame[1], int.from_bytes(frame[2:4]), int.from_bytes(frame[4:6])) == (
            row.function,
            row.address,
            row.words,
        )
    if answer is not None:
        frame = bytes.fromhex(answer)
        assert sound(frame)
        words = [int.from_bytes(frame[at : at + 2]) for at in range(3, 3 + frame[2], 2)]
        assert words == section.read(row.function, row.address, row.words).words
    read = Replies()
    words = section.read(row.function, row.address, row.words).words
    read.add(row.function, row.address, registers_of(words))
    assert decode((row,), read).values == {quantity: value}
