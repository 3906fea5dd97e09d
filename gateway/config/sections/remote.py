"""The section `remote`: which platform may look after this gateway from afar, and how far. Nothing is on
until it is written.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.config.places import plain_text
from gateway.config.units import Duration

TRUST = "/etc/submeter/trust"


Command = Literal["read", "diagnostics", "config", "drivers", "update"]


class RemoteSection(BaseModel):
    """`uplink` carries the commands; `renew` is how long before its end its certificate is renewed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    uplink: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    commands: Annotated[tuple[Command, ...], Field(strict=False, max_length=10)] = ()
    trust: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(plain_text)] = TRUST
    """The folder with the public keys whose commands count."""
    renew: Annotated[Duration, Field(ge=86400.0, le=366 * 86400.0)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.uplink is None and (self.commands or self.renew):
            raise ValueError("uplink is missing: write the name of the uplink that carries this")
        return self
