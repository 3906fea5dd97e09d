"""Why a platform is not reached, or takes nothing, in the visitor's words: the causes of an uplink."""

from __future__ import annotations

from gateway.status.words.language import N_, Locale

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


OURS = {"expired", "not_yet_valid", "wrong_host", "unknown_ca", "tls", "clock", "own_files"}
"""Causes for which it is not the platform that refuses this gateway."""


_WHY = {
    "no_reason": N_("Its broker gives no reason."),
    "unreadable": N_("Its broker could not read what was sent."),
    "protocol_error": N_("In the eyes of its broker the gateway breaks the protocol."),
    "broke_protocol": N_("Its broker breaks the protocol."),
    "refused_or_broken": N_("Its broker refuses the connection, or breaks the protocol."),
    "own_rule": N_("Its broker has a rule of its own against it."),
    "version": N_("Its broker does not speak this version of MQTT."),
    "client_id": N_("Its broker does not take the name of this gateway."),
    "credentials": N_("User name or password is wrong."),
    "not_authorized": N_("This gateway is not authorised there."),
    "unavailable": N_("Its broker is not available at the moment."),
    "busy": N_("Its broker is too busy."),
    "banned": N_("Its broker has banned this gateway."),
    "shutting_down": N_("Its broker is shutting down."),
    "authentication": N_("Its broker wants another way to authenticate."),
    "keep_alive": N_("Its broker heard nothing from this gateway for too long."),
    "taken_over": N_("Another gateway has taken its place there."),
    "taken_over_perhaps": N_(
        "Its broker ends the connection again and again, perhaps because another gateway has the same name."
    ),
    "topic_filter": N_("Its broker does not allow what this gateway wants to hear."),
    "topic_name": N_("Its broker does not allow the topics of this gateway."),
    "packet_id": N_("Its broker lost count of the messages."),
    "receive_maximum": N_("More messages were on their way than its broker allows."),
    "topic_alias": N_("Its broker found a topic alias that was never sent."),
    "too_large": N_("A message is larger than its broker allows."),
    "rate": N_("Messages come faster than its broker allows."),
    "quota": N_("A quota at its broker is used up."),
    "administrative": N_("An administrator ended the connection."),
    "payload": N_("Its broker does not allow what a message holds."),
    "retain": N_("Its broker keeps no retained messages."),
    "qos": N_(
        "Its broker takes messages only without acknowledgement (QoS 0); readings are not sent like that."
    ),
    "other_server": N_("Its broker wants the gateway to use another server for the moment."),
    "moved": N_("Its broker has moved to another server."),
    "shared": N_("Its broker has no shared subscriptions."),
    "subscription_id": N_("Its broker has no subscription identifiers."),
    "wildcard": N_("Its broker has no wildcard subscriptions."),
    "connection_rate": N_("Connections come faster than its broker allows."),
    "connect_time": N_("The time that its broker allows for a connection was over."),
    "unknown_code": N_("Its broker gives a reason that the standard does not know."),
    "no_answer": N_("Its broker does not answer; perhaps that port is no MQTT broker."),
    "silent": N_("Its broker does not answer."),
    "short_silence": N_("Something on the way ends connections in which nothing is said for seconds."),
    "ended": N_("Its broker ended the connection without a reason."),
    "unknown_name": N_("The name of its broker is not known."),
    "no_name_server": N_("No name server answers, so its broker is not found."),
    "nobody_listens": N_("The machine of its broker answers, but no broker listens at that port."),
    "no_route": N_("The network knows no way to its broker."),
    "unreachable": N_("No way to its broker was found, or nothing answers there."),
    "expired": N_("The certificate of its broker has expired: this gateway does not talk to it."),
    "not_yet_valid": N_("The certificate of its broker is not valid yet: this gateway does not talk to it."),
    "wrong_host": N_("The certificate of its broker is for another name: this gateway does not talk to it."),
    "unknown_ca": N_(
        "The certificate of its broker is signed by an authority that this gateway does not know."
    ),
    "tls": N_("An encrypted connection to its broker cannot be made."),
    "own_files": N_("A file of this gateway that the connection needs cannot be used."),
    "clock": N_("Its broker's certificate cannot be checked until this gateway knows the right time."),
}
"""The reason for which there is no connection or nothing is taken, as a sentence."""


def why(cause: str, f: Locale) -> str:
    """The sentence for a cause; empty when the state says it all."""
    return f.gettext(_WHY[cause]) if cause in _WHY else ""


def action(cause: str, f: Locale) -> str:
    """What to do about it; empty when the state says what."""
    _ = f.gettext
    operator = _("Tell the platform's operator.")
    settings = _("Tell the maintenance firm: the gateway's configuration must be changed.")
    network = _("Check the building's internet connection, and the network of this gateway.")
    known = {
        "credentials": _("Tell the platform's operator: name, password or certificate is not accepted."),
        "not_authorized": _(
            "Tell the platform's operator: name, password or certificate is not accepted, or the access "
            "list does not allow this gateway its topics."
        ),
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
        "broke_protocol": operator,
        "refused_or_broken": operator,
        "unknown_name": _(
            "Check how the name is written in `url`; if it is right, tell the platform's operator."
        ),
        "no_name_server": _("Check the building's internet connection, the router, and the name servers."),
        "nobody_listens": _("Check the port in `url`; if it is right, tell the platform's operator."),
        "silent": _(
            "Check the building's internet connection; if it works, tell the platform's operator that the "
            "broker does not answer."
        ),
        "short_silence": _(
            "Nothing to do at first: the connection is kept busy now. If it lasts, tell the maintenance "
            "firm: a shorter `keepalive` may help."
        ),
        "no_route": network,
        "unreachable": network,
        "expired": _("Tell the platform's operator: the certificate of its broker must be renewed."),
        "not_yet_valid": _("Look at the clock of the gateway; if it is right, tell the platform's operator."),
        "wrong_host": _(
            "Tell the maintenance firm: the key `url` must name the broker as its certificate does."
        ),
        "unknown_ca": _(
            "Tell the maintenance firm: the key `ca` must name the certificate of the authority that signed "
            "the broker's."
        ),
        "tls": _("Tell the maintenance firm: the keys `url`, `ca`, `cert` and `key` must fit the broker."),
        "own_files": _(
            "Tell the maintenance firm: sudo submeter check --here names the file of `ca`, `cert`, `key` or "
            "`password_file` and what is wrong with it; if it finds nothing: "
            "sudo systemctl restart submeter-gateway"
        ),
        "clock": _("Nothing to do: it is tried again until then."),
    }
    known |= dict.fromkeys(_THEIRS, operator)
    return known.get(cause, "")
