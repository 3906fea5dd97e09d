"""The audit of the libraries: against a service on this machine, and without one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests import audit
from tests.ports import free_port

LOCKED = """\
a-one==1.2 \\
    --hash=sha256:00
b_two[extra]==3.4rc1 ; python_version < "3.13" \\
    --hash=sha256:11
"""


@contextmanager
def service(answer) -> Iterator[tuple[str, list]]:
    """A service that answers so; what it was asked."""
    asked: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "runtime.lock"
    path.write_text(LOCKED)
    return path


def audited(lock, monkeypatch, address: str) -> int:
    monkeypatch.setenv(audit.VARIABLE, address)
    return audit.main(lock)


def test_a_known_fault_is_named_and_fails(lock, monkeypatch, capsys) -> None:
    with service(b'{"results": [{}, {"vulns": [{"id": "PYSEC-2"}, {"id": "GHSA-1"}]}]}') as (address, asked):
        assert audited(lock, monkeypatch, address) == 1
    assert "b_two 3.4rc1 has known faults: GHSA-1, PYSEC-2" in capsys.readouterr().out
    assert [(each["package"]["name"], each["version"]) for each in asked[0]["queries"]] == [
        ("a-one", "1.2"),
        ("b_two", "3.4rc1"),
    ]


def test_what_does_not_concern_us_is_no_fault(lock, monkeypatch, capsys) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {"X-1": "not used"})
    with service(b'{"results": [{"vulns": [{"id": "X-1"}]}, {}]}') as (address, _):
        assert audited(lock, monkeypatch, address) == 0
    assert "no fault is known of the 2 libraries" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer", [b"", b"no", b"[]", b'{"results": []}', b'{"results": [{}, {"vulns": [1]}]}']
)
def test_a_service_that_is_none_is_said_and_nothing_fails(lock, monkeypatch, capsys, answer) -> None:
    with service(answer) as (address, _):
        assert audited(lock, monkeypatch, address) == 0
    assert_one_line(capsys.readouterr().out)


def test_without_a_network_it_is_said_in_one_line(lock, monkeypatch, capsys) -> None:
    assert audited(lock, monkeypatch, f"http://127.0.0.1:{free_port()}/") == 0
    assert_one_line(capsys.readouterr().out)


def assert_one_line(text: str) -> None:
    assert text.count("\n") == 1
    assert text.endswith("not audited\n")


def test_the_lock_that_is_shipped_is_read_whole() -> None:
    text = audit.LOCK.read_text()
    libraries = audit.locked(text)
    assert len(libraries) == sum(not line.startswith((" ", "#")) and bool(line) for line in text.splitlines())
