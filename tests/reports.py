"""What faults from other people's public reports, and attacks of our own, did to the gateway: before and
after they were mended.

The rows are written by hand: each fault was a script with devices and brokers of its own, run against the
gateway as a process on a busy machine with two cores. The tests beside them hold the whole kind.
`tests.reliability` puts the tables into docs/reliability.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A fault in words; what it did before, and what it does now; the tests that hold it."""

    fault: str
    before: str
    after: str
    held_by: str


_NOISE = "`tests/field/test_odd_noise.py`"
_REPLIES = "`tests/field/test_odd_replies.py`"
_GATEWAYS = "`tests/field/test_odd_gateways.py`"
_CONNECTIONS = "`tests/field/test_odd_connections.py`"
_SILENT = "`tests/field/test_silent_read.py`"
_LIMITS = "`tests/uplink/test_uplink_limits.py`"
_OUTSIDE = "`tests/config/test_outside.py`"
_CONNECTING = "`tests/field/test_connecting.py`"
_EVIDENCE = "`tests/journal/test_journal_cases.py`"
_MOVED = "`tests/journal/test_journal_moved.py`"
_BOUNDS = "`tests/receiver/test_receiver_bounds.py`"
_THINNING = "`tests/journal/test_journal_thinning.py`"
_PULSES = "`tests/pulses/test_counting.py`"

