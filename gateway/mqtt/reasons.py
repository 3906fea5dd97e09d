"""What a broker's reason codes mean for the person who has to mend it, and what the uplink does about them.

Codes are those of MQTT 5, 2.4; paho translates the return codes of a 3.1.1 CONNACK to them. 3.1.1 has no
others: a refusal of a subscription is 0x80 there, and anything else is a closed socket (see suspects).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.common.text import visible
from gateway.errors import LinkDown, LinkRefused, LinkTakenOver, UplinkError
from gateway.mqtt.connack import SHOWN, may_be_connack, may_refuse, return_code
from gateway.mqtt.limits import LEAST_PACKET

TAKEN_OVER = 0x8E
UNSUPPORTED_VERSION = 0x84
CLIENT_ID = 0x85
NOT_AUTHORIZED = 0x87
RETAIN = 0x9A
TOO_LARGE = 0x95
PAYLOAD = 0x99
SHARED = 0x9E
WILL = 0x100
"""Beside the reason codes: a Last Will, which a broker may refuse for several reasons."""
MAY_BE_THE_WILL = frozenset({"no_reason", "own_rule", "not_authorized", "topic_name", "payload"})
"""Causes of a refused CONNECT that may lie in its Last Will alone."""
SILENCE = "short_silence"
"""Cause of an end that a ping may keep away."""
RETURN_CODES = {1: UNSUPPORTED_VERSION, 2: CLIENT_ID, 3: 0x88, 4: 0x86, 5: NOT_AUTHORIZED}
"""Those of a CONNACK of MQTT 3.1.1 that refuses (3.2.2.3), as reason codes."""
MAX_SAID = 200
"""Characters of a broker's own text that are shown."""

OPERATOR = "ask the broker's operator; the broker's log says more"
ACCESS_LIST = "allow it in the broker's access list, see config/mosquitto-acl.example"
LASTING = "nothing to do here; if it lasts, ask the broker's operator"


_NAME_SERVERS = "check the router and the name servers in /etc/resolv.conf"
_URL_NAME = "check how the host is written in url, and whether the name server knows it"
_NO_WAY = "check this machine's network and its way to the broker"
_OTHER_WAY = (
    "check that the port speaks what url begins with (mqtt, mqtts, ws or wss), and whether a firewall or a "
    "proxy cuts the connection"
)
_NO_UPGRADE = (
    "check port and path in url (/mqtt at most brokers, /ws at RabbitMQ), and whether a proxy on the way "
    "lets WebSockets through"
)
_NOTHING = "check host and port in url, whether the broker's machine runs, and firewalls between"
WHY_UNREACHABLE = {
    **dict.fromkeys((socket.EAI_NONAME, socket.EAI_NODATA), ("unknown_name", _URL_NAME)),
    **dict.fromkeys(
        (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY),
        ("no_name_server", _NAME_SERVERS),
    ),
    errno.ECONNREFUSED: ("nobody_listens", "check the port in url, and whether the broker runs"),
    **dict.fromkeys(
        (
            *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN),
            *(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL, socket.EAI_ADDRFAMILY),
        ),
        ("no_route", _NO_WAY),
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        ("no_route", "a firewall of this machine forbids it: allow connections to that host and port"),
    ),
    errno.ETIMEDOUT: ("silent", _NOTHING),
    **dict.fromkeys((errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE), ("no_answer", _OTHER_WAY)),
}
"""By number of the system's error: the word that page and API use, and what to do."""


class NoWay(LinkDown):
    """The way to a broker ends before it was asked for anything."""


def unreachable(error: OSError | UnicodeError, where: str = "") -> NoWay:
    """Why the way to a broker ends before it, with what to do; `where` is the name or address tried."""
    number = getattr(error, "errno", 0) or (errno.ETIMEDOUT if isinstance(error, TimeoutError) else 0)
    cause, hint = WHY_UNREACHABLE.get(number, ("unreachable", _NOTHING))
    if isinstance(error, ConnectionError) and not number:  # the library's own, of WebSockets
        cause, hint = "no_answer", _NO_UPGRADE
    if cause == "unknown_name" and "%" in where:
        cause, hint = "no_route", "plug its interface in, or write one in url that ip link lists"
    why = getattr(error, "strerror", None) or str(error)
    return NoWay(f"{where} cannot be reached: {why}".lstrip(), hint=hint, cause=cause)


