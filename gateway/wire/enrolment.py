"""How a gateway gets its certificate: what it asks for on P/enroll/request, and what comes back on
P/enroll/answer. Pure: bytes ⇄ models.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from gateway.wire.messages import PlainText, SmallMessage

RequestId = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class EnrolmentRequest(SmallMessage):
    """A certificate request (PKCS #10, PEM) and what shows that its sender may ask.

    `proof` is base64. `by` token: HMAC-SHA256 of `proven` under the SHA-256 of the one-time token; `by` key:
    ECDSA with SHA-256 over `proven`, by the key of a certificate that is valid now.
    """

    id: RequestId
    gateway: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    csr: Annotated[str, Field(max_length=4096)]
    by: Literal["token", "key"]
    proof: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=]{1,200}$")]


class EnrolmentAnswer(SmallMessage):
    """The certificate (PEM); or with `ok` false, why there is none."""

    id: RequestId
    ok: bool
    certificate: Annotated[str, Field(max_length=8192)] | None = None
    error: PlainText | None = None


def proven(gateway: str, csr: bytes) -> bytes:
    """What a proof is made over: the gateway's id, and the request's DER."""
    return b"submeter enrolment 1\n" + gateway.encode() + b"\n" + hashlib.sha256(csr).digest()
