"""Every key of the configuration, its type, default and bounds. The commented sample in config/ is its
documentation.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.common.address import BrokerAddress
from gateway.config.places import a_broker, a_host, a_listener, a_name, a_port, place_of, plain_text
from gateway.config.sections.backup import BackupSection
from gateway.config.sections.building import BuildingSection
from gateway.config.sections.dialects import FiwareSection, HomeAssistantSection, SparkplugSection
from gateway.config.sections.machine import OWN_ID, CardSection, HealthSection, Pin, PinsSection
from gateway.config.sections.remote import RemoteSection
from gateway.config.sections.transformer import Transformed
from gateway.config.units import Duration, Number, Ratio, RegisterSpan, Size, Switch

MAX_REGISTER = 1e12
"""What a register can show: the upper bound of volume and energy in the vocabulary of quantities."""
MAX_PULSES = 1000.0
"""A second."""
REPLY_RULE = re.compile(r"asked|swapped|own|[+-]\d{1,5}|=\d{1,5}")
"""How a field of replies follows from what was asked."""
UPLINK_FILES = ("password_file", "ca", "cert", "key", "token_file")
"""Keys of an uplink that name a file."""
ID_PATTERN = r"^[a-z0-9-]{1,32}$"
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Name = Annotated[str, AfterValidator(a_name), Field(min_length=1, max_length=100)]
"""What people call something: no character in it that is not seen, or that turns what stands behind it."""
Text = Annotated[str, Field(max_length=4096), AfterValidator(plain_text)]
"""What is passed on as it stands: a path, a user name."""


def _a_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is not a time zone: write one like Europe/Istanbul") from error
    return value


def _a_parity(value: object) -> object:
    # YAML 1.2 keeps N a string, but a hurried hand writes n or "none".
    return (
        {"none": "N", "even": "E", "odd": "O"}.get(value.lower(), value.upper())
        if isinstance(value, str)
        else value
    )


def _a_serial(value: object) -> object:
    # Serial numbers are often written without quotes.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _a_class(value: object) -> object:
    # 0.5 and 1 are numbers to YAML.
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _a_rule(value: object) -> str:
    # YAML reads +1 and -1 as numbers.
    text = f"{value:+d}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if not REPLY_RULE.fullmatch(text) or (text[0] == "=" and int(text[1:]) > 0xFFFF):
        raise ValueError(
            "is no rule for a field of replies: write asked, =0 or another constant, +1, -1, swapped, or own"
        )
    return text


def _a_protocol(value: object) -> int | str:
    if value == "own" or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF):
        return value
    raise ValueError("is no protocol of replies: write a number from 0 to 65535, or own")


class Section(BaseModel):
    """A part of the file: unknown keys are mistakes, never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class GatewaySection(Section):
    """The section `gateway`: id, name, time zone and language of this gateway."""

    id: Id
    name: Name = "Submeter Gateway"
    timezone: Annotated[str, AfterValidator(_a_zone)] = "Europe/Istanbul"
    commit_interval: Annotated[Duration, Field(ge=1.0, le=60.0)] = 10.0


class ClockSection(Section):
    """Whose word we take for the wall time, and how long to hold what an unsynced boot has taken."""

    trust: Literal["kernel", "rtc", "system"] = "kernel"
    hold: Annotated[Duration, Field(ge=0.0, le=86400.0)] = 300.0


Pause = Annotated[Duration, Field(ge=0.0, le=30.0)]
Unit = Annotated[int, Field(ge=0, le=255)]
ReplyRule = Annotated[str, BeforeValidator(_a_rule)]
ReplyProtocol = Annotated[int | str, BeforeValidator(_a_protocol)]


class SerialBus(Section):
    """An RS-485 line behind a serial port."""

    name: Id
    label: Name | None = None
    type: Literal["serial"]
    port: Annotated[str, Field(max_length=4096), AfterValidator(a_port)]
    baudrate: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    parity: Annotated[Literal["N", "E", "O"], BeforeValidator(_a_parity)] = "N"
    stopbits: Literal[1, 2] = 1
    direction_pin: Pin | None = None
    """Of an RS-485 driver that does not switch by itself: high while a request is sent."""
    timeout: Annotated[Duration, Field(ge=0.05, le=10.0)] | None = None
    silence: Pause | None = None

    @property
    def setting(self) -> str:
        """How bytes stand on it, like 9600 8N1."""
        return f"{self.baudrate} 8{self.parity}{self.stopbits}"

    @property
    def place(self) -> str:
        """Where it is, as commands take it."""
        return self.port


