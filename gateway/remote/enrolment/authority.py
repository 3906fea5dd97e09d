"""The platform's side of enrolment: who may have a certificate, and which were given. A database of its own.

A gateway's first certificate takes a one-time token that is bound to its id; each further one is asked for
with the key of one that is valid. The request's name must be the gateway's, and nothing else of the request
counts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.common.files import owner_of, write_durably
from gateway.errors import EnrolmentError
from gateway.host import write_secret
from gateway.remote.enrolment.device import token_key
from gateway.remote.enrolment.keys import (
    CertificateRequest,
    certify,
    is_signed,
    make_authority,
    make_revocations,
    read_request,
)
from gateway.wire.enrolment import EnrolmentRequest, proven

KEY, CERTIFICATE, DATABASE = "authority.key", "authority.pem", "sign.db"
REVOCATIONS = "revoked.pem"
"""The list of withdrawn certificates, for a broker (mosquitto: crlfile)."""
TOKEN_BYTES = 20
_ANEW = "let the gateway ask with a new key: submeter enroll"
_ONCE_MORE = "make a new token for the gateway: submeter sign token"
MOST_REFUSALS = 1000
"""Refusals that are remembered; the oldest give way."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
  key BLOB PRIMARY KEY, gateway TEXT NOT NULL, made INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER);
CREATE TABLE IF NOT EXISTS certificate (
  serial TEXT PRIMARY KEY, gateway TEXT NOT NULL, public BLOB NOT NULL UNIQUE, request BLOB NOT NULL UNIQUE,
  made INTEGER NOT NULL, ends INTEGER NOT NULL, pem TEXT NOT NULL, withdrawn INTEGER);
