"""What the page, the API and the metrics show: plain frozen facts of one moment, filled by the daemon.

Conventions: a wall time is UTC in ms, an age or a span is in s, `None` means that nobody knows. Ages are
those at the moment of the snapshot. Nothing here is text for the page, apart from names and error lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MeterState = Literal["starting", "answering", "partial", "lost", "disabled"]
"""starting: not polled yet. answering: the last poll brought everything. partial: some values are absent.
lost: no answer.
"""

BusState = Literal["idle", "open", "down", "lent"]
"""idle: nothing has been asked yet. open: the port or the connection stands. down: it cannot be opened. lent:
a command on this machine has it for a while, and its meters are not read.
"""

JournalState = Literal["ok", "full", "salvaging", "failed", "newer"]
"""full: readings wait in memory. salvaging: a damaged file is being read beside the new one. failed: commits
do not succeed.

newer: a newer version of the program wrote the file, which is left alone; readings wait in memory."""

UplinkState = Literal["idle", "connecting", "connected", "waiting", "refused", "taken over", "stopped"]
"""waiting: not reachable, tried again soon. refused: the broker said no. taken over: another one uses this
gateway's name.
"""

Quality = Literal["good", "suspect", "stale", "absent"]

Remark = Literal[
    "register_unsure", "too_fast", "being_swapped", "unidentified", "register_still", "register_unsteady"
]
"""register_unsure: nobody knows whether the register is what the meter's display shows. too_fast: the contact
gives pulses faster than its limits let them be counted. unidentified: it may be another meter than before,
and its serial number has not been read since. register_still: it has not counted for three quarter hours or
more, although there was power in each. register_unsteady: it goes back and forth.
"""

STALE_POLLS = 3
STALE_LEAST = 30.0
"""A value is stale when it is older than three of its intervals, and than 30 s."""


@dataclass(frozen=True, slots=True)
class ValueView:
    """One quantity of one meter, as last seen.

    `quantity` is a word of the vocabulary (unit, labels and OBIS code stand there); `value` is in its unit,
    None when absent; `age` in s since it was read, None when never; `interval` in s between two polls of it;
    `decimals` to show, None when the driver does not say; `absent` is the reason of the last poll, empty when
    it brought the value.
    """

    quantity: str
    value: float | None
    age: float | None
    interval: float = 10.0
    decimals: int | None = None
    absent: str = ""
    suspect: bool = False
    given: bool = False
    """Whether the meter has given it since its table or its place last changed, also before a restart."""

    @property
    def stale(self) -> bool:
        """Whether the number is too old to be called live."""
        return self.age is None or self.age > max(STALE_POLLS * self.interval, STALE_LEAST)

    @property
    def quality(self) -> Quality:
        """One word, the worst that is true."""
        if self.value is None:
            return "absent"
        if self.stale:
            return "stale"
        return "suspect" if self.suspect else "good"


@dataclass(frozen=True, slots=True)
class FactView:
    """What is known of a line or a meter: `name` and `value` as in the configuration, `since` (ms) when it
    was learnt; None: configured. `values` are what the table has in the registers of a `skip`, by name.
    """

    name: str
    value: str
    since: int | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterView:
    """A meter on a bus or a pulse input.

    `label` is what a person calls it, `feeds` what it measures, `parent` the id of the meter above it or
    empty; `bus` and `address` say where it is (None for a pulse input), `driver` its table, `model` maker and
    model in words; `interval` in s; `since` is the time (ms) at which `state` began; `age` in s since the
    last answer, None when it never answered; `missing` the reason why the last poll brought nothing; `error`
    the last error in words; `attributes` by name as in the vocabulary; `learnt` what is known of it beside
    the table; `remarks` what else a person should see to; `exchanged` are the serial
    numbers, old and new, of a meter that answers in another one's place, while nobody has confirmed it.
    """

    id: str
    label: str
    state: MeterState
    bus: str
    address: int | None
    driver: str
    model: str = ""
    feeds: str = ""
    parent: str = ""
    interval: float = 10.0
    since: int | None = None
    age: float | None = None
    values: tuple[ValueView, ...] = ()
    missing: str = ""
    error: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    learnt: tuple[FactView, ...] = ()
    remarks: tuple[Remark, ...] = ()
    exchanged: tuple[str, ...] = ()
    damaged: bool = False
    """Whether what came in place of its last answer was damaged: it is not silent."""
    unsteady: tuple[str, ...] = ()
    """The registers that go back and forth, by quantity."""
    stranger: tuple[str, ...] = ()
    """Register with what it holds, and what the meters of its table have there, when it is another model."""
    nameless: str = ""
    """The register by which the meters of its table are known, when this one does not have it."""

    def value(self, quantity: str) -> ValueView | None:
        """The view of one quantity; None when the meter does not have it."""
        return next((view for view in self.values if view.quantity == quantity), None)


@dataclass(frozen=True, slots=True)
class BusView:
    """A line or a connection.

    `kind` is serial, tcp or rtu-over-tcp; `where` the port or host:port; `since` (ms) when `state` began.
    Counted since the start of the daemon: `requests` sent, `timeouts`, `bad_frames`, `exceptions` (the meter
    said no). `turnaround` in ms is the mean time a meter needs before it answers; `load` is the part of the
    last minute that the bus was busy, 0 to 1. `error` is why it is down in words, `cause` the same as a word
    of `gateway.errors.Cause`; both empty while it is not. `learnt` is what is known of the line beside its
    configuration; `label` what a person calls it, `name` where it is empty. `counted_since` (ms) is when
    counting began: at the start, and anew at each reload.
    """

    name: str
    kind: str
    where: str
    state: BusState
    since: int | None = None
    requests: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    exceptions: int = 0
    turnaround: float | None = None
    load: float | None = None
    error: str = ""
    cause: str = ""
    learnt: tuple[FactView, ...] = ()
    label: str = ""
    counted_since: int | None = None

    @property
    def called(self) -> str:
        """What a person calls it."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class JournalView:
    """What is kept on this gateway.

    `epoch` and `seq` name the newest committed batch, `newest` (ms) is its time by the clock as it is now;
    `batches`, `readings` and `bytes` count what is kept, `budget` (bytes) what may be; `room_days` is how
    long an outage may last before thinning starts, at the pace of the last `room_basis` s; `taken` and
    `not_taken` count readings committed since the file was begun, and given up since the start, `pending`
    those of the open slot and those that wait for room; `slot` in s is what a power cut costs at most.
    `thinned` batches with `thinned_readings` had to make room undelivered since the journal was begun: of the
    time from `thinned_since` to `thinned_until`, last at `thinned_at` (ms). `lost` batches of the time from
    `lost_since` to `lost_until` went for good with a damaged or missing file, which was found at `lost_at`
    (ms, None while the clock has not been right since); `let_go` readings were never stored, because the disk
    refused for too long, which was told at `let_go_at`, also before a restart. With less room than
    `warn_days` a person is told. `cause` is why it cannot be written, as far as that is known: permission.
    `unopened`: the file could not be opened, so that what it holds, and what waits, is not known.
    """

    epoch: str
    seq: int
    state: JournalState = "ok"
    newest: int | None = None
    batches: int = 0
    readings: int = 0
    bytes: int = 0
    budget: int = 0
    room_days: float | None = None
    room_basis: float | None = None
    taken: int = 0
    not_taken: int = 0
    pending: int = 0
    slot: float = 10.0
    thinned: int = 0
    thinned_readings: int = 0
    thinned_since: int | None = None
    thinned_until: int | None = None
    thinned_at: int | None = None
    lost: int = 0
    lost_since: int | None = None
    lost_until: int | None = None
    lost_at: int | None = None
    let_go: int = 0
    let_go_at: int | None = None
    warn_days: float = 7.0
    error: str = ""
    cause: str = ""
    unopened: bool = False


