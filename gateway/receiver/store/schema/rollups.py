"""The rollups and what keeps them, in the words of both databases: hours of readings, days and hours of
energy.
"""

from __future__ import annotations

CHANGED_HOURS = "changed_hour (gateway, hour)"
"""Where a commit notes the hours that it has changed: the rollups follow."""
TABLES = (
    # hours whose rollup is out of date; a row for each commit that brought readings of one
    """CREATE TABLE changed_hour ({id}, gateway {text} NOT NULL, hour {int} NOT NULL)""",
    "CREATE INDEX changed_hour_due ON changed_hour (hour, gateway)",
    # an hour of a meter; values: quantity to [count, suspect, minimum, maximum, mean]
    """CREATE TABLE reading_hour (
        gateway {text} NOT NULL, meter {text} NOT NULL, t {int} NOT NULL, readings {int} NOT NULL,
        missing {int} NOT NULL, "values" {json} NOT NULL, PRIMARY KEY (gateway, meter, t)){by_gateway}""",
    # readings before this time are no longer there; gateway '' stands for all of them
    """CREATE TABLE dropped (gateway {text} PRIMARY KEY, "before" {int} NOT NULL)""",
    # up to which seq only the digests of an epoch's batches are kept
    """CREATE TABLE emptied (gateway {text} NOT NULL, epoch {text} NOT NULL, seq {int} NOT NULL,
        PRIMARY KEY (gateway, epoch))""",
    """INSERT INTO changed_hour (gateway, hour)
        SELECT DISTINCT gateway, t - t % 3600000 FROM reading WHERE clock <> 'unsynced'""",
)
VIEWS = (
    """CREATE VIEW value_hour AS SELECT h.gateway, h.meter, h.t, j.key AS quantity,
        {count} AS count, {suspect} AS suspect, {minimum} AS minimum, {maximum} AS maximum, {mean} AS mean
        FROM reading_hour h, {each}(h."values") j""",
    """CREATE VIEW value_day AS SELECT gateway, meter, t - t % 86400000 AS t, quantity,
        CAST(sum(count) AS {int}) AS count,
        CAST(sum(suspect) AS {int}) AS suspect, min(minimum) AS minimum, max(maximum) AS maximum,
        sum(mean * count) / nullif(sum(count), 0) AS mean
        FROM value_hour GROUP BY gateway, meter, t - t % 86400000, quantity""",
    """CREATE VIEW interval_hour AS SELECT gateway, meter, quantity, start - start % 3600000 AS t,
        count(*) AS count, CAST(sum(value) AS {int}) AS value,
        CAST(sum(CASE WHEN quality = 'm' THEN value ELSE 0 END) AS {int}) AS measured
        FROM "interval" GROUP BY gateway, meter, quantity, start - start % 3600000""",
    """CREATE VIEW interval_day AS SELECT m.gateway, m.meter, m.quantity, m.day, m.first, m.last,
        m.count AS told_count, m.sum AS told_value, count(i.start) AS count,
        CAST(coalesce(sum(i.value), 0) AS {int}) AS value,
        CAST(coalesce(sum(CASE WHEN i.quality = 'm' THEN i.value ELSE 0 END), 0) AS {int}) AS measured
        FROM manifest m LEFT JOIN "interval" i ON i.gateway = m.gateway AND i.meter = m.meter
        AND i.quantity = m.quantity AND i.start >= m.first AND i.start < m.last
        GROUP BY m.gateway, m.meter, m.quantity, m.day, m.first, m.last, m.count, m.sum""",
)