@dataclass(frozen=True, slots=True)
class Meaning:
    """`cause` is the word that page and API use, `what` completes "the broker refuses …:", `mend` says
    what to do next.
    """

    cause: str
    what: str
    mend: str = OPERATOR


OTHER_MQTT = "write protocol: 3.1.1 and look whether it goes then; a proxy on the way may damage packets"
DAMAGED = f"a proxy on the way may damage packets; {OPERATOR}"
_AUTO = f"write protocol: auto; where that is written already, {OPERATOR}"
MEANINGS = {
    0x80: Meaning("no_reason", "it gives no reason"),
    0x81: Meaning("unreadable", "it could not read what we sent", OTHER_MQTT),
    0x82: Meaning("protocol_error", "what we sent is against the protocol in its eyes", OTHER_MQTT),
    0x83: Meaning("own_rule", "it is against a rule of its own"),
    0x84: Meaning("version", "it does not speak this version of MQTT", "write protocol: 3.1.1, or auto"),
    0x85: Meaning(
        "client_id",
        "it does not take our client id",
        "allow it at the broker, or shorten gateway id and uplink name",
    ),
    0x86: Meaning("credentials", "user name or password is wrong", "check username and password_file"),
    0x87: Meaning(
        "not_authorized",
        "we are not authorised",
        "check username, password_file, cert and the broker's access list",
    ),
    0x88: Meaning("unavailable", "it is not available at the moment", LASTING),
    0x89: Meaning("busy", "it is too busy", LASTING),
    0x8A: Meaning("banned", "this client is banned", "have the ban lifted at the broker"),
    0x8B: Meaning("shutting_down", "it is shutting down", LASTING),
    0x8C: Meaning(
        "authentication",
        "it wants another way to authenticate",
        "allow user name and password or a client certificate at the broker",
    ),
    0x8D: Meaning(
        "keep_alive",
        "it heard nothing from us within the keep-alive",
        "write a shorter keepalive; the line may lose packets",
    ),
    0x8E: Meaning(
        "taken_over",
        "another client has taken our id",
        "give each gateway an id of its own; a copied card needs one too",
    ),
    0x8F: Meaning("topic_filter", "it does not allow a topic filter like this", ACCESS_LIST),
    0x90: Meaning(
        "topic_name", "it does not allow a topic like this", "allow topics below submeter/v1/ at the broker"
    ),
    0x91: Meaning("packet_id", "it holds a packet identifier for used", LASTING),
    0x92: Meaning("packet_id", "it does not know a packet identifier", LASTING),
    0x93: Meaning("receive_maximum", "more messages were on their way than it allows", LASTING),
    0x94: Meaning("topic_alias", "it found a topic alias, and we send none", OTHER_MQTT),
    0x95: Meaning(
        "too_large",
        "a message is larger than it allows",
        "allow larger messages at the broker (mosquitto: max_packet_size)",
    ),
    0x96: Meaning("rate", "messages come faster than it allows", "write a lower backlog_rate"),
    0x97: Meaning(
        "quota", "a quota is used up", "have the quota raised at the broker, or write a lower backlog_rate"
    ),
    0x98: Meaning("administrative", "an administrator ended it"),
    0x99: Meaning(
        "payload",
        "it does not allow what the message holds",
        "allow JSON and zlib on P/data, or write compress: false",
    ),
    0x9A: Meaning(
        "retain",
        "it keeps no retained messages",
        "allow retained messages at the broker (mosquitto: retain_available true)",
    ),
    0x9B: Meaning(
        "qos",
        "it takes messages at QoS 0 only, which nobody vouches for, and readings are sent at QoS 1",
        "allow QoS 1 at the broker (mosquitto: max_qos 1), or use another broker",
    ),
    0x9C: Meaning(
        "other_server",
        "it wants us to use another server for the moment",
        "write the address of the other server in url",
    ),
    0x9D: Meaning("moved", "it has moved to another server", "write the new address in url"),
    0x9E: Meaning(
        "shared",
        "it has no shared subscriptions",
        "start a receiver for each range of gateways, with --gateway and without --share",
    ),
    0x9F: Meaning("connection_rate", "connections come faster than it allows", LASTING),
    0xA0: Meaning("connect_time", "the time it allows for a connection is over", LASTING),
    0xA1: Meaning("subscription_id", "it has no subscription identifiers, and we send none", OPERATOR),
    0xA2: Meaning(
        "wildcard", "it has no wildcard subscriptions", "name each gateway: submeter receive --gateway ID"
    ),
}