@dataclass(frozen=True, slots=True)
class UplinkView:
    """A platform that we deliver to.

    `where` is host:port without credentials; `since` (ms) when `state` began; `backlog_batches`,
    `backlog_readings` and `backlog_oldest` (ms) describe what waits; `held` counts batches kept back until
    the clock is right; `delivered` counts batches since `counted_since` (ms); `receipts` tells whether the
    platform confirms what it stored, `last_receipt` (ms) when it last did, `last_delivery` (ms) when
    something last counted as delivered. `cause` is why the broker takes nothing, as a word of
    gateway.mqtt.reasons, empty while it does; `set_aside` counts batches that it does not take although it
    takes others, `set_aside_cause` says why; `left_out` are topics beside that of the batches whose newest
    message is larger than it takes. `hangs_up` tells that the newest connection ended with batches on their
    way and none taken, `refused_topics` are those that we may not hear, of `consumers` that confirm those in
    `silent` owe it. `done_at` (ms) is when a backlog that shrinks will be delivered at its present speed,
    None while it does not shrink; `spread` (s) is what its begin may be put off after an outage. `label` is
    what a person calls it. `salvaged` counts batches of damaged files that wait beside the backlog.
    `skipped` counts readings that came too late for a platform which takes live values only.
    `certificate_ends` (ms) is when the first of its certificates ends, None while it names none. What waits
    for longer than `late_after` (s) is late. `in_vain` (s) is how long it has been connected with something
    to deliver since anything last counted as delivered, however often the connection was made anew meanwhile.
    """

    name: str
    where: str
    state: UplinkState
    since: int | None = None
    backlog_batches: int = 0
    backlog_readings: int = 0
    backlog_oldest: int | None = None
    held: int = 0
    delivered: int = 0
    receipts: bool = True
    last_receipt: int | None = None
    error: str = ""
    last_delivery: int | None = None
    cause: str = ""
    set_aside: int = 0
    set_aside_cause: str = ""
    left_out: tuple[str, ...] = ()
    salvaged: int = 0
    skipped: int = 0
    refused_topics: tuple[str, ...] = ()
    consumers: int = 0
    silent: tuple[str, ...] = ()
    done_at: int | None = None
    spread: float = 0.0
    label: str = ""
    counted_since: int | None = None
    certificate_ends: int | None = None
    late_after: float = 60.0
    hangs_up: bool = False
    in_vain: float = 0.0
    protocol: str = ""
    """The version of MQTT of the newest connection since the start; empty before the first one."""

    @property
    def called(self) -> str:
        """What a person calls it."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class ClockView:
    """Whether anybody vouches for the wall time; `source` is the configured trust: kernel, rtc or system.

    `hold` (s) is how long readings of an unset clock wait before they are sent as such.
    """

    synced: bool
    source: str = "kernel"
    hold: float = 300.0


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life of a thread or a task: `age` in s since the last one, alive while it is at most
    `limit` s.
    """

    name: str
    age: float
    limit: float

    @property
    def alive(self) -> bool:
        """Whether its heartbeat is younger than its patience."""
        return self.age <= self.limit


