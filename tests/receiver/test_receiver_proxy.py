"""The manual's two ways to the fleet page through nginx, as they are written there, run."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from test_receiver_page import fill, gateway

from gateway.platform import PlatformPage
from gateway.receiver.store import SqliteStore
from tests.certificates import certificate
from tests.ports import free_port

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
MANUAL = (Path(__file__).parents[2] / "docs" / "receiver.md").read_text()
SERVERS = re.findall(r"^server \{.*?^\}", MANUAL, re.MULTILINE | re.DOTALL)
TEMPS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture
def page(tmp_path):
    store = SqliteStore(tmp_path / "p.db")
    fill(store, gateway("izm-konak-017"))
    served = PlatformPage(tmp_path / "p.db", ("127.0.0.1", 0), None)
    served.start()
    yield served
    served.stop()
    store.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """What the manual calls fleet.crt and people-ca.crt, one person's, and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    people, others = (certificate(folder, name, f"/CN={name}") for name in ("people-ca", "others-ca"))
    certificate(folder, "fleet", "/CN=fleet.example", host="DNS:fleet.example")
    certificate(folder, "ayse", "/CN=Ayse", ca=people)
    certificate(folder, "eve", "/CN=Eve", ca=others)
    return folder


@contextmanager
def proxy(server, folder, keys, places):
    """nginx with a server of the manual, whose files and ports are those of this machine."""
    port = free_port()
    for theirs, ours in {"/etc/nginx/": f"{keys}/", "443": str(port), **places}.items():
        assert theirs in server
        server = server.replace(theirs, ours)
    temps = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPS)
    conf, log = folder / "nginx.conf", folder / "nginx.log"
    conf.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {log}; events {{}}\n"
        f"http {{ access_log off; {temps}\n{server}\n}}\n"
    )
    with subprocess.Popen([NGINX, "-e", log, "-p", folder, "-c", conf], stderr=subprocess.PIPE) as process:
        try:
            yield port
        finally:
            process.terminate()


def ask(port, keys, path="/", who=None, **more):
    """The answer to a visitor of https://fleet.example, once nginx listens."""
    context = ssl.create_default_context(cafile=keys / "fleet.crt")
    if who:
        context.load_cert_chain(keys / f"{who}.crt", keys / f"{who}.key")
    end = time.monotonic() + 60
    with httpx.Client(verify=context, timeout=60) as client:
        while True:
            request = client.build_request(
                more.pop("method", "GET"), f"https://127.0.0.1:{port}{path}",
                headers={"host": "fleet.example", **more.get("headers", {})},
                extensions={"sni_hostname": "fleet.example"},
            )  # fmt: skip
            try:
                return client.send(request)
            except httpx.ConnectError:
                assert time.monotonic() < end, "nginx does not listen"
                time.sleep(0.05)


def test_client_certificates_open_the_page_and_nothing_else_does(page, keys, tmp_path):
    with proxy(SERVERS[0], tmp_path, keys, {"8090": str(page.port)}) as port:
        seen = ask(port, keys, who="ayse")
        assert seen.status_code == 200
        assert "izm-konak-017" in seen.text
        links = {link.partition("?")[0] for link in re.findall(r'href="(/[^"]*)"', seen.text)}
        assert {"/", "/gateway/izm-konak-017", "/static/fleet.css"} <= links
        for link in links:
            assert ask(port, keys, link, who="ayse").status_code == 200, link
        assert ask(port, keys, "/metrics", who="ayse").status_code == 404
        assert ask(port, keys, who="ayse", method="POST").status_code == 405
        for who in (None, "eve"):
            refused = ask(port, keys, who=who)
            assert refused.status_code == 400
            assert "izm-konak-017" not in refused.text


class Login(BaseHTTPRequestHandler):
    """oauth2-proxy, as nginx sees it: 202 for who has its cookie, 401 for others, a page to log in on."""

    def do_GET(self):
        known = "_oauth2_proxy=ayse" in self.headers.get("cookie", "")
        if self.path.startswith("/oauth2/auth"):
            self.send_response(202 if known else 401)
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"log in as {self.headers['host']} to {self.path}".encode())

    def log_message(self, *words): ...


def test_a_login_elsewhere_opens_the_page(page, keys, tmp_path):
    login = ThreadingHTTPServer(("127.0.0.1", 0), Login)
    thread = threading.Thread(target=login.serve_forever)
    thread.start()
    places = {"8090": str(page.port), "4180": str(login.server_port)}
    try:
        with proxy(SERVERS[1], tmp_path, keys, places) as port:
            stranger = ask(port, keys)
            assert "izm-konak-017" not in stranger.text
            assert stranger.text.startswith("log in as ")
            assert stranger.text.endswith("/oauth2/sign_in")
            assert ask(port, keys, "/oauth2/start").text == "log in as fleet.example to /oauth2/start"
            seen = ask(port, keys, headers={"cookie": "_oauth2_proxy=ayse"})
            assert (seen.status_code, "izm-konak-017" in seen.text) == (200, True)
            assert ask(port, keys, "/metrics", headers={"cookie": "_oauth2_proxy=ayse"}).status_code == 404
    finally:
        login.shutdown()
        thread.join()
        login.server_close()