_PASSES = {0x80, 0x88, 0x89, 0x8B, 0x8D, 0x91, 0x92, 0x93, 0x95, 0x96, 0x97, 0x98, 0x9F, 0xA0}
"""What may be better soon without anybody's help; the rest waits for somebody to change something."""
_OTHER_VERSION = {0x81, 0x82, UNSUPPORTED_VERSION}
"""An answer to CONNECT with one of these may be a yes to another version of MQTT."""
_REFUSALS = {0x8C, 0x9B, 0x9C, 0x9D}
"""A DISCONNECT with one of these comes again until somebody changes something. Others may be about one
message: see suspects.
"""
_ORDERLY = {0x00, 0x04, 0x88, 0x89, 0x8B, 0x98, 0x9F, 0xA0}
"""The broker's own affairs: a DISCONNECT with one of these closes the connection and blames nobody."""


_ENDED = {
    "silent": "the broker has fallen silent",
    "broke_protocol": "the broker broke the protocol",
    "ended": "the connection was lost",
}


class NoConnack(LinkDown):
    """The broker closed the connection instead of answering CONNECT; MQTT 3.1.1 brokers do that to MQTT 5."""


class OddConnack(LinkDown):
    """What came instead of the answer to CONNECT is none that this version of MQTT has."""


class WrongVersion(LinkRefused):
    """The broker does not speak this version of MQTT, or cannot read what we say in it."""


class Unwelcome(LinkRefused):
    """CONNECT was refused for something that we can leave out: `code` is CLIENT_ID or RETAIN."""

    code = 0


def every_code(
    names: Mapping[int, Mapping[str, Iterable[int]]], packets: Iterable[int]
) -> dict[int, dict[str, list[int]]]:
    """The library's names of reason codes, for every code in every packet: it takes an unusual pair for a
    malformed packet.
    """
    table = {code: {name: list(where) for name, where in named.items()} for code, named in names.items()}
    for code in range(1, 0x100):
        entry = table.setdefault(code, {f"code 0x{code:02x}": []})
        known = {packet for where in entry.values() for packet in where}
        next(iter(entry.values())).extend(packet for packet in packets if packet not in known)
    return table


def meaning(code: int) -> Meaning:
    """Of a code that the standard does not have, too."""
    return MEANINGS.get(code) or Meaning(
        "unknown_code", f"reason code 0x{code:02x}, which MQTT does not know"
    )


def said(reason: object, server: object = None) -> str:
    """What the broker wrote beside its code, made harmless: `; it says "…"`. A server that it names is
    never followed.
    """
    text = f'; it says "{visible(str(reason), MAX_SAID)}"' if reason else ""
    return text + (
        f'; it names the server "{visible(str(server), MAX_SAID)}", which is not followed' if server else ""
    )


def no_connack(*, tls: bool, five: bool) -> UplinkError:
    """The connection ended before the broker said anything; MQTT `five` has words for why."""
    hint = "check that the port speaks MQTT" + (
        ", and whether the broker wants a client certificate (cert, key)" if tls else ""
    )
    if not (tls or five):
        hint = (
            "check that the port speaks MQTT, and the broker's log: one of MQTT 3.1.1 that takes no QoS 1 "
            "(mosquitto: max_qos) hangs up without a word"
        )
    return NoConnack("the broker closed the connection instead of answering", hint=hint, cause="no_answer")


def odd_connack(begun: bytes, *, five: bool) -> UplinkError:
    """Something came that is no answer to CONNECT, or that the library takes for none; `begun` is how it
    begins, empty when that was not seen.
    """
    # Of 3.1.1 the library takes a refused version, and a refused client id that is empty, for that.
    if not five and (code := return_code(begun)) in RETURN_CODES:
        return refusal(RETURN_CODES[code], five=False)
    if not five and may_refuse(begun):
        what = "the broker refuses MQTT 3.1.1 or our client id, or its answer to CONNECT is malformed"
        return OddConnack(what, hint=_AUTO, cause="refused_or_broken")
    if may_be_connack(begun):
        what = f"the broker's answer to CONNECT is malformed: it is none of MQTT {'5' if five else '3.1.1'}"
        return OddConnack(what, hint=_broken(five=five), cause="broke_protocol")
    if begun[:2] in {b"\x15\x03", b"\x16\x03"}:
        what, hint = "that port speaks TLS, which url does not ask for", "write mqtts:// or wss:// in url"
    elif begun.startswith(b"HTTP/"):
        what = "that port speaks HTTP, not MQTT"
        hint = "write the broker's port for MQTT in url, or ws:// with its path for MQTT in WebSockets"
    else:
        text = visible(begun.decode("latin-1"), SHOWN)
        what, hint = f'that port does not speak MQTT: it begins with "{text}"', "check host and port in url"
    return OddConnack(what, hint=hint, cause="no_answer")


