"""submeter-apply: a signed package is left for its installation, and no other one."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import threading
from contextlib import nullcontext
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CommandRefused
from gateway.remote.fetch import fetch_package
from tests.remote.apply_site import Site

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it runs as root")


@pytest.fixture
def package(site, monkeypatch):
    """A small package of ours, as the daemon has fetched it, and what an engineer signs of it."""
    upgrade = site.root / "upgrade"
    upgrade.mkdir()
    monkeypatch.setenv("SUBMETER_UPGRADE", str(upgrade))
    return packed(site.root, "submeter-gateway")


def packed(root: Path, name: str) -> bytes:
    control = root / "inside" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True, exist_ok=True)
    control.write_text(
        f"Package: {name}\nVersion: 9.9\nArchitecture: all\nMaintainer: us\nDescription: nothing\n"
    )
    made = root / "made.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--build", root / "inside", made], check=True, capture_output=True)
    return made.read_bytes()


def update(site: Site, content: bytes, fetched: bytes | None = None, **more: Any) -> Path:
    """The daemon hands over a signed command, and a file that it says it is about; where it would be left."""
    wanted = {"url": "https://h/x.deb", "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    message = site.order(json.dumps({**wanted, **more}), "update")
    statement = json.loads(json.loads(message)["signed"])
    site.send(message, "update-1")
    if fetched is not None:
        place = site.places.daemon / "requests" / f"update-{statement['counter']}.deb"
        place.write_bytes(fetched)
    return site.root / "upgrade" / "incoming.deb"


@pytest.fixture
def updates_on(site):
    remote = {**site.config()["remote"], "commands": ["update"]}
    site.places.config.write_text(json.dumps(site.config(remote=remote)))


@pytest.mark.usefixtures("updates_on")
def test_a_signed_package_is_left_for_its_installation(site, package):
    place = update(site, package, package)
    site.apply()
    assert site.outcome == ("done", "")
    assert place.read_bytes() == package
    assert not list((site.places.daemon / "requests").iterdir())


@pytest.mark.usefixtures("updates_on")
@pytest.mark.parametrize(
    "kind", ["other", "longer", "shorter", "none", "a link", "other package", "no package"]
)
def test_another_package_than_the_signed_one_is_not_installed(site, package, kind):
    if kind in {"other package", "no package"}:
        package = packed(site.root, "evil") if kind == "other package" else b"!<arch>\n"
        place = update(site, package, package)
    elif kind == "a link":
        place = update(site, package, b"")
        fetched = next((site.places.daemon / "requests").glob("*.deb"))
        fetched.unlink()
        fetched.symlink_to(site.root / "made.deb")
    else:
        fetched = {"other": b"x" * len(package), "longer": package + b"x", "shorter": package[:-1]}
        place = update(site, package, fetched.get(kind))
    site.apply()
    assert site.outcome[0] in {"refused", "failed"}, site.outcome
    assert not list(place.parent.iterdir())


@pytest.mark.usefixtures("updates_on")
@pytest.mark.parametrize(
    "more",
    [
        {"url": "file:///etc/shadow"},
        {"sha256": "x"},
        {"size": -1},
        {"size": 2**40},
        {"size": True},
        {"url": 5},
    ],
)
def test_what_does_not_name_a_package_is_refused(site, package, more):
    place = update(site, package, package, **more)
    site.apply()
    assert site.outcome[0] == "refused"
    assert not place.exists()


@pytest.mark.usefixtures("updates_on")
def test_while_another_version_is_on_trial_none_is_installed(site, package):
    place = update(site, package, package)
    (place.parent / "trial.json").write_text('{"state": "trial"}')
    site.apply()
    assert site.outcome == ("refused", "another version is on trial")
    assert not place.exists()


@pytest.mark.parametrize("kind", ["good", "other", "longer", "missing", "nobody there"])
def test_what_is_fetched_is_what_was_signed_or_nothing(tmp_path, kind):
    content = b"package" * 50_000
    served = {"other": b"x" * len(content), "longer": content + b"x"}.get(kind, content)
    (tmp_path / "x.deb").write_bytes(served)
    target, digest = tmp_path / "got.deb", hashlib.sha256(content).hexdigest()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = 1 if kind == "nobody there" else server.server_port
        url = f"http://127.0.0.1:{port}/{'y' if kind == 'missing' else 'x'}.deb"
        with nullcontext() if kind == "good" else pytest.raises(CommandRefused, match="cannot be fetched"):
            fetch_package(url, digest, len(content), target)
        server.shutdown()
    assert (target.read_bytes() if target.exists() else b"") == (content if kind == "good" else b"")
