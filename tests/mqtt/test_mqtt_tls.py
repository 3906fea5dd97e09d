"""Where a connection without TLS stays on this machine."""

import pytest

from gateway.mqtt.tls import is_this_machine


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("broker.localhost", True),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_this_machine(host, here):
    assert is_this_machine(host) is here
