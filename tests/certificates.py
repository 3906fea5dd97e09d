"""Keys and certificates for tests, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificate(
    directory: Path, name: str, subject: str, *, ca: tuple[Path, Path] | None = None, host: str = ""
) -> tuple[Path, Path]:
    """A certificate and its key: `NAME.crt` and `NAME.key`, signed by `ca` or by itself; `host` as in
    subjectAltName.
    """
    key, cert, request, extra = (directory / f"{name}.{end}" for end in ("key", "crt", "csr", "ext"))

    def openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", key)
    if ca is None:
        names = ("-addext", f"subjectAltName={host}") if host else ()
        openssl("req", "-x509", *new, "-days", 2, *names, "-out", cert)
        return cert, key
    extra.write_text(f"subjectAltName={host}\n" if host else "basicConstraints=CA:FALSE\n")
    openssl("req", *new, "-out", request)
    by = ("-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial")
    openssl("x509", "-req", "-in", request, *by, "-days", 2, "-extfile", extra, "-out", cert)
    return cert, key
