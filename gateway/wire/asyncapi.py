"""docs/wire/asyncapi.yaml: the wire as AsyncAPI 3 has it, made from the models and topics of the code."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from gateway.wire.batch import SCHEMA, Batch, BatchMessage, encode
from gateway.wire.care import CareReply, SignedCommand
from gateway.wire.enrolment import EnrolmentAnswer, EnrolmentRequest
from gateway.wire.messages import Receipt, Replay, Reply, State
from gateway.wire.meters import MetersMessage
from gateway.wire.topics import Topics

_P = Topics("{gateway}")
_GATEWAY = {"description": "The gateway's id: 1 to 32 characters of a-z, 0-9 and -"}
_CONSUMER = {"description": "Whose receipts: as under `receipts:` of the gateway's uplink", "default": "city"}
_COMMAND = {"description": "A command of remote care, such as update or config"}
_ABOUT = """What a Submeter gateway and a platform say to each other over MQTT, QoS 1. The application here \
is the gateway: what it sends, a platform receives. The rules (key, receipts, gaps, clock) are in \
README.md beside this file; a platform that ignores keys it has gets every reading exactly once."""
_SEALED = "SmallBackup"
"""A message that is no JSON: nobody but its gateway's owner can open it."""
_CHANNELS: tuple[tuple[str, str, str, tuple[type[BaseModel] | str, ...], bool, str], ...] = (
    ("data", _P.data, "send", (BatchMessage,), False, "Batches of readings, JSON or JSON in zlib (0x78)"),
    ("state", _P.state, "send", (State,), True, "Whether it is online; also the Last Will"),
    ("meters", _P.meters, "send", (MetersMessage,), True, "What it measures"),
    ("reply", _P.reply, "send", (Reply, CareReply), False, "What became of a command"),
    ("receipt", _P.receipt("{consumer}"), "receive", (Receipt,), False, "What a consumer has committed"),
    ("replay", _P.replay, "receive", (Replay,), False, "Send these batches again"),
    (
        "command",
        _P.command("{command}"),
        "receive",
        (SignedCommand,),
        False,
        "Signed commands, off by default",
    ),
    ("backup", _P.backup, "send", (_SEALED,), True, "Its small backup, encrypted; off until configured"),
    ("enrolmentRequest", _P.enrolment_request, "send", (EnrolmentRequest,), False, "What is to be certified"),
    (
        "enrolmentAnswer",
        _P.enrolment_answer,
        "receive",
        (EnrolmentAnswer,),
        False,
        "The certificate, or why not",
    ),
)
"""(name, topic, what the gateway does, messages, retained, in words)."""


def document() -> dict[str, Any]:
    """The whole document, of plain dicts and lists."""
    models = {
        message.__name__: message
        for *_, messages, _kept, _words in _CHANNELS
        for message in messages
        if not isinstance(message, str)
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Submeter on the wire",
            "version": SCHEMA.rpartition("/")[2],
            "description": _ABOUT,
        },
        "defaultContentType": "application/json",
        "servers": {
            "platform": {
                "host": "platform.example:8883",
                "protocol": "secure-mqtt",
                "description": "The platform's broker; MQTT 5, or 3.1.1 where it knows no other",
            }
        },
        "channels": {
            name: _channel(topic, messages, words) for name, topic, _, messages, _, words in _CHANNELS
        },
        "operations": {
            f"{action}{name[0].upper()}{name[1:]}": _operation(name, action, messages, kept)
            for name, _, action, messages, kept, _ in _CHANNELS
        },
        "components": {"messages": _messages(models), "schemas": _schemas(models)},
    }


def _name(message: type[BaseModel] | str) -> str:
    return message if isinstance(message, str) else message.__name__


def _channel(topic: str, messages: tuple[type[BaseModel] | str, ...], words: str) -> dict[str, Any]:
    known = {"gateway": _GATEWAY, "consumer": _CONSUMER, "command": _COMMAND}
    return {
        "address": topic,
        "description": words,
        "parameters": {name: about for name, about in known.items() if f"{{{name}}}" in topic},
        "messages": {
            _name(message): {"$ref": f"#/components/messages/{_name(message)}"} for message in messages
        },
    }


def _operation(
    name: str, action: str, messages: tuple[type[BaseModel] | str, ...], kept: bool
) -> dict[str, Any]:
    bindings = {"qos": 1, "retain": kept} if action == "send" else {"qos": 1}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{_name(message)}"} for message in messages],
        "bindings": {"mqtt": bindings},
    }


def _messages(models: dict[str, type[BaseModel]]) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}} for name in models
    }
    told[_SEALED] = {
        "name": _SEALED,
        "contentType": "application/octet-stream",
        "payload": {
            "type": "string",
            "contentEncoding": "binary",
            "maxLength": 65536,
            "description": "`submeter-backup/1`, a line feed, a line of JSON that names for whom it is, "
            "and what only its key opens",
        },
    }
    batch = Batch("izm-konak-017", "b7f2c6d05a91e3f4", 41822, 1795278300000, 81234567, "synced")
    told["BatchMessage"]["examples"] = [{"payload": json.loads(encode(batch))}]
    receipt = Receipt(epoch=batch.epoch, upto=41800, have=[[41802, 41822]])
    told["Receipt"]["examples"] = [{"payload": json.loads(receipt.to_bytes())}]
    return told


def _schemas(models: dict[str, type[BaseModel]]) -> dict[str, Any]:
    """Every model and what it is made of, side by side: in one document each has one address."""
    found: dict[str, Any] = {}
    for name, model in models.items():
        schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[name] = schema
    return found