_WITHOUT_KEYS = {
    OTHER_MQTT: DAMAGED,
    _AUTO: OPERATOR,
    MEANINGS[UNSUPPORTED_VERSION].mend: OPERATOR,
    MEANINGS[0x8D].mend: LASTING,
    MEANINGS[0x96].mend: OPERATOR,
    MEANINGS[0x97].mend: "have the quota raised at the broker",
}


def without_keys(hint: str) -> str:
    """What to do where the keys of the configuration that a hint names cannot be written: a command has
    none.
    """
    return _WITHOUT_KEYS.get(hint, hint)


def _broken(*, five: bool) -> str:
    """What to do about packets that are against the protocol, MQTT `five` or 3.1.1."""
    return OTHER_MQTT if five else DAMAGED


def ended(cause: str, *, five: bool) -> UplinkError:
    """The connection, of MQTT `five` or 3.1.1, is over, and the broker has not said why; `cause` is a key
    of _ENDED.
    """
    hint = _broken(five=five) if cause == "broke_protocol" else ""
    return LinkDown(_ENDED[cause], hint=hint, cause=cause)


def no_answer(seconds: float, to: str = "") -> UplinkError:
    """The broker has said nothing for too long; `to` is the packet that it has not answered, when it had
    accepted us before.
    """
    if to:
        what = f"the broker accepts the connection, and does not answer {to} within {seconds:g} s"
        return LinkDown(what, hint="look into the broker's log", cause="silent")
    return LinkDown(
        f"no answer within {seconds:g} s",
        hint="check that the port speaks MQTT, and whether a firewall or a proxy holds the connection",
        cause="silent",
    )


def refusal(code: int, words: str = "", *, five: bool = True) -> UplinkError:
    """CONNACK said no, to MQTT `five` or 3.1.1; `words` is what `said` gives."""
    known = meaning(code)
    text = f"the broker refuses the connection: {known.what} (0x{code:02x}){words}"
    if code in _OTHER_VERSION:
        return WrongVersion(text, hint=known.mend if five else _AUTO, cause=known.cause)
    if code in {CLIENT_ID, RETAIN}:
        unwelcome = Unwelcome(text, hint=known.mend, cause=known.cause)
        unwelcome.code = code
        return unwelcome
    return (LinkDown if code in _PASSES - {0x80} else LinkRefused)(text, hint=known.mend, cause=known.cause)


def useless(properties: object, most: int | None) -> UplinkError | None:
    """CONNACK said yes, and in its properties what makes that one useless: messages are taken at QoS 0 alone,
    or packets have at most so few bytes that no batch fits.
    """
    if getattr(properties, "MaximumQoS", 1) == 0:
        return refusal(0x9B)
    if most is None or most >= LEAST_PACKET:
        return None
    text = f"the broker takes packets of at most {most} bytes: no batch is that small"
    return LinkRefused(text, hint=MEANINGS[TOO_LARGE].mend, cause="too_large")


def farewell(code: int, words: str = "") -> UplinkError:
    """DISCONNECT came from the broker."""
    known = (
        Meaning("closed", "it closed it in good order", LASTING) if code in {0x00, 0x04} else meaning(code)
    )
    if code == TAKEN_OVER:
        text = (
            f"another client with our id has taken over the session: two gateways with one id? (0x8e){words}"
        )
        return LinkTakenOver(text, hint=known.mend, cause=known.cause)
    ended = "closed" if code in _ORDERLY else "ended"
    kind = LinkRefused if code in _REFUSALS else LinkDown
    return kind(
        f"the broker {ended} the connection: {known.what} (0x{code:02x}){words}",
        hint=known.mend,
        cause=known.cause,
    )
