"""A platform in sixty lines: stores each batch of every gateway exactly once into SQLite, and says so.

pip install paho-mqtt; python client.py mqtt-host 1883 platform.db
"""

import json
import sqlite3
import sys
import zlib

import paho.mqtt.client as mqtt

CONSUMER = "city"  # as under `receipts:` in the gateway's configuration
db = sqlite3.connect(sys.argv[3], check_same_thread=False, isolation_level=None)
db.executescript("""PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS batch (gateway, epoch, seq INTEGER, content, PRIMARY KEY (gateway, epoch, seq));
CREATE TABLE IF NOT EXISTS reading (gateway, meter, t INTEGER, quantity, value REAL);""")
KNOWN = "SELECT content FROM batch WHERE gateway = ? AND epoch = ? AND seq = ?"
HELD = """SELECT min(seq), max(seq) FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run
FROM batch WHERE gateway = ? AND epoch = ?) GROUP BY run ORDER BY 1 DESC LIMIT 500"""


def store(message):
    """One transaction; whether what is stored under the key is this batch."""
    content = {name: part for name, part in message.items() if name not in ("t0", "uptime", "clock")}
    key, text = (message["gateway"], message["epoch"], message["seq"]), json.dumps(content, sort_keys=True)
    with db:
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("INSERT OR IGNORE INTO batch VALUES (?, ?, ?, ?)", (*key, text)).rowcount:
            return db.execute(KNOWN, key).fetchone()[0] == text
        for table in message.get("tables", ()):
            for row, meter in enumerate(table["meter"]):
                for name, column in table["values"].items():
                    values = (key[0], meter, message["t0"] + table["dt"][row], name, column[row])
                    db.execute("INSERT INTO reading SELECT ?, ?, ?, ?, ?5 WHERE ?5 NOT NULL", values)
    return True


def heard(client, _data, packet):
    """A batch is stored, then receipted; to a gateway that comes online everything is said again."""
    body, gateway = packet.payload, packet.topic.split("/")[2]
    message = json.loads(zlib.decompress(body) if body[:1] == b"\x78" else body)
    receipt = {"epoch": message.get("epoch"), "upto": 0, "have": []}
    if packet.topic.endswith("/state"):
        receipt["have"] = sorted(db.execute(HELD, (gateway, receipt["epoch"])).fetchall())
    elif not packet.topic.endswith("/data") or message["gateway"] != gateway:
        return  # some brokers hand out more than was asked for
    elif store(message):
        receipt["have"] = [[message["seq"], message["seq"]]]
    else:
        receipt["conflicts"] = [message["seq"]]
    if receipt["epoch"]:
        client.publish(f"submeter/v1/{gateway}/receipt/{CONSUMER}", json.dumps(receipt), qos=1)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = lambda *_: client.subscribe([("submeter/v1/+/data", 1), ("submeter/v1/+/state", 1)])
client.on_message = heard
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_forever()
