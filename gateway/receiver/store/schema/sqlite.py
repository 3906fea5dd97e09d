"""The tables of the platform's database and their migrations. Every version ever shipped must upgrade."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from gateway.receiver.store.schema.fleet import TABLES as FLEET
from gateway.receiver.store.schema.fleet import UNREAD
from gateway.receiver.store.schema.rollups import TABLES, VIEWS

migrations = Migrations("receiver")

_SCHEMA = """
CREATE TABLE batch (  -- one row per batch; the key is the promise that nothing counts twice; mark: blake2b \
of the JSON in body
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, t0 INTEGER NOT NULL, \
uptime INTEGER NOT NULL, clock TEXT NOT NULL,
    readings INTEGER NOT NULL, "values" INTEGER NOT NULL, received INTEGER NOT NULL, mark BLOB NOT NULL, \
body BLOB NOT NULL,
    PRIMARY KEY (gateway, epoch, seq)) STRICT;
CREATE TABLE reading (  -- n: place within the batch; missing: the reason when the meter gave nothing at all
    gateway TEXT NOT NULL, meter TEXT NOT NULL, t INTEGER NOT NULL, epoch TEXT NOT NULL, \
seq INTEGER NOT NULL, n INTEGER NOT NULL,
    uptime INTEGER NOT NULL, clock TEXT NOT NULL, "values" TEXT NOT NULL, absent TEXT, suspect TEXT, \
missing TEXT) STRICT;
CREATE INDEX reading_by_meter ON reading (gateway, meter, t);
CREATE INDEX reading_unsynced ON reading (gateway, epoch) WHERE clock = 'unsynced';
CREATE VIEW value AS
    SELECT r.gateway, r.meter, r.t, j.key AS quantity, j.value AS value, r.epoch, r.seq FROM reading r, \
json_each(r."values") j;
CREATE TABLE event (
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, t INTEGER NOT NULL, \
uptime INTEGER NOT NULL, clock TEXT NOT NULL,
    kind TEXT NOT NULL, fields TEXT NOT NULL) STRICT;
