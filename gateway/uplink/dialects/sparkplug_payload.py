"""Sparkplug B's payload: the messages of its protobuf schema that we say and hear.

Field numbers and types are those of `sparkplug_b.proto`, Eclipse Sparkplug specification 3.0.0, appendix. The
schema is given to the protobuf library as data, so that no generated code stands in the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from gateway.errors import WireError

UINT64, DOUBLE, BOOLEAN, STRING, INT32 = 8, 10, 11, 12, 3
"""Data types of metrics and properties."""
GOOD, STALE, BAD = 192, 500, 0
"""Values of the property Quality."""

_TYPES = descriptor_pb2.FieldDescriptorProto
_SCHEMA = {
    "PropertyValue": [("type", 1, "UINT32"), ("is_null", 2, "BOOL"), ("int_value", 3, "UINT32"),
                      ("string_value", 8, "STRING")],
    "PropertySet": [("keys", 1, "*STRING"), ("values", 2, "*PropertyValue")],
    "Metric": [("name", 1, "STRING"), ("alias", 2, "UINT64"), ("timestamp", 3, "UINT64"),
               ("datatype", 4, "UINT32"), ("is_historical", 5, "BOOL"), ("is_null", 7, "BOOL"),
               ("properties", 9, "PropertySet"), ("long_value", 11, "UINT64"), ("double_value", 13, "DOUBLE"),
               ("boolean_value", 14, "BOOL"), ("string_value", 15, "STRING")],
    "Payload": [("timestamp", 1, "UINT64"), ("metrics", 2, "*Metric"), ("seq", 3, "UINT64")],
}  # fmt: skip


def _payload_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            scalar = kind.lstrip("*")
            entry = message.field.add(name=field_name, number=number)
            entry.label = _TYPES.LABEL_REPEATED if kind.startswith("*") else _TYPES.LABEL_OPTIONAL
            if scalar in _SCHEMA:
                entry.type, entry.type_name = _TYPES.TYPE_MESSAGE, f".sparkplug.{scalar}"
            else:
                entry.type = getattr(_TYPES, f"TYPE_{scalar}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


_Payload = _payload_class()


@dataclass(frozen=True, slots=True)
class Metric:
    """One value; `None` is a value that is not there. `properties` are strings and whole numbers."""

    name: str
    t: int
    value: float | int | bool | str | None
    datatype: int = DOUBLE
    historical: bool = False
    properties: dict[str, str | int] = field(default_factory=dict)


def encode(t: int, metrics: list[Metric], seq: int | None) -> bytes:
    """A payload, `t` being when it is sent, in ms UTC; `seq` is left out of a death."""
    payload = _Payload()
    payload.timestamp = t  # type: ignore[attr-defined]  # fields of a class that is made from data
    if seq is not None:
        payload.seq = seq  # type: ignore[attr-defined]
    for metric in metrics:
        _write(payload.metrics.add(), metric)  # type: ignore[attr-defined]
    return payload.SerializeToString()


def _write(entry: Message, metric: Metric) -> None:
    values: dict[str, object] = {"name": metric.name, "timestamp": metric.t, "datatype": metric.datatype}
    kind = {DOUBLE: "double_value", UINT64: "long_value", BOOLEAN: "boolean_value", STRING: "string_value"}
    if metric.value is None:
        values["is_null"] = True
    else:
        values[kind[metric.datatype]] = metric.value
    if metric.historical:
        values["is_historical"] = True
    for name, value in values.items():
        setattr(entry, name, value)
    for key, said in metric.properties.items():
        entry.properties.keys.append(key)  # type: ignore[attr-defined]
        one = entry.properties.values.add()  # type: ignore[attr-defined]
        one.type = STRING if isinstance(said, str) else INT32
        setattr(one, "string_value" if isinstance(said, str) else "int_value", said)


def asks_for_rebirth(payload: bytes) -> bool:
    """Whether a node command asks for the birth messages again. Raises WireError."""
    command = _Payload()
    try:
        command.ParseFromString(payload)
    except DecodeError as error:
        raise WireError(f"not a Sparkplug payload: {error}") from error
    metrics = command.metrics  # type: ignore[attr-defined]
    return any(one.name == "Node Control/Rebirth" and one.boolean_value for one in metrics)
