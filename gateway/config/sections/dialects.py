"""What an uplink says of the platform whose dialect it speaks."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.units import Duration

LEVEL_PATTERN = r"^[^\s/+#$][^/+#\s]{0,63}$"
Level = Annotated[str, Field(pattern=LEVEL_PATTERN)]
"""One level of a topic."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)


class HomeAssistantSection(_Section):
    """`prefix` is the discovery prefix of Home Assistant."""

    prefix: Level = "homeassistant"
    expire_after: Annotated[Duration, Field(ge=10.0, le=86400.0)] = 300.0


class FiwareSection(_Section):
    """`apikey` is that of the service group at the IoT agent."""

    apikey: Level = "submeter"


class SparkplugSection(_Section):
    """`primary_host` is the id of the host application whose presence counts."""

    group: Level = "submeter"
    primary_host: Level | None = None
