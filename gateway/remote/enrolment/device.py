"""The gateway's side of enrolment: its key never leaves it. A new key waits beside the old one until its
certificate is there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.common.files import NEXT, PENDING, read_regular
from gateway.errors import EnrolmentError
from gateway.host import write_secret
from gateway.remote.enrolment.keys import (
    Certificate,
    make_request,
    new_key,
    public_of,
    read_certificate,
    read_request,
    sign,
)
from gateway.wire.enrolment import EnrolmentRequest, proven

MAX_FILE = 64 * 1024
_END = b"-----END PRIVATE KEY-----\n"


def token_key(token: str) -> bytes:
    """What a token is known by to those who hold it: its SHA-256."""
    return hashlib.sha256(token.strip().encode()).digest()


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Who a gateway is at a broker: its id, and the files of certificate and key, which may be one file."""

    gateway: str
    cert: Path
    key: Path

    @property
    def _pending(self) -> Path:
        return self.key.with_name(self.key.name + PENDING)

    @property
    def _next(self) -> Path:
        return self.cert.with_name(self.cert.name + NEXT)

    def request(self) -> str:
        """The certificate request (PEM) of a key that waits for its certificate; the same one until that is
        installed.
        """
        with contextlib.suppress(OSError, EnrolmentError):
            waiting = read_regular(self._pending, MAX_FILE).partition(_END)[2].decode()
            if read_request(waiting).name == self.gateway:
                return waiting
        key = new_key()
        request = make_request(key, self.gateway)
        try:
            write_secret(self._pending, key + request)
        except OSError as error:
            raise EnrolmentError(
                f"{self._pending} cannot be written: {error.strerror}",
                hint="use sudo; to be renewed by the service, cert and key must lie in /var/lib/submeter",
            ) from error
        return request.decode()

    def ask_by_token(self, token: str) -> EnrolmentRequest:
        """What is sent for the first certificate. The token itself is not in it."""
        csr = self.request()
        data = proven(self.gateway, read_request(csr).der)
        return self._asked(csr, "token", hmac.digest(token_key(token), data, "sha256"))

    def ask_by_key(self) -> EnrolmentRequest:
        """What is sent for the next certificate, signed by the key of the present one."""
        csr = self.request()
        try:
            running = read_regular(self.key, MAX_FILE)
        except OSError as error:
            raise EnrolmentError(
                f"{self.key} cannot be read: {error.strerror}",
                hint="the first certificate needs a token: submeter enroll --token-file -",
            ) from error
        return self._asked(csr, "key", sign(running, proven(self.gateway, read_request(csr).der)))

    def _asked(self, csr: str, by: str, proof: bytes) -> EnrolmentRequest:
        return EnrolmentRequest.model_validate(
            {
                "id": secrets.token_hex(8),
                "gateway": self.gateway,
                "csr": csr,
                "by": by,
                "proof": base64.b64encode(proof).decode(),
            }
        )

    def install(self, certificate: str) -> Certificate:
        """Put key and certificate in their place, each whole or not at all. Raises EnrolmentError: what was
        there stays.

        Killed in between, `finish` ends it.
        """
        found = read_certificate(certificate.encode())
        try:
            key = read_regular(self._pending, MAX_FILE).partition(_END)
        except OSError as error:
            raise EnrolmentError(
                "no key waits for a certificate", hint="ask for one first: submeter enroll"
            ) from error
        pem = key[0] + key[1]
        if found.public != public_of(pem):
            raise EnrolmentError(
                "the certificate is for another key than the one that waits",
                hint="let the newest request be signed: submeter enroll prints it",
            )
        if found.name != self.gateway:
            raise EnrolmentError(
                f"the certificate is that of {found.name!r}, not of {self.gateway!r}",
                hint="let the request of this gateway be signed: submeter enroll prints it",
            )
        if found.authority or found.ends <= datetime.now(UTC):
            raise EnrolmentError(
                "the certificate is an authority's, or has ended by this machine's clock",
                hint="look at the clock (timedatectl), and install the certificate that submeter sign prints",
            )
        try:
            if self.cert == self.key:
                write_secret(self.key, found.pem.encode() + pem)
            else:
                write_secret(self._next, found.pem.encode())
                write_secret(self.key, pem)
                self._next.replace(self.cert)
            self._pending.unlink()
        except OSError as error:
            raise EnrolmentError(
                f"{error.filename or self.cert} cannot be written: {error.strerror}", hint="use sudo"
            ) from error
        return found

    def finish(self) -> None:
        """End an installation that was cut off in the middle. Raises EnrolmentError, OSError."""
        if not self._next.exists():
            return
        fresh = read_certificate(read_regular(self._next, MAX_FILE))
        if self.key.exists() and fresh.public == public_of(read_regular(self.key, MAX_FILE)):
            self._next.replace(self.cert)
            self._pending.unlink(missing_ok=True)
        elif self._pending.exists():
            self.install(fresh.pem)
        else:
            self._next.unlink()
