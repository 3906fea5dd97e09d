"""What the daemon has done by a process that ends, so that nothing of X.509 is loaded in it:
`python -m gateway.remote.enrolment request|install GATEWAY CERT KEY`.

`request` prints what is sent on P/enroll/request, `install` takes a certificate (PEM) from its input.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.errors import GatewayError
from gateway.remote.enrolment.device import MAX_FILE, DeviceIdentity


def main(verb: str, gateway: str, cert: str, key: str) -> None:
    """Do it; a failure is one line on stderr and exit code 1."""
    identity = DeviceIdentity(gateway, Path(cert), Path(key))
    try:
        identity.finish()
        if verb == "request":
            sys.stdout.write(identity.ask_by_key().to_bytes().decode())
        else:
            found = identity.install(sys.stdin.read(MAX_FILE))
            sys.stdout.write(f"{int(found.ends.timestamp() * 1000)}")
    except (GatewayError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