REPORTED = (
    Found("one 0x00 behind every reply on a serial line", "0 whole readings of 12", "11 of 12", _NOISE),
    Found("three 0x00 behind every reply", "0 of 12", "11 of 12", _NOISE),
    Found("control: no byte behind, two in front", "12 of 12", "11 of 12", _NOISE),
    Found(
        "Modbus TCP gateway that numbers its replies one too high",
        "0 of 12, “check its address and power”",
        "11 of 12, difference said",
        _REPLIES,
    ),
    Found("… that gives the same number for ever", "0 of 12", "11 of 12, difference said", _REPLIES),
    Found("… control: that gives 0", "12 of 12", "10 of 12; two check reads are paid for", _REPLIES),
    Found(
        "exception whose header says a length of 4",
        "9 of 20, reason `bad_frame`",
        "19 of 20, reason `exception_2`",
        _REPLIES,
    ),
    Found(
        "dongle that stays dead when asked within 2 s of connecting",
        "0 of 8, for ever",
        "8 of 8, pause learnt",
        _CONNECTIONS,
    ),
    Found("… that hangs up then", "0 of 8, for ever", "8 of 8, pause learnt", _CONNECTIONS),
    Found("… control: that ignores what comes too early", "7 of 8, after 20 s", "8 of 8", _CONNECTIONS),
    Found(
        "server that closes after each reply, three reads a poll",
        "0 of 10, two log lines a poll",
        "9 of 10, no line for it",
        _CONNECTIONS,
    ),
    Found(
        "meter that is deaf for 200 ms after its own answer",
        "0 of 18, lost",
        "18 of 18, pause learnt",
        _SILENT,
    ),
    Found("… control: 3 ms", "19 of 18", "19 of 18", _SILENT),
    Found(
        "gateway that waits 5 s for a dead meter before it says so, three meters beside it",
        "3, 3 and 7 of 24; “check its address”",
        "23 of 24 each, 20 on a machine with six times the work it can do; the dead one is said to be "
        "`exception_11`",
        _GATEWAYS,
    ),
    Found("… one meter beside it", "7 of 24", "23 of 24", _GATEWAYS),
    Found("… that waits 3 s", "22 of 24", "24 of 24", _GATEWAYS),
    Found(
        "… that waits 5 s for each of two dead ones, three beside them",
        "not tried",
        "34 of 36 each",
        _GATEWAYS,
    ),
    Found("… control: 0.3 s", "all", "11 of 12", _GATEWAYS),
    Found("broker with `max_packet_size 8192`, 25 meters", "0 batches, for ever", "all, cut to it", _LIMITS),
    Found(
        "broker with `message_size_limit 8192`, MQTT 3.1.1",
        "0 batches, for ever",
        "all; the message and its size are named",
        _LIMITS,
    ),
    Found("… control: a limit of 100 000", "all", "all", _LIMITS),
    Found(
        "broker with `max_qos 0`",
        "“check username, password_file, cert”",
        "named as what it is, with the broker's setting",
        _LIMITS,
    ),
    Found("byte order mark in a password file", "“Not authorized”", "the mark does no harm", _OUTSIDE),
    Found(
        "another master on the line that asks another unit each second",
        "25 to 29 of 30; not named",
        "27 of 30, named; no register is left out for it",
        _NOISE,
    ),
    Found(
        "name servers of which the first two are dead",
        "broker reached, no meter by name ever",
        "27 of 27 polls of six meters",
        _CONNECTING,
    ),
    Found(
        "no name server at all; then one that works",
        "page and commands stay quick; all back by itself",
        "the same",
        _CONNECTING,
    ),
    Found(
        "two gateways with one id, MQTT 3.1.1",
        "both named, 19 connections in 150 s, all delivered",
        "the same, 16 connections",
        "`tests/uplink/test_uplink_taken_over.py`",
    ),
    Found(
        "USB adapter pulled while nothing is read",
        "closed at once, read at the next poll",
        "the same",
        "`tests/field/test_bus_faults.py`",
    ),
    Found(
        "port without rights or in use; host unknown, refused, no route",
        "“cannot be opened”, with no reason",
        "the reason and its action, for each",
        _CONNECTING,
    ),
    Found(
        "journal's folder on a read-only file system at the start",
        "ends, and is started again every 2 s",
        "polls, and takes over when it can be written",
        "`tests/journal/test_journal_paths.py`",
    ),
    Found(
        "converter that sends a text 20 ms after connecting, serial frames over TCP",
        "23 of 25",
        "22 of 25",
        _REPLIES,
    ),
    Found(
        "… that sends it three times while it runs, over TCP and Modbus TCP",
        "24 and 25 of 25",
        "24 and 25 of 25",
        _REPLIES,
    ),
    Found(
        "SunSpec chain that ends with one 0x0000",
        "“refused with exception 2”, nothing is read",
        "read",
        "`tests/catalogue/test_sunspec_chains.py`",
    ),
    Found("… control: that ends by the book", "read", "read", "`tests/catalogue/test_sunspec_chains.py`"),
    Found(
        "converter that ends connections idle for 3 or 5 s",
        "13 of 12",
        "13 and 12 of 12, never “lost”",
        _CONNECTIONS,
    ),
    Found(
        "device that is busy (exceptions 5 and 6)",
        "absent with reason, never 0",
        "the same, 11 readings",
        "`tests/soak/test_faults_daemon.py`",
    ),
    Found("… 20 ms after connecting to Modbus TCP", "26 connections, nothing read", "25 of 25", _REPLIES),
    Found(
        "YAML anchors, merges, tags, tabs, duplicate keys",
        "work, or refused with the line",
        "the same",
        _OUTSIDE,
    ),
    Found('`host: "[::1]"`', "accepted, then “cannot be opened”", "refused with what to write", _OUTSIDE),
    Found("broker that dictates a keep-alive of 5 s", "one connection in 60 s", "the same", _LIMITS),
    Found(
        "two buses on one port, device or host",
        "accepted; one bus lost for ever",
        "refused by `check`, told by a daemon",
        _OUTSIDE,
    ),
    Found(
        "energy register that shows 0 once",
        "0.0 kWh delivered as good",
        "marked suspect, with an event",
        "`tests/field/test_counter_memory.py`",
    ),
    Found(
        "power as sign and amount (0x8064 for −100 W)",
        "“the table fits”, at −32.668 kW",
        "refused by weighing P against U·I; a table says `sign=bit15`",
        "`tests/commissioning/test_physics.py`",
    ),
    Found(
        "meter that takes fewer registers than its paper says (50, 50 and 30)",
        "8 or 9 of 9",
        "8 of 9",
        _SILENT,
    ),
    Found(
        "meter that is silent about one register where others refuse",
        "0 of 18, “check A and B”",
        "18 of 18, the register named",
        _SILENT,
    ),
)

