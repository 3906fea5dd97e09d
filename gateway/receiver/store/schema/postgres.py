"""The tables of the platform's database in PostgreSQL, and their versions. Every version ever shipped must
upgrade.
"""

from gateway.receiver.store.schema.fleet import TABLES as FLEET
from gateway.receiver.store.schema.fleet import UNREAD
from gateway.receiver.store.schema.partitions import SPAN
from gateway.receiver.store.schema.rollups import TABLES, VIEWS

_WORDS = {
    "id": "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "text": "text",
    "int": "bigint",
    "json": "json",
    "by_gateway": " PARTITION BY HASH (gateway)",
    "each": "json_each",
    "count": "(j.value->>0)::bigint",
    "suspect": "(j.value->>1)::bigint",
    "minimum": "(j.value->>2)::double precision",
    "maximum": "(j.value->>3)::double precision",
    "mean": "(j.value->>4)::double precision",
}

VERSIONS = (
    (
        # turn: locked by whoever stores for a gateway, counted up at each commit
        """CREATE TABLE turn (
            gateway text PRIMARY KEY, version bigint NOT NULL)""",
        """CREATE TABLE batch (
            gateway text NOT NULL, epoch text NOT NULL, seq bigint NOT NULL, t0 bigint NOT NULL,
            uptime bigint NOT NULL, clock text NOT NULL, readings integer NOT NULL, "values" integer NOT NULL,
            received bigint NOT NULL, mark bytea NOT NULL, body bytea NOT NULL,
            PRIMARY KEY (gateway, epoch, seq)) PARTITION BY HASH (gateway)""",
        *(
            f"CREATE TABLE batch_{n} PARTITION OF batch FOR VALUES WITH (MODULUS 8, REMAINDER {n})"
            for n in range(8)
        ),
        """CREATE TABLE reading (
            gateway text NOT NULL, meter text NOT NULL, t bigint NOT NULL, epoch text NOT NULL,
            seq bigint NOT NULL, n integer NOT NULL, uptime bigint NOT NULL, clock text NOT NULL,
            "values" json NOT NULL, absent json, suspect json, missing text) PARTITION BY RANGE (t)""",
        "CREATE TABLE reading_other PARTITION OF reading DEFAULT",
        "CREATE INDEX reading_by_meter ON reading (gateway, meter, t)",
        "CREATE INDEX reading_unsynced ON reading (gateway, epoch) WHERE clock = 'unsynced'",
        """CREATE VIEW value AS SELECT r.gateway, r.meter, r.t, j.key AS quantity,
            j.value::double precision AS value, r.epoch, r.seq
            FROM reading r, json_each_text(r."values") j""",
        """CREATE TABLE event (
            gateway text NOT NULL, epoch text NOT NULL, seq bigint NOT NULL, t bigint NOT NULL,
            uptime bigint NOT NULL, clock text NOT NULL, kind text NOT NULL, fields json NOT NULL)""",
        "CREATE INDEX event_by_kind ON event (gateway, kind, t)",
        """CREATE TABLE epoch (
            gateway text NOT NULL, epoch text NOT NULL, first bigint, previous text, previous_last bigint,
            reason text, batches bigint NOT NULL DEFAULT 0, readings bigint NOT NULL DEFAULT 0,
            "values" bigint NOT NULL DEFAULT 0, duplicates bigint NOT NULL DEFAULT 0,
            conflicts bigint NOT NULL DEFAULT 0, synced bigint NOT NULL DEFAULT 0,
            anchored bigint NOT NULL DEFAULT 0, unsynced bigint NOT NULL DEFAULT 0,
            first_t bigint, last_t bigint, first_received bigint, last_received bigint,
            PRIMARY KEY (gateway, epoch))""",
        """CREATE TABLE held (
            gateway text NOT NULL, epoch text NOT NULL, first bigint NOT NULL, last bigint NOT NULL,
            PRIMARY KEY (gateway, epoch, first))""",
        """CREATE TABLE conflict (
            gateway text NOT NULL, epoch text NOT NULL, seq bigint NOT NULL, digest text NOT NULL,
            received bigint NOT NULL, body text NOT NULL, PRIMARY KEY (gateway, epoch, seq, digest))""",
        """CREATE TABLE explained (
            gateway text NOT NULL, epoch text NOT NULL, first bigint NOT NULL, last bigint NOT NULL,
            reason text NOT NULL, open integer NOT NULL, at bigint NOT NULL,
            PRIMARY KEY (gateway, epoch, first, last, reason))""",
        """CREATE TABLE anchor (
            gateway text NOT NULL, epoch text NOT NULL, uptime bigint NOT NULL, t bigint NOT NULL,
            PRIMARY KEY (gateway, epoch, uptime))""",
        """CREATE TABLE replay (
            id text PRIMARY KEY, gateway text NOT NULL, epoch text NOT NULL, first bigint NOT NULL,
            last bigint NOT NULL, asked bigint NOT NULL, answered bigint, ok integer, answer text)""",
        """CREATE TABLE meters (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gateway text NOT NULL,
            received bigint NOT NULL, description text NOT NULL)""",
        "CREATE INDEX meters_by_gateway ON meters (gateway, id)",
        """CREATE TABLE state (
            gateway text PRIMARY KEY, online integer NOT NULL, epoch text, seq bigint, backlog bigint,
            version text, at bigint NOT NULL)""",
        """CREATE TABLE refused (
            gateway text NOT NULL, reason text NOT NULL, count bigint NOT NULL, at bigint NOT NULL,
            example text NOT NULL, PRIMARY KEY (gateway, reason))""",
        """CREATE TABLE "interval" (
            gateway text NOT NULL, meter text NOT NULL, quantity text NOT NULL, start bigint NOT NULL,
            seconds integer NOT NULL, value bigint NOT NULL, quality text NOT NULL, version integer NOT NULL,
            epoch text NOT NULL, seq bigint NOT NULL, PRIMARY KEY (gateway, meter, quantity, start))
            PARTITION BY HASH (gateway)""",
        *(
            f'CREATE TABLE interval_{n} PARTITION OF "interval" FOR VALUES WITH (MODULUS 8, REMAINDER {n})'
            for n in range(8)
        ),
        """CREATE TABLE contradiction (
            gateway text NOT NULL, meter text NOT NULL, quantity text NOT NULL, start bigint NOT NULL,
            version integer NOT NULL, value bigint NOT NULL,
            quality text NOT NULL, other_value bigint NOT NULL, other_quality text NOT NULL,
            epoch text NOT NULL, seq bigint NOT NULL,
            PRIMARY KEY (gateway, meter, quantity, start, version))""",
        """CREATE TABLE manifest (
            gateway text NOT NULL, meter text NOT NULL, quantity text NOT NULL, day text NOT NULL,
            version integer NOT NULL, first bigint NOT NULL, last bigint NOT NULL, count integer NOT NULL,
            sum bigint NOT NULL, sha256 text NOT NULL, contradicted integer NOT NULL, epoch text NOT NULL,
            seq bigint NOT NULL, PRIMARY KEY (gateway, meter, quantity, day))""",
    ),
    (
        # value: with whether the gateway doubts it, and how its time is known
        """CREATE OR REPLACE VIEW value AS SELECT r.gateway, r.meter, r.t, j.key AS quantity,
            j.value::double precision AS value, r.epoch, r.seq,
            r.suspect IS NOT NULL AND jsonb_exists(r.suspect::jsonb, j.key) AS suspect, r.clock
            FROM reading r, json_each_text(r."values") j""",
        *(statement.format_map(_WORDS) for statement in TABLES),
        *(
            f"CREATE TABLE reading_hour_{n} PARTITION OF reading_hour FOR VALUES WITH "
            f"(MODULUS 8, REMAINDER {n})"
            for n in range(8)
        ),
        *(statement.format_map(_WORDS) for statement in VIEWS),
    ),
    tuple(statement.format_map(_WORDS) for statement in FLEET),
    (
        # With which of its gateway's commits a range has changed: other receivers read no more than that. Set
        # here, so that a receiver of before that still runs cannot forget it.
        "ALTER TABLE held ADD COLUMN version bigint NOT NULL DEFAULT 0",
        """CREATE FUNCTION held_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.version := coalesce((SELECT version FROM turn WHERE gateway = NEW.gateway), 0);
            RETURN NEW; END $$""",
        """CREATE TRIGGER held_version BEFORE INSERT OR UPDATE ON held
            FOR EACH ROW EXECUTE FUNCTION held_version()""",
    ),
    (
        # Whoever stores begins with `turn`: those who have begun end before this begins, and nobody waits for
        # anything while holding what is wanted here.
        "LOCK TABLE turn IN ACCESS EXCLUSIVE MODE",
        # held_ranges: all that is held of an epoch, `version`: with which of its gateway's commits it has
        # changed, `lately`: what has come since the commit `since`. held: the same, a row for each range.
        "ALTER TABLE held RENAME TO held_before",
        """CREATE TABLE held_ranges (
            gateway text NOT NULL, epoch text NOT NULL, ranges int8multirange NOT NULL,
            version bigint NOT NULL, lately int8multirange NOT NULL, since bigint NOT NULL,
            PRIMARY KEY (gateway, epoch))""",
        # To compress it at each commit costs more than to write it.
        "ALTER TABLE held_ranges ALTER ranges SET STORAGE EXTERNAL",
        """INSERT INTO held_ranges
            SELECT gateway, epoch, range_agg(int8range(first, last, '[]')), max(version), '{}', max(version)
            FROM held_before GROUP BY gateway, epoch""",
        """CREATE VIEW held AS SELECT gateway, epoch, lower(r) AS first, upper(r) - 1 AS last
            FROM held_ranges, unnest(ranges) AS r""",
        # interval: by month as reading is, in place of by gateway
        'ALTER TABLE "interval" RENAME TO interval_before',
        """CREATE TABLE "interval" (
            gateway text NOT NULL, meter text NOT NULL, quantity text NOT NULL, start bigint NOT NULL,
            seconds integer NOT NULL, value bigint NOT NULL, quality text NOT NULL, version integer NOT NULL,
            epoch text NOT NULL, seq bigint NOT NULL) PARTITION BY RANGE (start)""",
        'CREATE TABLE interval_other PARTITION OF "interval" DEFAULT',
        f"""DO $$ DECLARE month timestamp; BEGIN
            FOR month IN SELECT DISTINCT
                date_trunc('month', to_timestamp(start / 1000) AT TIME ZONE 'UTC') FROM interval_before
                WHERE start >= {SPAN[0]} AND start < {SPAN[1]}
            LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF "interval" FOR VALUES FROM (%s) TO (%s)',
                    to_char(month, '"interval_"YYYY_MM'), extract(epoch FROM month)::bigint * 1000,
                    extract(epoch FROM month + interval '1 month')::bigint * 1000);
            END LOOP; END $$""",  # noqa: S608 - whole numbers
        'INSERT INTO "interval" SELECT * FROM interval_before',
        'ALTER TABLE "interval" ADD CONSTRAINT interval_key PRIMARY KEY (gateway, meter, quantity, start)',
        *(
            statement.format_map(_WORDS).replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
            for statement in VIEWS
            if "interval" in statement
        ),
        # Who was allowed to read goes on reading.
        """DO $$ DECLARE one record; BEGIN
            FOR one IN SELECT given.privilege_type AS may, moved.new AS what, CASE given.grantee
                WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(given.grantee)) END AS who
                FROM (VALUES ('held_before', 'held'), ('interval_before', 'interval')) AS moved(old, new)
                JOIN pg_class c ON c.oid = moved.old::regclass
                CROSS JOIN aclexplode(c.relacl) AS given WHERE given.grantee <> c.relowner
            LOOP
                EXECUTE format('GRANT %s ON %I TO %s', one.may, one.what, one.who);
            END LOOP; END $$""",
        "DROP TABLE held_before, interval_before",
        "DROP FUNCTION held_version()",
    ),
    tuple(statement.format_map(_WORDS) for statement in UNREAD),
)
"""The statements of each version, in order."""
