"""The table of readings as a hypertable of TimescaleDB: made of the empty one when a database is new."""

from __future__ import annotations

from gateway.receiver.store.schema.partitions import SPAN

LOADED = "SELECT current_setting('timescaledb.max_background_workers', true) IS NOT NULL"
"""Whether the server has loaded the extension: to create it where it has not ends the connection."""
CHUNK = 2_592_000_000
"""ms of a chunk: thirty days."""
STATEMENTS = (
    "CREATE EXTENSION IF NOT EXISTS timescaledb",
    # What a clock that was wrong has dated lies in two chunks, however many such times there are.
    f"""CREATE FUNCTION reading_chunk(t bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
        AS 'SELECT greatest(least(t, {SPAN[1]}), {SPAN[0] - 1})'""",
    "CREATE TABLE reading_undivided (LIKE reading)",
    """CREATE OR REPLACE VIEW value AS SELECT r.gateway, r.meter, r.t, j.key AS quantity,
        j.value::double precision AS value, r.epoch, r.seq,
        r.suspect IS NOT NULL AND jsonb_exists(r.suspect::jsonb, j.key) AS suspect, r.clock
        FROM reading_undivided r, json_each_text(r."values") j""",
    "DROP TABLE reading",
    "ALTER TABLE reading_undivided RENAME TO reading",
    f"""SELECT create_hypertable('reading', 't', chunk_time_interval => {CHUNK},
        create_default_indexes => false, time_partitioning_func => 'reading_chunk')""",
    "CREATE INDEX reading_by_meter ON reading (gateway, meter, t)",
    "CREATE INDEX reading_unsynced ON reading (gateway, epoch) WHERE clock = 'unsynced'",
)
KIND = "SELECT relkind FROM pg_class WHERE oid = 'reading'::regclass"
"""Of the table of readings; `r`: it is a hypertable."""
CHUNKS = """SELECT format('%I.%I', chunk_schema, chunk_name), range_start_integer, range_end_integer
    FROM timescaledb_information.chunks c JOIN pg_class t ON t.oid = 'reading'::regclass
    JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = c.hypertable_schema
    WHERE c.hypertable_name = 'reading' ORDER BY range_start_integer"""
"""Its parts: their names, and their times from the first to before the second (UTC ms)."""
DROP = "SELECT drop_chunks('reading', older_than => ?::bigint, newer_than => ?::bigint)"
"""The parts that end by the first time and begin at the second or later."""
