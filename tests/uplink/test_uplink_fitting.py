"""The form in which this broker takes a batch: packed or plain, under which id, or not at all."""

import logging

from uplink_parts import E1, row

from gateway.common.troubles import Troubles
from gateway.mqtt import Outgoing
from gateway.uplink.delivery.window import key_of
from gateway.uplink.outgoing.fitting import Fitting
from gateway.uplink.outgoing.objections import Objections
from gateway.uplink.outgoing.set_aside import AGAIN, REFUSED
from gateway.uplink.rewrap import rewrap
from gateway.wire import decode, decompress


def test_a_batch_is_rewrapped_no_more_than_it_must():
    sealed = row(4, clock="unsynced")
    assert rewrap(sealed, "gw1") is sealed.body
    assert rewrap(sealed, "gw1", packed=False) == decompress(sealed.body)
    changed = decode(rewrap(sealed, "gw2", t0=77))
    assert (changed.gateway, changed.t0, changed.clock, changed.seq) == ("gw2", 77, "anchored", 4)
    assert changed.readings[0].values == {"active_power": 4.0}


def fitting_of(objections=None):
    return Fitting(
        "P/data",
        "gw1",
        objections or Objections("P/data"),
        Troubles(logging.getLogger("x"), "x"),
        packed=True,
    )


def test_a_message_beside_the_batches_goes_when_it_is_smaller_than_the_one_that_ended_the_connection():
    objections = Objections("P/data")
    made = fitting_of(objections)
    message = Outgoing("P/state", b"x" * 100)
    size = made.size(message)
    objections.left_out["P/state"] = size
    assert made.beside(message) is None
    assert list(made.left_out) == ["P/state"]
    objections.left_out["P/state"] = size + 1
    assert made.beside(message) == message
    assert not made.left_out, "it goes again"
    assert made.beside(Outgoing("P/meters", b"x" * 5000)) is not None, "another topic was never in the way"


def test_what_a_broker_has_taken_is_not_remembered_as_on_its_way():
    made = fitting_of()
    for seq in range(1, 30):
        sealed = row(seq)
        made.batch(sealed, t0=None, epoch=E1)
        made.acknowledged(key_of(sealed), 0, None, 1.0)
    assert not made._as_zlib


def test_what_was_refused_for_its_content_is_offered_again_after_an_hour():
    made = fitting_of()
    assert made.set_aside.cause == ""
    made.set_aside.put((E1, 1), REFUSED, now=10.0)
    assert made.set_aside.cause == "payload"
    assert made.tick(10.0 + AGAIN - 1) is False
    assert made.tick(10.0 + AGAIN) is True
    assert len(made.set_aside) == 0
    assert made.tick(10.0 + 3 * AGAIN) is False, "once"


def test_what_was_on_its_way_as_zlib_goes_again_as_json_once_the_rule_is_known():
    fitting = fitting_of()
    one, two = row(1), row(2)
    packed = [fitting.batch(each, t0=None, epoch=E1) for each in (one, two)]
    assert all(message is not None and message.payload[:1] != b"{" for message in packed)
    assert fitting.unfit(one, 0x99, "", 1.0)
    plain = fitting.batch(one, t0=None, epoch=E1)
    assert plain is not None
    assert plain.payload[:1] == b"{"
    fitting.acknowledged(key_of(one), 0, None, 2.0)
    # The refusal of the second one, which had left as zlib, comes when the rule is known already.
    assert fitting.unfit(two, 0x99, "", 2.1)
    again = fitting.batch(two, t0=None, epoch=E1)
    assert again is not None
    assert again.payload[:1] == b"{"
    assert fitting.set_aside.count("refused") == 0
    assert not fitting.unfit(two, 0x99, "", 2.2), "refused in both forms: it is what it holds"