ATTACKED = (
    Found(
        "journal deleted beside its intact WAL, or emptied",
        "16 of 54 readings gone in silence",
        "salvaged or told as damage",
        _EVIDENCE,
    ),
    Found(
        "journal unlinked or renamed under the daemon",
        "84 readings gone after a kill",
        "written again under its name",
        _MOVED,
    ),
    Found(
        "folder, dangling link or FIFO in the journal's place",
        "nothing taken, or the start hangs",
        "moved aside",
        "`tests/journal/test_journal_paths.py`",
    ),
    Found(
        "journal of a newer version",
        "no polling, a restart every 2 s",
        "polls, keeps in memory, says so",
        "`tests/daemon/test_journal_daemon.py`",
    ),
    Found(
        "older copy put back",
        "told as a conflict only",
        "no number is given out again, what is missing is told",
        _EVIDENCE,
    ),
    Found(
        "terminal escapes in a gateway's message",
        "reach terminal and log, 3 of 3",
        "shown as code points",
        "`tests/common/test_text.py`",
    ),
    Found(
        "one gateway with 60 000 gaps",
        "others wait 17 s for their receipts",
        "work a look is linear and bounded",
        _BOUNDS,
    ),
    Found(
        "small message that becomes megabytes of rows",
        "6 800-fold",
        "bounded by the contract, refused",
        _BOUNDS,
    ),
    Found(
        "page asked as `Host: evil.example`",
        "answered in full",
        "421",
        "`tests/status/test_status_server.py`",
    ),
    Found(
        "slow requests from 40 addresses",
        "page and `/healthz` gone",
        "the longest unfinished one goes, `/healthz` has room",
        "`tests/status/test_status_server.py`",
    ),
    Found(
        "budget of 400 digits, `per_unit: .inf`, pipe or device as the file",
        "tracebacks, hangs, or “good”",
        "a problem with file and line",
        _OUTSIDE,
    ),
    Found("a megabyte of meters or aliases", "over 60 s", "judged soon, bounded", _OUTSIDE),
    Found(
        "one wrong hour of a hardware clock",
        "no trust until that date",
        "the kernel's word outranks it",
        "`tests/host/test_clock.py`",
    ),
    Found(
        "systemd's exposure of the unit; a password file that others may read",
        "5.9; not said",
        "at most 2.5; told by `check` and daemon",
        "`tests/daemon/test_sandbox.py`, `test_daemon.py`",
    ),
    Found(
        "thinning that spares batches here and there",
        "backlog grows for ever though all is delivered",
        "what is gone is settled",
        _THINNING,
    ),
    Found(
        "batch of a later epoch that told what was thinned is thinned too",
        "5 000 batches neither held nor told",
        "told again",
        _THINNING,
    ),
    Found("readings given up for room", "said nowhere", "on page, API, CLI and log", _THINNING),
    Found(
        "one of two platforms stops answering",
        "the other waits as well",
        "it waits for nobody; the silent one is named",
        "`tests/uplink/test_uplink_consumers.py`",
    ),
    Found("budget of 1 MB", "one overflow takes 94 % of the journal", "lots by bytes", _THINNING),
    Found(
        "copied card: two gateways with one identity",
        "both send again what one had stored",
        "the owner of the stored content does not",
        "`tests/uplink/test_uplink_consumers.py`",
    ),
    Found(
        "uplink whose url is changed and changed back",
        "8 of 79 batches sent",
        "an account is a name and an address",
        "`tests/uplink/test_uplink_consumers.py`",
    ),
    Found(
        "pulses: journal lost or replaced",
        "register falls to `start` in silence",
        "second copy; told until it was set",
        "`tests/pulses/test_pulse_daemon.py`",
    ),
    Found(
        "pulses: disk full, all inputs taken out and put back",
        "190 → 65",
        "no fall",
        "`tests/pulses/test_pulse_daemon.py`",
    ),
    Found("pulses: 50 reloads while edges are under way (modelled)", "8 of 378 lost", "0", _PULSES),
    Found("pulses: 50 reloads inside chatter", "8 too many", "0", _PULSES),
    Found("pulses: line that rises slowly after its resistor is set", "one pulse a start", "0", _PULSES),
    Found("pulses: infinite `start` or `per_unit`", "“good”, then all inputs fail", "refused", _OUTSIDE),
    Found(
        "pulses: `set` while the journal is full",
        "“done”, and lost by a kill",
        "not on disk yet, and said so",
        "`tests/pulses/test_pulse_daemon.py`",
    ),
    Found(
        "pulses: contact faster than its limits",
        "register stands still in silence",
        "readings suspect, told once",
        _PULSES,
    ),
)


def _table(rows: tuple[Found, ...]) -> str:
    lines = ["| fault | before | after | held by |", "|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {row.fault} | {row.before} | {row.after} | {row.held_by} |" for row in rows)]
    )


def section() -> str:
    """The chapter of the page."""
    return f"""## What other people's reports found

Faults that others have met with other programs, from public issue trackers and manuals,
were rebuilt as devices and brokers and tried
on this gateway. *Before* and *after* are readings that were whole, of as many as there were polls,
or what was said. Twelve of
twelve and eleven of twelve are the same: the last poll or the first one may fall outside the count.

{_table(REPORTED)}

Attacks of our own on files, messages, the page, clocks and contacts broke these:

{_table(ATTACKED)}
"""