CREATE INDEX IF NOT EXISTS certificate_gateway ON certificate (gateway);
CREATE TABLE IF NOT EXISTS refusal (
  id INTEGER PRIMARY KEY, t INTEGER NOT NULL, gateway TEXT NOT NULL, why TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Given:
    """A certificate that was given: its serial number, whose, from when until when (Unix s), whether it was
    withdrawn.
    """

    serial: str
    gateway: str
    made: int
    ends: int
    withdrawn: int | None


class Authority:
    """What stands in a directory: the authority's key, its certificate, and its database. One process at a
    time writes.
    """

    def __init__(self, directory: Path, *, days: int = 365) -> None:
        """`days` is how long a certificate is valid. Raises EnrolmentError when there is no authority."""
        self._days = days
        self._revocations = directory / REVOCATIONS
        try:
            self._key = (directory / KEY).read_bytes()
            self.certificate = (directory / CERTIFICATE).read_bytes()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise EnrolmentError(
                f"{error.filename}: {error.strerror}",
                hint=f"submeter sign init --directory {directory}" if missing else "use sudo",
            ) from error
        self._database = sqlite3.connect(directory / DATABASE, timeout=30, isolation_level=None)
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    @classmethod
    def make(cls, directory: Path, name: str, years: int) -> Authority:
        """A new one. Raises EnrolmentError when there is one already."""
        if (directory / KEY).exists():
            raise EnrolmentError(
                f"there is an authority already: {directory / KEY}", hint="name another folder: --directory"
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, certificate = make_authority(name, years)
        (directory / CERTIFICATE).write_bytes(certificate)
        os.close(os.open(directory / DATABASE, os.O_CREAT | os.O_RDWR, 0o600))
        write_secret(directory / KEY, key)
        authority = cls(directory)
        authority._write_revocations()
        return authority

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def new_token(self, gateway: str, days: int) -> str:
        """A token for the first certificate of one gateway, good once and for so many days. Only its digest
        is kept.
        """
        token = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode()
        now = int(time.time())
        row = (token_key(token), gateway, now, now + days * 86400)
        with self._changing():
            self._database.execute("INSERT INTO token VALUES (?, ?, ?, ?, NULL)", row)
        return token

    def answer(self, topic: str, asked: EnrolmentRequest) -> str:
        """The certificate (PEM) for a request that came from the gateway `topic`.

        The same request again brings the same certificate: an answer may be lost. Raises EnrolmentError, and
        remembers it.
        """
        try:
            request = self._request(topic, asked.csr, asked.gateway)
            given = self._given(request)
            return given if given is not None else self._give(request, asked)
        except EnrolmentError as error:
            self.refused(topic, error.message)
            raise

    def certify(self, gateway: str, csr: str) -> str:
        """The certificate for a request that a person vouches for. Raises EnrolmentError."""
        request = self._request(gateway, csr)
        given = self._given(request)
        if given is not None:
            return given
        with self._changing():
            return self._keep(request)

    def _request(self, gateway: str, csr: str, says: str | None = None) -> CertificateRequest:
        request = read_request(csr)
        for name in (request.name, says or gateway):
            if name != gateway:
                raise EnrolmentError(
                    f"{gateway} asks for a certificate of {name}", hint=f"submeter sign certify {name}"
                )
        return request

    def _given(self, request: CertificateRequest) -> str | None:
        found = self._database.execute(
            "SELECT pem, ends, withdrawn FROM certificate WHERE request = ?",
            (hashlib.sha256(request.der).digest(),),
        ).fetchone()
        if found is None:
            return None
        pem, ends, withdrawn = found
        if withdrawn is not None or ends <= time.time():
            raise EnrolmentError("the certificate of this request was withdrawn or has ended", hint=_ANEW)
        return str(pem)

    def _give(self, request: CertificateRequest, asked: EnrolmentRequest) -> str:
        data = proven(request.name, request.der)
        try:
            proof = base64.b64decode(asked.proof, validate=True)
        except ValueError as error:
            raise EnrolmentError("the proof is not base64", hint=_ANEW) from error
        with self._changing():
            if asked.by == "token":
                self._spend(request.name, proof, data)
            else:
                self._must_run(request.name, proof, data)
            return self._keep(request)

    def _spend(self, gateway: str, proof: bytes, data: bytes) -> None:
        """Take the token that the proof was made with: it is good once."""
        rows = self._database.execute("SELECT key, gateway, expires, used FROM token").fetchall()
        for key, owner, expires, used in rows:
            if not hmac.compare_digest(hmac.digest(key, data, "sha256"), proof):
                continue
            if owner != gateway:
                raise EnrolmentError("the token is another gateway's", hint=_ONCE_MORE)
            if used is not None:
                raise EnrolmentError(f"the token was used on {_day(used)}", hint=_ONCE_MORE)
            if expires <= time.time():
                raise EnrolmentError(f"the token was good until {_day(expires)}", hint=_ONCE_MORE)
            self._database.execute("UPDATE token SET used = ? WHERE key = ?", (int(time.time()), key))
            return
        raise EnrolmentError("the token is not known", hint=_ONCE_MORE)

    def _must_run(self, gateway: str, proof: bytes, data: bytes) -> None:
        """Whether the proof was made with the key of a certificate of this gateway that is valid now."""
        rows = self._database.execute(
            "SELECT public, ends, withdrawn FROM certificate WHERE gateway = ?", (gateway,)
        )
        for public, ends, withdrawn in rows.fetchall():
            if not is_signed(public, proof, data):
                continue
            if withdrawn is not None:
                raise EnrolmentError(
                    f"the certificate of this key was withdrawn on {_day(withdrawn)}", hint=_ONCE_MORE
                )
            if ends <= time.time():
                raise EnrolmentError(f"the certificate of this key ended on {_day(ends)}", hint=_ONCE_MORE)
            return
        raise EnrolmentError(
            "the request is not signed by a key of this gateway that was certified here", hint=_ONCE_MORE
        )

    def _keep(self, request: CertificateRequest) -> str:
        made = certify(request, self._key, self.certificate, timedelta(days=self._days))
        digest = hashlib.sha256(request.der).digest()
        times = int(time.time()), int(made.ends.timestamp())
        row = (made.serial, made.name, made.public, digest, *times, made.pem)
        try:
            self._database.execute("INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
        except sqlite3.IntegrityError as error:
            raise EnrolmentError(
                "the key was certified before: each certificate has its own", hint=_ANEW
            ) from error
        return made.pem

    def withdraw(self, gateway: str) -> int:
        """Nothing of this gateway counts any more, tokens included; how many certificates that were. The
        revocation list says so too.
        """
        now = int(time.time())
        with self._changing():
            self._database.execute("DELETE FROM token WHERE gateway = ? AND used IS NULL", (gateway,))
            done = self._database.execute(
                "UPDATE certificate SET withdrawn = ? WHERE gateway = ? AND withdrawn IS NULL", (now, gateway)
            )
        self._write_revocations()
        return done.rowcount

    def _write_revocations(self) -> None:
        """The list of what was withdrawn and has not ended, whole or not at all; it holds no secret."""
        rows = self._database.execute(
            "SELECT serial, withdrawn FROM certificate WHERE withdrawn IS NOT NULL AND ends > ?",
            (int(time.time()),),
        )
        revoked = make_revocations(self._key, self.certificate, rows.fetchall())
        write_durably(self._revocations, revoked, mode=0o644, owner=owner_of(self._revocations.parent))

    def refused(self, gateway: str, why: str) -> None:
        """Remember what was refused."""
        with self._changing():
            row = (int(time.time()), gateway[:64], why[:300])
            self._database.execute("INSERT INTO refusal (t, gateway, why) VALUES (?, ?, ?)", row)
            self._database.execute(
                "DELETE FROM refusal WHERE id <= (SELECT MAX(id) FROM refusal) - ?", (MOST_REFUSALS,)
            )

    def given(self) -> list[Given]:
        """Every certificate, by gateway, the newest last."""
        rows = self._database.execute(
            "SELECT serial, gateway, made, ends, withdrawn FROM certificate ORDER BY gateway, made, rowid"
        )
        return [Given(*row) for row in rows]

    def refusals(self) -> list[tuple[int, str, str]]:
        """(Unix s, gateway, why), the newest last."""
        return self._database.execute("SELECT t, gateway, why FROM refusal ORDER BY id").fetchall()


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