CREATE INDEX event_by_kind ON event (gateway, kind, t);
CREATE TABLE interval (
    gateway TEXT NOT NULL, meter TEXT NOT NULL, start INTEGER NOT NULL, seconds INTEGER NOT NULL, \
version INTEGER NOT NULL,
    quality TEXT NOT NULL, energy_wh TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
CREATE INDEX interval_by_meter ON interval (gateway, meter, start);
CREATE TABLE epoch (  -- running totals, so that a report need not count a year of batches
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER, previous TEXT, previous_last INTEGER, \
reason TEXT,
    batches INTEGER NOT NULL DEFAULT 0, readings INTEGER NOT NULL DEFAULT 0, \
"values" INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0, conflicts INTEGER NOT NULL DEFAULT 0,
    synced INTEGER NOT NULL DEFAULT 0, anchored INTEGER NOT NULL DEFAULT 0, \
unsynced INTEGER NOT NULL DEFAULT 0,
    first_t INTEGER, last_t INTEGER, first_received INTEGER, last_received INTEGER,
    PRIMARY KEY (gateway, epoch)) WITHOUT ROWID, STRICT;
CREATE TABLE held (  -- the seqs of `batch` as ranges: read at start instead of every batch
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (gateway, epoch, first)) WITHOUT ROWID, STRICT;
CREATE TABLE conflict (  -- the same identity with other content; digest: as gateway.wire.digest, \
body: its JSON
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL, \
received INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (gateway, epoch, seq, digest)) STRICT;
CREATE TABLE explained (  -- seqs that will never come, and why; open: the event named no epoch
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, \
reason TEXT NOT NULL,
    open INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (gateway, epoch, first, last, \
reason)) WITHOUT ROWID, STRICT;
CREATE TABLE anchor (
    gateway TEXT NOT NULL, epoch TEXT NOT NULL, uptime INTEGER NOT NULL, t INTEGER NOT NULL,
    PRIMARY KEY (gateway, epoch, uptime)) WITHOUT ROWID, STRICT;
CREATE TABLE replay (  -- what was asked again, and the answer
    id TEXT PRIMARY KEY, gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, \
last INTEGER NOT NULL,
    asked INTEGER NOT NULL, answered INTEGER, ok INTEGER, answer TEXT) STRICT;
CREATE TABLE meters (  -- history of P/meters: a row when the description changed
    gateway TEXT NOT NULL, received INTEGER NOT NULL, description TEXT NOT NULL) STRICT;
CREATE INDEX meters_by_gateway ON meters (gateway, received);
CREATE TABLE state (  -- the newest P/state
    gateway TEXT PRIMARY KEY, online INTEGER NOT NULL, epoch TEXT, seq INTEGER, backlog INTEGER, \
version TEXT, at INTEGER NOT NULL) STRICT;
CREATE TABLE refused (  -- what could not be used, counted by sender and reason, with the newest example
    gateway TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, at INTEGER NOT NULL, \
example TEXT NOT NULL,
    PRIMARY KEY (gateway, reason)) WITHOUT ROWID, STRICT;
"""


@migrations()
def first_schema(db: Database) -> None:
    """Everything that version 1 keeps."""
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


@migrations()
def intervals_and_manifests(db: Database) -> None:
    """A row per interval, of which the highest version counts. The table of version 1 never held one: no
    gateway sent any.
    """
    for statement in (
        "DROP TABLE interval",
        """CREATE TABLE interval (
           gateway TEXT NOT NULL, meter TEXT NOT NULL, quantity TEXT NOT NULL, start INTEGER NOT NULL,
           seconds INTEGER NOT NULL, value INTEGER NOT NULL, quality TEXT NOT NULL, version INTEGER NOT NULL,
           epoch TEXT NOT NULL, seq INTEGER NOT NULL,
           PRIMARY KEY (gateway, meter, quantity, start)) WITHOUT ROWID, STRICT""",
        """CREATE TABLE contradiction (  -- a version of an interval that came with two values
           gateway TEXT NOT NULL, meter TEXT NOT NULL, quantity TEXT NOT NULL, start INTEGER NOT NULL,
           version INTEGER NOT NULL, value INTEGER NOT NULL, quality TEXT NOT NULL,
           other_value INTEGER NOT NULL, other_quality TEXT NOT NULL,
           epoch TEXT NOT NULL, seq INTEGER NOT NULL,
           PRIMARY KEY (gateway, meter, quantity, start, version)) WITHOUT ROWID, STRICT""",
        """CREATE TABLE manifest (  -- what a local day of a register must hold: the newest version
           gateway TEXT NOT NULL, meter TEXT NOT NULL, quantity TEXT NOT NULL, day TEXT NOT NULL,
           version INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
           sum INTEGER NOT NULL, sha256 TEXT NOT NULL, contradicted INTEGER NOT NULL,
           epoch TEXT NOT NULL, seq INTEGER NOT NULL,
           PRIMARY KEY (gateway, meter, quantity, day)) WITHOUT ROWID, STRICT""",
    ):
        db.conn.execute(statement)


_WORDS = {
    "id": "id INTEGER PRIMARY KEY",
    "text": "TEXT",
    "int": "INTEGER",
    "json": "TEXT",
    "by_gateway": " WITHOUT ROWID, STRICT",
    "each": "json_each",
    "count": "json_extract(j.value, '$[0]')",
    "suspect": "json_extract(j.value, '$[1]')",
    "minimum": "json_extract(j.value, '$[2]')",
    "maximum": "json_extract(j.value, '$[3]')",
    "mean": "json_extract(j.value, '$[4]')",
}


@migrations()
def rollups(db: Database) -> None:
    """Hours and days of readings, and what was dropped. The view `value` says whether the gateway doubts a
    value, and how its time is known.
    """
    for statement in (
        "DROP VIEW value",
        """CREATE VIEW value AS SELECT r.gateway, r.meter, r.t, j.key AS quantity, j.value AS value, r.epoch,
           r.seq, r.suspect IS NOT NULL
           AND EXISTS (SELECT 1 FROM json_each(r.suspect) s WHERE s.value = j.key) AS suspect, r.clock
           FROM reading r, json_each(r."values") j""",
        *(statement.format_map(_WORDS) for statement in (*TABLES, *VIEWS)),
    ):
        db.conn.execute(statement)


@migrations()
def fleet(db: Database) -> None:
    """How each gateway is and was."""
    for statement in FLEET:
        db.conn.execute(statement.format_map(_WORDS))


@migrations()
def unread_meters(db: Database) -> None:
    """How many meters of a gateway give nothing."""
    for statement in UNREAD:
        db.conn.execute(statement.format_map(_WORDS))
