"""What the upkeep finds out of each gateway, and how it was, in the words of both databases."""

from __future__ import annotations

TABLES = (
    # days whose registers are to be held against their manifests: of a gateway, between two times (UTC ms)
    "CREATE TABLE changed_day ({id}, gateway {text} NOT NULL, first {int} NOT NULL, last {int} NOT NULL)",
    "CREATE INDEX changed_day_due ON changed_day (gateway)",
    "CREATE INDEX manifest_by_end ON manifest (gateway, last)",
    # a local day of a meter against the manifests of its registers: complete, incomplete or contradicted
    """CREATE TABLE meter_day (
        gateway {text} NOT NULL, meter {text} NOT NULL, day {text} NOT NULL, state {text} NOT NULL,
        registers {int} NOT NULL, complete {int} NOT NULL, checked {int} NOT NULL,
        PRIMARY KEY (gateway, meter, day))""",
    "CREATE INDEX meter_day_open ON meter_day (checked) WHERE state <> 'complete'",
    # every five minutes: how often a gateway said that it is online, and its longest backlog, by hour
    """CREATE TABLE state_hour (
        gateway {text} NOT NULL, t {int} NOT NULL, samples {int} NOT NULL, online {int} NOT NULL,
        backlog {int} NOT NULL, PRIMARY KEY (gateway, t))""",
    # a row per gateway: how it was at `at`; problems: JSON, the worst first
    """CREATE TABLE fleet (
        gateway {text} PRIMARY KEY, at {int} NOT NULL, name {text} NOT NULL, timezone {text} NOT NULL,
        sought {text} NOT NULL,
        online {int} NOT NULL, heard {int}, last_t {int}, last_received {int}, backlog {int}, version {text},
        clock {text}, missing {int} NOT NULL, conflicts {int} NOT NULL, refused {int} NOT NULL,
        complete {int} NOT NULL, incomplete {int} NOT NULL, contradicted {int} NOT NULL,
        problems {text} NOT NULL, severity {int} NOT NULL)""",
    "CREATE INDEX fleet_by_severity ON fleet (severity, gateway)",
    """INSERT INTO changed_day (gateway, first, last)
        SELECT gateway, min(first), max(last) FROM manifest GROUP BY gateway""",
)
UNREAD = (
    # unread: meters that gave nothing in the newest hour that is known of them
    "ALTER TABLE fleet ADD COLUMN unread {int} NOT NULL DEFAULT 0",
    "CREATE INDEX reading_hour_unread ON reading_hour (t) WHERE missing = readings",
)
