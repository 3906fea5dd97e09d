"""Topic names of the native dialect. P = submeter/v1/<gateway-id>."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one gateway."""

    gateway: str

    @property
    def prefix(self) -> str:
        """The beginning of all topics of this gateway, which docs/wire calls P."""
        return f"submeter/v1/{self.gateway}"

    @property
    def data(self) -> str:
        """Batches, from the gateway."""
        return f"{self.prefix}/data"

    @property
    def state(self) -> str:
        """Retained state and Last Will, from the gateway."""
        return f"{self.prefix}/state"

    @property
    def meters(self) -> str:
        """Retained description of every meter, from the gateway."""
        return f"{self.prefix}/meters"

    def receipt(self, consumer: str) -> str:
        """Receipts of one consumer, to the gateway."""
        return f"{self.prefix}/receipt/{consumer}"

    @property
    def replay(self) -> str:
        """Replay commands, to the gateway."""
        return f"{self.prefix}/cmd/replay"

    @property
    def reply(self) -> str:
        """Answers to commands, from the gateway."""
        return f"{self.prefix}/reply"

    def command(self, name: str) -> str:
        """Signed commands of remote care, to the gateway."""
        return f"{self.prefix}/cmd/{name}"

    @property
    def backup(self) -> str:
        """The retained small backup, from the gateway."""
        return f"{self.prefix}/backup"

    @property
    def enrolment_request(self) -> str:
        """What a gateway asks to have certified, from the gateway."""
        return f"{self.prefix}/enroll/request"

    @property
    def enrolment_answer(self) -> str:
        """The certificate, or why there is none, to the gateway."""
        return f"{self.prefix}/enroll/answer"
