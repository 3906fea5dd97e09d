"""The section `backup`: to whom a backup is encrypted, and where the nightly ones go."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.config.places import plain_text

RECIPIENT = "x25519:"


def _a_recipient(text: str) -> str:
    """A public key as `submeter backup --new-key` prints it."""
    try:
        raw = base64.b64decode(text.removeprefix(RECIPIENT), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(RECIPIENT) or len(raw) != 32:
        raise ValueError(f"is no recipient: write what submeter backup --new-key prints, {RECIPIENT}…")
    return text


class BackupSection(BaseModel):
    """Nothing is written until there is a recipient, and nothing by night until there is a directory or a
    platform, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    recipient: Annotated[str, Field(max_length=200), AfterValidator(_a_recipient)] | None = None
    directory: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(plain_text)] | None = None
    platform: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    """The uplink over which a small one goes to its platform every night."""
    keep: Annotated[int, Field(ge=1, le=366)] = 7
    """How many nightly ones stay."""
