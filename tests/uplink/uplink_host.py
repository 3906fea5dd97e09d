"""A platform that speaks another dialect: hears everything on a real broker, and says what it is told to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
from uplink_parts import BOOT, E1, T0

from gateway.model import Reading, Sealed
from gateway.uplink import MemoryJournal
from gateway.wire import Batch, compress, encode

SPARKPLUG = Path(__file__).parents[2] / "build" / "sparkplug" / "node_modules"
_DECODE = """
const sparkplug = require(process.argv[1] + '/sparkplug-payload').get('spBv1.0')
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(line => line)
const whole = value => value && typeof value === 'object' && 'low' in value && 'unsigned' in value
const plain = (key, value) => whole(value) ? value.high * 4294967296 + (value.low >>> 0) : value
console.log(JSON.stringify(lines.map(line => sparkplug.decodePayload(Buffer.from(line, 'hex'))), plain))
"""
METERS = {
    "gateway": "gw1",
    "name": "Şehir Kütüphanesi",
    "timezone": "Europe/Istanbul",
    "version": "1.2.3",
    "drivers": {
        "sdm630": {
            "maker": "Eastron",
            "model": "SDM630",
            "version": "a",
            "verified": "datasheet",
            "quantities": {
                "active_power": {"unit": "kW", "kind": "gauge"},
                "reactive_power": {"unit": "kvar", "kind": "gauge"},
                "voltage_l1n": {"unit": "V", "kind": "gauge"},
                "active_energy_import": {"unit": "kWh", "kind": "counter"},
            },
        }
    },
    "meters": [
        {"id": "main", "name": "Ana sayaç", "driver": "sdm630", "attributes": {"serial_number": "123"}},
        {"id": "lift", "name": "Asansör", "driver": "sdm630"},
    ],
}


def description(*meters: str) -> bytes:
    """P/meters with these of the two, or both."""
    chosen = [meter for meter in METERS["meters"] if not meters or meter["id"] in meters]
    return json.dumps({**METERS, "meters": chosen}).encode()


def batch_of(seq, uptime, readings, *, clock="synced", events=()):
    """A committed batch; T0 + uptime is its wall time."""
    batch = Batch("gw1", E1, seq, T0 + uptime, uptime, clock, readings, list(events))
    return Sealed(E1, seq, BOOT, batch.t0, uptime, clock, len(readings), 1, False, compress(encode(batch)))


def reading(meter, uptime, absent=None, missing="", suspect=(), **values):
    return Reading(meter, uptime, {} if missing else values, absent or {}, missing, tuple(suspect))


NOW = 10_000_000
"""The uptime of FakeClock in ms: T0 + NOW is the time of day."""


def box_of(*batches):
    """A journal that holds these."""
    box = MemoryJournal()
    for sealed in batches:
        box.commit(sealed)
    return box


def sent(seq, ago=0, meter="main", **values):
    """A batch of one reading, so many seconds old."""
    uptime = NOW - ago * 1000
    return batch_of(seq, uptime, [reading(meter, uptime, **values)])


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    qos: int
    retain: bool

    @property
    def said(self):
        return json.loads(self.payload)


class Host:
    """Everything that went over the broker since it came, in order."""

    def __init__(self, port, topics=("#",)):
        self.log = []
        self._ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _client, _user, m: self.log.append(
            Heard(m.topic, m.payload, m.qos, m.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def say(self, topic, payload, *, retain=False):
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def of(self, start):
        return [heard for heard in list(self.log) if heard.topic.startswith(start)]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def host(port, **options):
    here = Host(port, **options)
    try:
        yield here
    finally:
        here.close()


def decoded(payloads):
    """Sparkplug payloads as an implementation that is not ours reads them."""
    done = subprocess.run(
        ["node", "-e", _DECODE, str(SPARKPLUG)],
        input="\n".join(payload.hex() for payload in payloads),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)
