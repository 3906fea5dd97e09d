"""The contract with the platform: batch ⇄ bytes, receipts, commands, topics. Pure."""

from gateway.wire.batch import (
    MAX_MESSAGE,
    MAX_PLAIN,
    SCHEMA,
    Batch,
    compress,
    decode,
    decompress,
    digest,
    encode,
    peek_gateway,
    with_header,
)
from gateway.wire.cut import split
from gateway.wire.messages import MAX_SMALL, DayManifest, Receipt, Replay, Reply, State, parse
from gateway.wire.topics import Topics

__all__ = [
    "MAX_MESSAGE",
    "MAX_PLAIN",
    "MAX_SMALL",
    "SCHEMA",
    "Batch",
    "DayManifest",
    "Receipt",
    "Replay",
    "Reply",
    "State",
    "Topics",
    "compress",
    "decode",
    "decompress",
    "digest",
    "encode",
    "parse",
    "peek_gateway",
    "split",
    "with_header",
]
