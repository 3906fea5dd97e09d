"""Who the gateway is: what stands in the place of its key's files keeps nobody waiting."""

import os
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.host.identity import KEY_FILE, PUBLIC_FILE, fingerprint, known_fingerprint
from gateway.host.signing import SigningKey, make


def test_a_key_is_known_by_its_public_half(tmp_path: Path) -> None:
    assert known_fingerprint(tmp_path) == ""
    make(tmp_path)
    assert known_fingerprint(tmp_path) == fingerprint(SigningKey(tmp_path).public)


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_key_and_is_not_waited_for(tmp_path: Path, put) -> None:
    put(tmp_path / PUBLIC_FILE)
    put(tmp_path / KEY_FILE)
    assert known_fingerprint(tmp_path) == ""
    with pytest.raises(GatewayError, match="not a regular file"):
        SigningKey(tmp_path)
