"""What a meter's `ct` says beside its quotient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, model_validator

from gateway.config.units import primary_of


class Transformed(BaseModel):
    """A meter behind current transformers whose primary side is known where it was written."""

    _ct_primary: float | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _sides(cls, written: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        meter = handler(written)
        if isinstance(written, Mapping):
            meter._ct_primary = primary_of(written.get("ct"))  # noqa: SLF001 its own
        return meter

    @property
    def ct_primary(self) -> float | None:
        """A: the primary current of its transformers; None where `ct` is a quotient, which does not say
        it.
        """
        return self._ct_primary
