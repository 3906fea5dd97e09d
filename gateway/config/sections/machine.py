"""The section `health`: the meter that the gateway itself is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.units import Duration

OWN_ID = "gateway"
"""The id of that meter: no other may have it."""


class HealthSection(BaseModel):
    """How often the gateway reads itself, as the meter `gateway`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    enabled: bool = True
    interval: Annotated[Duration, Field(ge=10.0, le=86400.0)] = 60.0