class TcpBus(Section):
    """A Modbus TCP server, or a serial converter that passes RTU frames over TCP."""

    name: Id
    label: Name | None = None
    type: Literal["tcp", "rtu-over-tcp"]
    host: Annotated[str, Field(max_length=253), AfterValidator(a_host)]
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    baudrate: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    """Of the line behind a converter (rtu-over-tcp): the first guess of the cost model."""
    timeout: Annotated[Duration, Field(ge=0.05, le=10.0)] | None = None
    silence: Pause | None = None
    connect_pause: Pause | None = None
    requests_per_connection: Annotated[int, Field(ge=0, le=1000)] | None = None
    reply_number: ReplyRule | None = None
    reply_length: ReplyRule | None = None
    reply_protocol: ReplyProtocol | None = None
    reply_unit: Unit | None = None

    @property
    def place(self) -> str:
        """Where it is, as commands take it."""
        return place_of(self.host, self.port)


Bus = Annotated[SerialBus | TcpBus, Field(discriminator="type")]


class Meter(Section, Transformed):
    """A meter on a bus."""

    id: Id
    name: Name | None = None
    bus: Id
    address: Annotated[int, Field(ge=0, le=255)] = 1
    driver: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    interval: Annotated[Duration, Field(ge=0.0, le=86400.0)] = 10.0
    slow_interval: Annotated[Duration, Field(ge=0.0, le=86400.0)] | None = None
    serial: (
        Annotated[str, BeforeValidator(_a_serial), Field(max_length=64), AfterValidator(plain_text)] | None
    ) = None
    identity: Switch = True
    """Whether its table's identity register is looked at; no: its name plate was compared."""
    ct: Ratio = 1.0
    vt: Ratio = 1.0
    values: Literal["primary", "secondary"] = "primary"
    class_: Annotated[
        Literal["A", "B", "C", "0.2", "0.5", "1", "2"], BeforeValidator(_a_class), Field(alias="class")
    ] = "B"
    """Accuracy class of the meter: EN 50470 (A, B, C) or IEC 62053 (per cent)."""
    ct_class: Annotated[Literal["0.1", "0.2", "0.5", "1", "3"], BeforeValidator(_a_class)] | None = None
    """Accuracy class of its current transformers; None: it has none, or it is not known."""
    parent: Id | None = None
    feeds: Name | None = None
    timeout: Annotated[Duration, Field(ge=0.05, le=30.0)] | None = None
    pause: Pause | None = None
    silence: Pause | None = None
    max_registers: Annotated[int, Field(ge=1, le=125)] | None = None
    skip: Annotated[tuple[RegisterSpan, ...], Field(strict=False, max_length=200)] | None = None
    reply_unit: Unit | None = None
    reply_count: Literal["bytes", "registers"] | None = None
    sleeps_after: Pause | None = None
    answers: Literal["all", "every_second"] | None = None
    enabled: Switch = True

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.name or self.id

    @property
    def slow(self) -> float:
        """The interval of the slow class in seconds: once a minute unless the fast class is slower."""
        return (
            max(self.interval, 60.0) if self.slow_interval is None else max(self.slow_interval, self.interval)
        )


class Pulse(Section):
    """A meter with a pulse output (S0, dry contact) on a GPIO pin."""

    id: Id
    name: Name | None = None
    pin: Pin
    per_unit: Annotated[Number, Field(ge=1e-4, le=1e6)]
    quantity: Literal["volume", "active_energy_import", "active_energy_export", "heat_energy"] = (
        "active_energy_import"
    )
    start: Annotated[Number, Field(ge=0.0, le=MAX_REGISTER)] = 0.0
    min_width: Annotated[Duration, Field(ge=0.0, le=10.0)] = 0.03
    min_gap: Annotated[Duration, Field(ge=0.0, le=10.0)] = 0.03
    max_rate: Annotated[Number, Field(ge=0.001, le=MAX_PULSES)] | None = None
    pull: Literal["up", "down", "none"] = "up"

    @property
    def limits(self) -> tuple[float, float, float]:
        """(min_width s, min_gap s, max_rate pulses/s) as they are used: what is not written follows from what
        is.

        A greatest rate leaves a pulse and its gap no more than half of a period each; a width and a gap allow
        no more than one pulse in both, and a tenth for jitter.
        """
        width, gap, rate = self.min_width, self.min_gap, self.max_rate
        if rate is None:
            both = width + gap
            return width, gap, min(MAX_PULSES, 1.1 / both) if both else MAX_PULSES
        half = 0.45 / rate
        written = self.model_fields_set
        return (
            width if "min_width" in written else min(width, half),
            gap if "min_gap" in written else min(gap, half),
            rate,
        )

    @property
    def fastest(self) -> float:
        """Pulses a second beyond which `min_width` and `min_gap` let none be counted."""
        width, gap, _ = self.limits
        return 1 / (width + gap) if width + gap else MAX_PULSES

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.name or self.id


