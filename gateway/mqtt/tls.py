"""TLS and credentials; files are read at every connection, so a renewed certificate needs no
restart.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
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
_HOST_NAME, _IP_ADDRESS = 62, 64
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
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
        raise LinkRefused(
            f"the CA file {broker.ca} cannot be used: {_reason(error)}",
            hint=_of_root(error) or "write a readable PEM file with the CA's certificate in ca",
            cause="own_files",
        ) from error
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
            yield (
                "ca",
                f"{paths['ca']} cannot be used: {_reason(error)}",
                "write a PEM file with the certificate of the authority",
            )
    if {"cert", "key"} <= sound:
        try:
            context.load_cert_chain(
                as_loaded(Path(paths["cert"])), as_loaded(Path(paths["key"])), password=""
            )
        except (OSError, ssl.SSLError) as error:
            mend = "write PEM files that belong together in cert and key; the key without a passphrase"
            yield (
                "cert",
                f"{paths['cert']} with the key {paths['key']} cannot be used: {_reason(error)}",
                mend,
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
