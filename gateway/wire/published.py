"""The JSON Schemas of every message: docs/wire/ is made from them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.wire.batch import BatchMessage
from gateway.wire.care import CareReply, CommandStatement, SignedCommand
from gateway.wire.enrolment import EnrolmentAnswer, EnrolmentRequest
from gateway.wire.messages import DayManifest, Receipt, Replay, Reply, State
from gateway.wire.meters import MetersMessage


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of every message, by file name: docs/wire/ is made from them."""
    models: dict[str, type[BaseModel]] = {
        "batch": BatchMessage,
        "care-reply": CareReply,
        "command": SignedCommand,
        "command-statement": CommandStatement,
        "enrolment-answer": EnrolmentAnswer,
        "enrolment-request": EnrolmentRequest,
        "manifest": DayManifest,
        "meters": MetersMessage,
        "receipt": Receipt,
        "replay": Replay,
        "reply": Reply,
        "state": State,
    }
    return {
        name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **model.model_json_schema(by_alias=True),
        }
        for name, model in models.items()
    }
