"""TLS and credentials; files are read at every connection, so a renewed certificate needs no
restart.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.common.files import LOAD_SECRETS, SECRETS, as_loaded, read_regular, read_secret
from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt.broker import Broker

_MAX_FILE = 4 * 1024 * 1024
"""Bytes of a PEM file: a whole set of public authorities has a quarter of a million."""
_NOT_YET_VALID, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_DER = b"\x30"
"""A certificate or a key in DER begins with a SEQUENCE."""
_HOST_NAME, _IP_ADDRESS = 62, 64
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_NO_PAIR = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""What OpenSSL calls a key that is another certificate's, also where it is of another kind."""
_CA = "write the certificate of the authority that signed it in ca"
_CERTIFICATE = {
    _NOT_YET_VALID: ("not_yet_valid", "look at the clock of this machine and at the broker's certificate"),
    _EXPIRED: ("expired", "ask the broker's operator for a new certificate there"),
    _HOST_NAME: ("wrong_host", "write the host name that the certificate names in url"),
    _IP_ADDRESS: ("wrong_host", "write the host name that the certificate names in url"),
}
"""Why a broker's certificate is not accepted: the cause as a word, and what to do."""


def is_this_machine(host: str) -> bool:
    """Whether an address cannot leave this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def tls_context(broker: Broker) -> ssl.SSLContext:
    """TLS 1.2 or newer with certificate and name check. Raises LinkRefused for files that cannot be used."""
    try:
        if broker.ca:
            read_regular(Path(broker.ca), _MAX_FILE)  # OpenSSL would wait for ever in front of a pipe
        context = ssl.create_default_context(cafile=broker.ca and str(as_loaded(Path(broker.ca))))
    except (OSError, ssl.SSLError) as error:
        what, mend = _of_ca(str(broker.ca), error)
        raise LinkRefused(f"the CA file {what}", hint=_of_root(error) or mend, cause="own_files") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 refuses authorities without every extension of RFC 5280, as a city's own `openssl req -x509`
    # makes them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if broker.cert and broker.key:
        try:
            for path in (broker.cert, broker.key):
                read_regular(Path(path), _MAX_FILE)
            context.load_cert_chain(
                as_loaded(Path(broker.cert)), as_loaded(Path(broker.key)), password=""
            )  # an encrypted key must fail, not ask the terminal
        except (OSError, ssl.SSLError) as error:
            if isinstance(error, ssl.SSLError):
                what, mend = _of_pair(broker.cert, broker.key, error)
                raise LinkRefused(f"the client certificate: {what}", hint=mend, cause="own_files") from error
            raise LinkRefused(
                f"the client certificate {broker.cert} with its key {broker.key} cannot be used: "
                f"{_reason(error)}",
                hint=_of_root(error)
                or (
                    "have one made: sudo submeter enroll; or write the name of the file that is meant"
                    if isinstance(error, FileNotFoundError)
                    else "write readable PEM files that belong together in cert and key; the key without a "
                    "passphrase"
                ),
                cause="own_files",
            ) from error
    return context


def password(broker: Broker) -> str | None:
    """The line of the password file. Raises LinkRefused."""
    if broker.password_file is None:
        return None
    try:
        return read_secret(Path(broker.password_file))
    except OSError as error:
        raise LinkRefused(
            f"the password file {broker.password_file} cannot be read: {_reason(error)}",
            hint=_of_root(error) or "make it readable for the user of the service; one line, UTF-8",
            cause="own_files",
        ) from error
    except ValueError as error:
        what, _, mend = str(error).partition(": ")
        raise LinkRefused(
            f"the password file {broker.password_file} {what}", hint=mend, cause="own_files"
        ) from None


def _of_root(error: OSError) -> str:
    """What helps with a file of `SECRETS` that was not handed over at the start; nothing for other errors."""
    secret = isinstance(error, PermissionError) and Path(str(error.filename)).parent == SECRETS
    return LOAD_SECRETS if secret else ""


def check_files(broker: Broker) -> None:
    """Raise LinkRefused for a file that cannot be used: for a program that says so before it begins."""
    password(broker)
    if broker.address.tls:
        tls_context(broker)


def file_mistakes(paths: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(key, what is wrong, what to write) of each file that cannot be used; `paths` by key:
    password_file, token_file, ca, cert, key.

    Nothing of what stands in them is told.
    """
    sound = set()
    for key, path in paths.items():
        try:
            if key in {"password_file", "token_file"}:
                read_secret(Path(path))
            else:
                read_regular(Path(path), _MAX_FILE)
            sound.add(key)
        except FileNotFoundError:
            yield (
                key,
                f"there is no file {path}",
                f"write the name of the file that is meant, or leave {key} out",
            )
        except PermissionError:
            yield (
                key,
                f"{path} may not be read by the user {_user()}",
                _let_read(Path(path)),
            )
        except OSError as error:
            yield key, f"{path} cannot be read: {_reason(error)}", "write the name of a file that can be read"
        except ValueError as error:
            what, _, mend = str(error).partition(": ")
            yield key, f"{path} {what}", mend
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if "ca" in sound:
        try:
            context.load_verify_locations(as_loaded(Path(paths["ca"])))
        except (OSError, ssl.SSLError) as error:
            yield ("ca", *_of_ca(paths["ca"], error))
    if {"cert", "key"} <= sound:
        try:
            context.load_cert_chain(
                as_loaded(Path(paths["cert"])), as_loaded(Path(paths["key"])), password=""
            )
        except (OSError, ssl.SSLError) as error:
            yield ("cert", *_of_pair(paths["cert"], paths["key"], error))


