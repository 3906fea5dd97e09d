"""Keys (ECDSA P-256), certificate requests (PKCS #10) and certificates (X.509): what is read, what is made,
and what is not accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import EnrolmentError

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
BACKDATED = timedelta(hours=1)
"""A certificate begins so much before it is made: a gateway's clock may be behind."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A certificate request whose signature is right: the one name that it asks for, its key (DER) and its
    bytes (DER).
    """

    name: str
    public: bytes
    der: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate: whom it names, its key (DER), its serial number (hexadecimal), when it is valid."""

    name: str
    public: bytes
    serial: str
    begins: datetime
    ends: datetime
    authority: bool
    pem: str


def new_key() -> bytes:
    """A new private key, PEM without a passphrase."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise EnrolmentError(
            "there is no private key that can be used", hint="make a new one: submeter enroll"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EnrolmentError("the key is no ECDSA P-256 key", hint="make a new one: submeter enroll")
    return key


def public_of(pem: bytes) -> bytes:
    """The public half (DER) of a private key (PEM). Raises EnrolmentError."""
    return _private(pem).public_key().public_bytes(DER, _SPKI)


def make_request(pem: bytes, gateway: str) -> bytes:
    """A certificate request (PEM) of a gateway: its id is the common name, and nothing else is asked for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(_private(pem), hashes.SHA256())
    return request.public_bytes(PEM)


def read_request(pem: str) -> CertificateRequest:
    """What a request asks for. Raises EnrolmentError for anything but one name and a P-256 key that is its
    sender's own.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        valid, extensions, attributes = (
            request.is_signature_valid,
            list(request.extensions),
            list(request.attributes),
        )
    except Exception as error:  # a foreign request may be broken in ways of which the library has no list
        raise EnrolmentError(
            "this is no certificate request", hint="send one that submeter enroll prints"
        ) from error
    if not valid:
        raise EnrolmentError(
            "the request is not signed by its own key", hint="send one that submeter enroll prints"
        )
    for extension in extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise EnrolmentError(
                "the request asks for the certificate of an authority: no gateway gets one", hint=""
            )
    if extensions or attributes:
        raise EnrolmentError(
            "the request asks for more than a name", hint="send one that submeter enroll prints"
        )
    return CertificateRequest(
        _only_name(request.subject), _p256(request.public_key()), request.public_bytes(DER)
    )


def _only_name(subject: x509.Name) -> str:
    names = list(subject)
    if len(names) != 1 or names[0].oid != NameOID.COMMON_NAME or not isinstance(names[0].value, str):
        raise EnrolmentError(
            "the subject is not just one common name, a gateway's id",
            hint="send one that submeter enroll prints",
        )
    return names[0].value


def _p256(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EnrolmentError("its key is no ECDSA P-256 key", hint="send one that submeter enroll prints")
    return key.public_bytes(DER, _SPKI)


def read_certificate(pem: bytes) -> Certificate:
    """The first certificate of a PEM file. Raises EnrolmentError."""
    try:
        found = x509.load_pem_x509_certificates(pem)[0]
        constraints = [
            each.value for each in found.extensions if isinstance(each.value, x509.BasicConstraints)
        ]
    except (ValueError, IndexError) as error:
        raise EnrolmentError("this is no certificate", hint="name a PEM file with one") from error
    return Certificate(
        _only_name(found.subject),
        _p256(found.public_key()),
        f"{found.serial_number:x}",
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        any(each.ca for each in constraints),
        found.public_bytes(PEM).decode(),
    )


def sign(pem: bytes, data: bytes) -> bytes:
    """The signature of exactly these bytes, ECDSA with SHA-256. Raises EnrolmentError."""
    return _private(pem).sign(data, ec.ECDSA(hashes.SHA256()))


def is_signed(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of a public key (DER) signed exactly these bytes."""
    key = serialization.load_der_public_key(public)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def make_authority(name: str, years: int) -> tuple[bytes, bytes]:
    """A new authority: its key and its certificate (PEM), which certifies gateways and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), timedelta(days=365 * years))
    usage = _usage(signs=False, certifies=True)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    return (
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain),
        certificate.public_bytes(PEM),
    )


def certify(request: CertificateRequest, key: bytes, authority: bytes, life: timedelta) -> Certificate:
    """The certificate of a client with the name and the key of a request, and nothing else of it, signed by
    an authority's key (PEM) under its certificate (PEM).
    """
    issuer = x509.load_pem_x509_certificate(authority)
    public = serialization.load_der_public_key(request.public)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, request.name)])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(_private(key).public_key())
    made = (
        _builder(subject, issuer.subject, public, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True, certifies=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(_private(key), hashes.SHA256())
    )
    return read_certificate(made.public_bytes(PEM))


def make_revocations(key: bytes, authority: bytes, withdrawn: Iterable[tuple[str, int]]) -> bytes:
    """The revocation list (PEM, RFC 5280) of an authority: serial numbers (hexadecimal), and since when
    (Unix s). It is good as long as the authority itself: a list that ends locks everybody out.
    """
    issuer, now = x509.load_pem_x509_certificate(authority), datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - BACKDATED)
        .next_update(issuer.not_valid_after_utc)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(_private(key).public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    for serial, at in withdrawn:
        entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
        builder = builder.add_revoked_certificate(
            entry.revocation_date(datetime.fromtimestamp(at, UTC)).build()
        )
    return builder.sign(_private(key), hashes.SHA256()).public_bytes(PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=certifies,
        crl_sign=certifies,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