@dataclass(frozen=True, slots=True)
class UpgradeView:
    """The newest upgrade: from version `before` to `after`, decided at `at` (ms) for the reason `why`.

    `id` names its outcome, empty while it is on trial. `outcome` is trial (nothing is decided), kept, taken
    back (the version before runs again), failed (neither is whole) or not installed (it was refused).
    """

    id: str
    outcome: str
    before: str
    after: str
    why: str = ""
    at: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteView:
    """What the platform may do from afar: over which `uplink`, which `commands`; how many were carried out
    (`done`), failed (`failed`) and, by reason, `refused` since the start; the change that is on `trial`.
    """

    uplink: str
    commands: tuple[str, ...] = ()
    done: int = 0
    failed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    trial: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, at one moment: `taken` is its wall time (ms), `booted` its CLOCK_BOOTTIME (ms), `uptime`
    the daemon's age in s.

    `timezone` is an IANA name; `language` (tr or en) is used for who asks for neither. `problems` are lines
    that the daemon itself wants a person to read: a refused configuration, a slow adapter.
    """

    gateway: str
    name: str
    version: str
    timezone: str
    language: str
    taken: int
    booted: int
    uptime: float
    clock: ClockView
    journal: JournalView
    meters: tuple[MeterView, ...] = ()
    buses: tuple[BusView, ...] = ()
    uplinks: tuple[UplinkView, ...] = ()
    beats: tuple[Beat, ...] = ()
    problems: tuple[str, ...] = ()
    upgrade: UpgradeView | None = None
    remote: RemoteView | None = None
    refused: int = 0
    """Mistakes for which the newest reload was refused: the configuration before it goes on."""
    mistakes: int = 0
    """Mistakes of the configuration that runs, with which a reload would be refused."""
    screen: bool = False
    """Whether the lobby screen is shown."""
    key: str = ""
    """The fingerprint of the gateway's signing key; empty while there is none."""
    own: MeterView | None = None
    """The gateway itself as a meter; None where it is none. It does not belong to the building's `meters`."""
    in_short: int = 0
    """So many lines at the beginning of `problems` are told in short by `refused` and `mistakes`."""
    service: tuple[str, str] = ("", "")
    """Whom to call about the building: name and telephone number."""
    history: str = ""
    """Why the history of quarter hours cannot be kept; empty while it can."""

    @property
    def everything(self) -> tuple[MeterView, ...]:
        """The meters, and the gateway itself."""
        return (*self.meters, self.own) if self.own else self.meters

    def meter(self, meter_id: str) -> MeterView | None:
        """The meter of that id, which may be the gateway itself; None when there is none."""
        return next((meter for meter in self.everything if meter.id == meter_id), None)
