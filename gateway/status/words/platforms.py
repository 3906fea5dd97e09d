"""Why a platform is not reached, or takes nothing, in the visitor's words: the causes of an uplink."""

from __future__ import annotations

from gateway.status.words.language import Locale

_THEIRS = (
    "topic_filter",
    "topic_name",
    "payload",
    "own_rule",
    "administrative",
    "no_reason",
    "quota",
    "rate",
    "unknown_code",
)
"""Causes that the platform's operator must remove."""


def why(cause: str, f: Locale) -> str:
    """The reason for which there is no connection or nothing is taken, as a sentence; empty when the state
    says it all.
    """
    _ = f.gettext
    known = {
        "no_reason": _("Its broker gives no reason."),
        "unreadable": _("Its broker could not read what was sent."),
        "protocol_error": _("In the eyes of its broker the gateway breaks the protocol."),
        "broke_protocol": _("Its broker breaks the protocol."),
        "own_rule": _("Its broker has a rule of its own against it."),
        "version": _("Its broker does not speak this version of MQTT."),
        "client_id": _("Its broker does not take the name of this gateway."),
        "credentials": _("User name or password is wrong."),
        "not_authorized": _("This gateway is not authorised there."),
        "unavailable": _("Its broker is not available at the moment."),
        "busy": _("Its broker is too busy."),
        "banned": _("Its broker has banned this gateway."),
        "shutting_down": _("Its broker is shutting down."),
        "authentication": _("Its broker wants another way to authenticate."),
        "keep_alive": _("Its broker heard nothing from this gateway for too long."),
        "taken_over": _("Another gateway has taken its place there."),
        "taken_over_perhaps": _(
            "Its broker ends the connection again and again, perhaps because another gateway has the same "
            "name."
        ),
        "topic_filter": _("Its broker does not allow what this gateway wants to hear."),
        "topic_name": _("Its broker does not allow the topics of this gateway."),
        "packet_id": _("Its broker lost count of the messages."),
        "receive_maximum": _("More messages were on their way than its broker allows."),
        "topic_alias": _("Its broker found a topic alias that was never sent."),
        "too_large": _("A message is larger than its broker allows."),
        "rate": _("Messages come faster than its broker allows."),
        "quota": _("A quota at its broker is used up."),
        "administrative": _("An administrator ended the connection."),
        "payload": _("Its broker does not allow what a message holds."),
        "retain": _("Its broker keeps no retained messages."),
        "qos": _(
            "Its broker takes messages only without acknowledgement (QoS 0); readings are not sent like that."
        ),
        "other_server": _("Its broker wants the gateway to use another server for the moment."),
        "moved": _("Its broker has moved to another server."),
        "shared": _("Its broker has no shared subscriptions."),
        "subscription_id": _("Its broker has no subscription identifiers."),
        "wildcard": _("Its broker has no wildcard subscriptions."),
        "connection_rate": _("Connections come faster than its broker allows."),
        "connect_time": _("The time that its broker allows for a connection was over."),
        "unknown_code": _("Its broker gives a reason that the standard does not know."),
        "no_answer": _("Its broker does not answer; perhaps that port is no MQTT broker."),
        "silent": _("Its broker has fallen silent."),
        "ended": _("Its broker ended the connection without a reason."),
        "unreachable": _("No way to its broker was found, or nothing answers there."),
        "expired": _("The certificate of its broker has expired: this gateway does not talk to it."),
        "not_yet_valid": _(
            "The certificate of its broker is not valid yet: this gateway does not talk to it."
        ),
        "wrong_host": _(
            "The certificate of its broker is for another name: this gateway does not talk to it."
        ),
        "unknown_ca": _(
            "The certificate of its broker is signed by an authority that this gateway does not know."
        ),
        "tls": _("An encrypted connection to its broker cannot be made."),
        "clock": _("Its broker's certificate cannot be checked until this gateway knows the right time."),
    }
    return known.get(cause, "")


def action(cause: str, f: Locale) -> str:
    """What to do about it; empty when the state says what."""
    _ = f.gettext
    operator = _("Tell the platform's operator.")
    settings = _("Tell the maintenance firm: the gateway's configuration must be changed.")
    known = {
        "credentials": _("Tell the platform's operator: name, password or certificate is not accepted."),
        "not_authorized": _("Tell the platform's operator: name, password or certificate is not accepted."),
        "authentication": _("Tell the platform's operator: name, password or certificate is not accepted."),
        "version": settings,
        "client_id": operator,
        "banned": operator,
        "qos": _("Tell the platform's operator: the broker must allow QoS 1."),
        "too_large": _("Tell the platform's operator: the broker must allow larger messages."),
        "retain": _("Tell the platform's operator: the broker must allow retained messages."),
        "other_server": settings,
        "moved": settings,
        "taken_over": _("Each gateway needs an id of its own: tell the maintenance firm."),
        "taken_over_perhaps": _("Each gateway needs an id of its own: tell the maintenance firm."),
        "no_answer": settings,
        "expired": _("Tell the platform's operator: the certificate of its broker must be renewed."),
        "not_yet_valid": _("Look at the clock of the gateway; if it is right, tell the platform's operator."),
        "wrong_host": _(
            "Tell the maintenance firm: the key url must name the broker as its certificate does."
        ),
        "unknown_ca": _(
            "Tell the maintenance firm: the key ca must name the certificate of the authority that signed "
            "the broker's."
        ),
        "tls": _("Tell the maintenance firm: the keys url, ca, cert and key must fit the broker."),
        "clock": _("Nothing to do: it is tried again until then."),
    }
    known |= dict.fromkeys(_THEIRS, operator)
    return known.get(cause, "")