def _of_ca(path: str, error: Exception) -> tuple[str, str]:
    """What is wrong with a file of authorities, and what to do."""
    if isinstance(error, ssl.SSLError):
        return _no_certificate(path, "ca") or _damaged(path)
    mend = "write a readable PEM file with the CA's certificate in ca"
    return f"{path} cannot be used: {_reason(error)}", mend


def _of_pair(cert: str, key: str, error: Exception) -> tuple[str, str]:
    """What is wrong with a client certificate or its key, and what to do."""
    if getattr(error, "reason", None) in _NO_PAIR:
        return (
            f"{cert} with the key {key} cannot be used: they do not belong together",
            "write the key with which that certificate was asked for in key, or have a new one made: sudo "
            "submeter enroll",
        )
    if wrong := _no_certificate(cert, "cert") or _no_key(key):
        return wrong
    if getattr(error, "reason", None) is None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(as_loaded(Path(cert)))
        except ssl.SSLError:
            return _damaged(cert)
        return _damaged(key)
    return (
        f"{cert} with the key {key} cannot be used: {_reason(error)}",
        "write PEM files that belong together in cert and key; the key without a passphrase",
    )


def _blocks(path: str) -> tuple[bytes, set[str]]:
    """What a file holds, and the labels of its PEM blocks (RFC 7468)."""
    data = read_regular(Path(path), _MAX_FILE)
    return data, {label.decode("latin-1") for label in _LABEL.findall(data)}


def _no_certificate(path: str, key: str) -> tuple[str, str] | None:
    """Why a file has no certificate in PEM, and what to do; None when it seems to have one."""
    data, labels = _blocks(path)
    if any(label.endswith("CERTIFICATE") for label in labels):
        return None
    mend = f"write a PEM file with a certificate in {key}"
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return f"{path} cannot be used: it holds a private key and no certificate", mend
    if any(label.endswith("CERTIFICATE REQUEST") for label in labels):
        return f"{path} cannot be used: it holds the request for a certificate", mend
    return _no_pem(path, data, "x509", mend)


def _no_key(path: str) -> tuple[str, str] | None:
    """Why a file has no key in PEM that can be used, and what to do; None when it seems to have one."""
    data, labels = _blocks(path)
    if "ENCRYPTED PRIVATE KEY" in labels or b"Proc-Type: 4,ENCRYPTED" in data:
        return (
            f"{path} cannot be used: the key has a passphrase, which nobody can type here",
            f"openssl pkey -in {path} -out {path}.open, and name that; chmod 640",
        )
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return None
    mend = "write a PEM file with the private key of the certificate in key"
    if any(label.endswith("CERTIFICATE") for label in labels):
        return f"{path} cannot be used: it holds a certificate and no private key", mend
    return _no_pem(path, data, "pkey", mend)


def _no_pem(path: str, data: bytes, kind: str, mend: str) -> tuple[str, str]:
    """`kind`: the command of OpenSSL that reads it from DER."""
    if data.startswith(_DER):
        mend = f"openssl {kind} -inform der -in {path} -out {path}.pem, and name that"
        return f"{path} cannot be used: it is in DER, not in PEM", mend
    if data.strip():
        return f"{path} cannot be used: it is no PEM file", mend
    return f"{path} cannot be used: it is empty", mend


def _damaged(path: str) -> tuple[str, str]:
    return (
        f"{path} cannot be used: it is damaged, a PEM block in it cannot be read",
        "copy the file anew, whole",
    )


def _let_read(path: Path) -> str:
    """What to do about a file that this user may not read: the service has those of `SECRETS` from systemd,
    whoever calls a command has not.
    """
    if path.parent != SECRETS:
        return "chgrp submeter and chmod 640: the user of the service reads it"
    if "CREDENTIALS_DIRECTORY" in os.environ:
        return LOAD_SECRETS
    return "use sudo"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def open_to_others(broker: Broker) -> list[str]:
    """A line for each secret file that every account of this machine may read or change."""
    found = []
    for what, path in (("password file", broker.password_file), ("key", broker.key)):
        try:
            mode = Path(path).stat().st_mode if path else 0
            mode = mode if stat.S_ISREG(mode) else 0  # what it is otherwise is said when it is read
        except OSError:
            continue  # said when it is read
        verbs = [verb for bit, verb in ((stat.S_IROTH, "read"), (stat.S_IWOTH, "changed")) if mode & bit]
        if verbs:
            found.append(
                f"{broker.name}: the {what} {path} may be {' and '.join(verbs)} by everybody on "
                f"this machine → chmod 640 {path}"
            )
    return found


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def tls_error(error: ssl.SSLError, host: str, *, clock_synced: bool) -> UplinkError:
    """What a failed handshake means for the person who has to mend it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in {_NOT_YET_VALID, _EXPIRED} and not clock_synced:
            return LinkDown(
                f"the certificate of {host} is not valid at this machine's time ({error.verify_message})",
                hint="the clock is not synchronised yet; tried again until it is",
                cause="clock",
            )
        cause, hint = _CERTIFICATE.get(error.verify_code, ("unknown_ca", _CA))
        return LinkRefused(
            f"this gateway does not accept the certificate of {host}: {error.verify_message}",
            hint=hint,
            cause=cause,
        )
    return LinkRefused(
        f"TLS with {host} failed: {_reason(error)}",
        hint="check that the port speaks TLS, and cert and key if the broker asks for them",
        cause="tls",
    )