class Uplink(Section):
    """A platform to deliver to."""

    name: Id
    label: Name | None = None
    url: Annotated[str, Field(max_length=2048), AfterValidator(a_broker)]
    username: Text | None = None
    password_file: Text | None = None
    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None
    token_file: Text | None = None
    """The one-time token of the first certificate; it is of use until `cert` is there."""
    enroll_url: Annotated[str, Field(max_length=2048), AfterValidator(a_broker)] | None = None
    """Where that certificate is asked for; by default at `url`."""
    protocol: Literal["auto", "5.0", "3.1.1"] = "auto"
    dialect: Literal["native", "homeassistant", "thingsboard", "fiware", "sparkplug"] = "native"
    homeassistant: HomeAssistantSection = HomeAssistantSection()
    fiware: FiwareSection = FiwareSection()
    sparkplug: SparkplugSection = SparkplugSection()
    receipts: Annotated[tuple[Id, ...], Field(strict=False)] = ()
    compress: Switch = True
    replay: Switch = True
    spread: Annotated[Duration, Field(ge=0.0, le=3600.0)] = 60.0
    late_after: Annotated[Duration, Field(ge=1.0, le=7 * 86400.0)] = 60.0
    """What waits for longer is late, and told; never less than three commit intervals."""
    backlog_rate: Annotated[Number, Field(ge=0.0, le=100000.0)] = 50.0
    keepalive: Annotated[Duration, Field(ge=2.0, le=3600.0)] = 20.0
    """A half-open connection is noticed within two of these; a proxy's limit for silence must be longer."""
    formerly: Annotated[str, Field(pattern=r"^\S{1,253}:\d{1,5}(/\S*)?$")] | None = None
    """The address, host:port, that the same platform had before: what counted as delivered there counts
    on.
    """

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file is not used without username: write username too")
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: write both or neither")
        if self.token_file is not None and self.cert is None:
            raise ValueError(
                "token_file brings a certificate: write where it shall be, cert and key, both "
                f"/var/lib/submeter/{self.name}.pem"
            )
        if self.enroll_url is not None and self.token_file is None:
            raise ValueError("enroll_url is not used without token_file: write token_file too")
        if not self.broker.tls and (self.ca or self.cert):
            raise ValueError("ca, cert and key need TLS: write mqtts:// or wss:// in url")
        if self.receipts and self.dialect != "native":
            raise ValueError(f"receipts are not known to {self.dialect}: leave them out")
        for other in {"homeassistant", "fiware", "sparkplug"} & self.model_fields_set - {self.dialect}:
            raise ValueError(f"{other} is not used with dialect: {self.dialect}")
        return self

    @property
    def broker(self) -> BrokerAddress:
        """Where the broker is."""
        return BrokerAddress.of(self.url)

    @property
    def account(self) -> str:
        """Under what the journal counts as delivered: the name and a fingerprint of the address. Another
        broker has another account.
        """
        path = urlsplit(self.url).path if self.broker.websockets else ""
        where = (self.formerly or f"{self.broker}{path}").lower()
        return f"{self.name}@{hashlib.blake2b(where.encode(), digest_size=3).hexdigest()}"


class StatusSection(Section):
    """The page on the local network."""

    listen: Annotated[str, AfterValidator(a_listener)] = "0.0.0.0:8080"
    names: Annotated[
        tuple[Annotated[str, Field(max_length=253), AfterValidator(a_host)], ...], Field(strict=False)
    ] = ()
    """Host names, beside this machine's own, under which visitors reach it."""
    language: Literal["tr", "en"] = "tr"
    enabled: Switch = True
    screen: Switch = False
    """Whether /screen shows the building to people who pass by, on a screen in the lobby."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class JournalSection(Section):
    """Where readings are kept, and how much room they may take."""

    directory: Text = "/var/lib/submeter"
    budget: Annotated[Size, Field(ge=1_000_000, le=10**15)] = 4_000_000_000
    warn: Annotated[Duration, Field(ge=0.0, le=366 * 86400.0)] = 7 * 86400.0
    """With room for less than this, should the platform be away, a person is told."""


class DriversSection(Section):
    """Where a technician's own driver tables are."""

    directory: Text = "/etc/submeter/drivers"


class Config(Section):
    """A whole configuration file, checked."""

    gateway: GatewaySection
    clock: ClockSection = ClockSection()
    buses: Annotated[tuple[Bus, ...], Field(strict=False)] = ()
    meters: Annotated[tuple[Meter, ...], Field(strict=False)] = ()
    pulses: Annotated[tuple[Pulse, ...], Field(strict=False)] = ()
    uplinks: Annotated[tuple[Uplink, ...], Field(strict=False)] = ()
    status: StatusSection = StatusSection()
    building: BuildingSection = BuildingSection()
    journal: JournalSection = JournalSection()
    drivers: DriversSection = DriversSection()
    backup: BackupSection = BackupSection()
    health: HealthSection = HealthSection()
    remote: RemoteSection = RemoteSection()
    pins: PinsSection = PinsSection()
    card: CardSection = CardSection()

    @property
    def own_interval(self) -> float | None:
        """Seconds between two readings that the gateway takes of itself. None: it is no meter of its own, as
        where somebody has given that id to another.
        """
        others = {meter.id for meter in self.meters} | {pulse.id for pulse in self.pulses}
        return self.health.interval if self.health.enabled and OWN_ID not in others else None
