"""The page of all gateways: found, sorted, in two languages, without a script, and never in anybody's way."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from html.parser import HTMLParser

import httpx
import pytest
from receiver_feed import T0

from gateway.errors import GatewayError
from gateway.platform import PlatformPage, app, listen_address
from gateway.platform.app import FleetAnswers
from gateway.receiver.fleet.rows import COLUMNS, FleetRow, folded
from tests.ports import free_port
from tests.waiting import wait_until


def gateway(name, *, problems=(), severity=0, title="", **more):
    told = {
        "at": T0, "timezone": "Europe/Istanbul", "online": True, "heard": T0, "last_t": T0,
        "last_received": T0, "backlog": 0, "version": "1.0", "clock": "synced", "missing": 0, "conflicts": 0,
        "refused": 0, "complete": 3, "incomplete": 0, "contradicted": 0, "unread": 0,
    }  # fmt: skip
    return FleetRow(
        gateway=name,
        name=title,
        sought=folded(f"{name} {title}"),
        problems=tuple(problems),
        severity=severity,
        **told | more,
    )


def fill(store, *rows):
    marks = ", ".join("?" * len(COLUMNS))
    with store.atomic():
        sql = f"INSERT INTO fleet ({', '.join(COLUMNS)}) VALUES ({marks})"
        store.conn.executemany(sql, [row.as_row() for row in rows])


@pytest.fixture
def database(tmp_path):
    """What both databases do alike is asked of one; see below for the questions themselves."""
    return tmp_path / "p.db"


@pytest.fixture
def page(store, database):
    served = PlatformPage(database, ("127.0.0.1", 0), None)
    served.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
        yield client
    served.stop()


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def listed(html):
    return re.findall(r"/gateway/([\w-]+)", html)


def test_the_worst_stand_first_and_are_found_by_name_id_and_problem(store, page):
    well = [gateway(f"g-{n:03d}", title=f"Okul {n}") for n in range(120)]
    ill = gateway("z-1", title="İzmir Garı", problems=["offline"], severity=40, online=False)
    worse = gateway("y-1", problems=["contradicted", "offline"], severity=104, contradicted=2)
    fill(store, *well, ill, worse)
    first = page.get("/", params={"lang": "en"}).text
    assert listed(first)[:3] == ["y-1", "z-1", "g-000"]
    assert len(listed(first)) == 50
    assert "2 gateways need somebody." in first
    assert listed(page.get("/", params={"page": 3}).text) == [f"g-{n:03d}" for n in range(98, 120)]
    for words in ("izmir gar", "İZMİR", "z-1"):
        assert listed(page.get("/", params={"q": words}).text) == ["z-1"], words
    assert listed(page.get("/", params={"problem": "contradicted"}).text) == ["y-1"]
    assert listed(page.get("/", params={"q": "okul", "problem": "offline"}).text) == []
    for odd in ({"page": "999999"}, {"page": "x"}, {"q": "%_!'\";<script>"}, {"problem": "nonsense"}):
        assert page.get("/", params=odd).status_code == 200


def test_one_gateway_shows_its_past(store, page):
    row = gateway("gw-1", title="Konak", problems=["incomplete"], severity=24, incomplete=1)
    fill(store, row)
    now = time.time_ns() // 1_000_000
    hour = now - now % 3_600_000
    with store.atomic():
        store.conn.execute("INSERT INTO state_hour VALUES (?, ?, 10, 5, 77)", ("gw-1", hour))
        store.conn.execute("INSERT INTO reading_hour VALUES (?, ?, ?, 100, 25, '{}')", ("gw-1", "main", hour))
        today = time.strftime("%Y-%m-%d", time.gmtime((now + 3 * 3_600_000) / 1000))
        store.conn.execute(
            "INSERT INTO meter_day VALUES (?, ?, ?, ?, 2, 1, ?)", ("gw-1", "main", today, "incomplete", now)
        )
        store.refuse("gw-1", "malformed", 3, now, "<b>not</b> JSON")
    html = page.get("/gateway/gw-1", params={"lang": "en"}).text
    for text in ("Konak", "50%", "75.0%", ">77<", "1 incomplete", today, "&lt;b&gt;not&lt;/b&gt; JSON"):
        assert text in html, text
    assert page.get("/gateway/nobody").status_code == 404
    assert page.get("/gateway/..%2f..%2fetc").status_code == 404


def test_meters_that_give_nothing_are_named_with_their_last_good_hour(store, page):
    fill(store, gateway("gw-1", problems=["unread"], severity=32, unread=2))
    hour = time.time_ns() // 1_000_000 // 3_600_000
    with store.atomic():
        for meter, missing in (("lift", (9, 9)), ("main", (3, 3)), ("roof", (3, 9))):
            for ago, silent in zip((5, 2), missing, strict=True):
                sql = "INSERT INTO reading_hour VALUES ('gw-1', ?, ?, 9, ?, '{}')"
                store.conn.execute(sql, (meter, (hour - ago) * 3_600_000, silent))
    assert "2 meters give nothing" in page.get("/", params={"lang": "en"}).text
    html = page.get("/gateway/gw-1", params={"lang": "en"}).text
    silent = re.search(r"<h2>Meters that give nothing</h2>(.*?)</section>", html, re.DOTALL)[1]
    told = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', silent))
    assert list(told) == ["lift", "roof"]
    assert told["lift"] == "none in the last five weeks"
    assert re.search(r"\d\d:00", told["roof"])
    assert "Değer vermeyen sayaçlar" in page.get("/gateway/gw-1", params={"lang": "tr"}).text


def test_how_much_of_today_is_here_stands_in_each_row(store, page):
    now = time.time_ns() // 1_000_000
    offset = 12 - time.gmtime(now / 1000).tm_hour  # where it is noon
    noon = f"Etc/GMT{-offset:+d}"
    fill(
        store, gateway("gw-1", timezone=noon), gateway("gw-2", timezone=noon), gateway("gw-3", timezone=noon)
    )
    hour = now - now % 3_600_000
    with store.atomic():
        for name, missing in (("gw-1", 1), ("gw-2", 0)):
            store.describe(name, json.dumps({"meters": [{"id": "main", "interval": 10}]}), now)
            for ago in range(1, 20):
                sql = "INSERT INTO reading_hour VALUES (?, ?, ?, 360, ?, '{}')"
                store.conn.execute(sql, (name, "main", hour - ago * 3_600_000, missing))
    rows = re.findall(r"<tr>\s*<th.*?</tr>", page.get("/", params={"lang": "en"}).text, re.DOTALL)
    today = [re.search(r'data-label="Today">(.*?)<', row)[1] for row in rows if "data-label" in row]
    assert today == ["99.7%", "100.0%", "–"], "rounded down: whole is what lacks nothing"
    assert "Bugün" in page.get("/", params={"lang": "tr"}).text


def test_the_page_speaks_two_languages_and_needs_no_script(store, page):
    fill(store, gateway("gw-1", problems=["silent", "clock"], severity=52))
    for path in ("/", "/gateway/gw-1", "/gateway/nobody"):
        for language, word in (("tr", "Ağ geçitleri"), ("en", "Gateways")):
            answer = page.get(path, params={"lang": language})
            assert word in answer.text
            assert answer.headers["content-language"] == language
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; form-action 'self'")
            tags = Tags(answer.text).found
            assert not [tag for tag, attrs in tags if tag in {"script", "img", "iframe"} or "style" in attrs]
            assert not [attrs for _, attrs in tags if any(name.startswith("on") for name in attrs)]
            links = [attrs["href"] for _, attrs in tags if "href" in attrs]
            assert all(link.startswith(("/", "#")) for link in links)
            assert all("lang=" in link for link in links if link.startswith("/?") or "/gateway/" in link)
    assert page.get("/", headers={"accept-language": "tr-TR,tr;q=0.9"}).headers["content-language"] == "tr"


def test_the_page_can_only_be_read(page):
    for method in ("POST", "PUT", "DELETE"):
        assert page.request(method, "/").status_code == 405
    assert page.get("/", headers={"host": "evil.example"}).status_code == 421


def test_metrics_and_health(store, page):
    fill(store, gateway("gw-1", problems=["silent"], severity=40, backlog=7), gateway("gw-2"))
    text = page.get("/metrics").text
    for line in (
        "submeter_fleet_up 1.0",
        "submeter_fleet_gateways 2.0",
        "submeter_fleet_backlog_batches 7.0",
        'submeter_fleet_problems{problem="silent"} 1.0',
        'submeter_gateway_problem{gateway="gw-1",problem="silent"} 1.0',
    ):
        assert line in text, line
    assert page.get("/healthz").json() == {"ok": True, "problems": []}


def test_a_database_that_is_away_is_said(tmp_path):
    served = PlatformPage(tmp_path / "none.db", ("127.0.0.1", 0), None)
    served.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
        assert "Veritabanı şu anda yanıt vermiyor." in client.get("/?lang=tr").text
        assert client.get("/").status_code == client.get("/healthz").status_code == 503
        assert "submeter_fleet_up 0.0" in client.get("/metrics").text
    served.stop()


@pytest.mark.parametrize("language", ["en", "tr"])
def test_what_a_database_says_is_one_line_and_what_to_do_is_in_the_language_of_the_page(
    postgres, tmp_path, language
):
    gone = f"postgresql://submeter@/none?host={tmp_path}"
    for database, said in ((gone, "No such file or directory"), (postgres.new_database(), "fleet")):
        served = PlatformPage(database, ("127.0.0.1", 0), None)
        served.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
                html = client.get("/", params={"lang": language}).text
                problems = client.get("/healthz").json()["problems"]
        finally:
            served.stop()
        told = {"en": "does its server run", "tr": "sunucusu çalışıyor mu"}[language]
        assert said in html
        assert told in html
        assert (language == "tr") is ("try again in a minute" not in html)
        assert len(problems) == 1
        assert all("\\x0a" not in text and "\\x09" not in text for text in [html, *problems])


def test_an_answer_is_given_before_the_rest_that_follows_it(store, database, monkeypatch):
    """The rest is taken before the next question, whole; an answer that is kept waits for nobody."""
    rests, answers = [], FleetAnswers(database)
    monkeypatch.setattr(time, "sleep", rests.append)
    monkeypatch.setattr(app, "REST", 1000.0)
    monkeypatch.setattr(app, "LONGEST_REST", 60.0)

    def slow(fleet):
        threading.Event().wait(0.1)
        return fleet.totals().gateways

    fill(store, gateway("g-1"))
    assert asyncio.run(answers.make("one", slow)) == 1
    assert rests == [0.0]
    assert asyncio.run(answers.make("one", slow)) == 1
    assert rests == [0.0]
    assert asyncio.run(answers.make("other", lambda _fleet: None)) is None
    assert len(rests) == 2
    assert 30.0 < rests[1] <= 60.0
    assert asyncio.run(answers.make("other", slow)) is None
    assert len(rests) == 2


@pytest.mark.parametrize(
    ("text", "address"),
    [("8090", ("127.0.0.1", 8090)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:81", ("::1", 81)),
     ("db.example:82", ("db.example", 82))],
)  # fmt: skip
def test_without_a_host_this_machine_alone_is_served(text, address):
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["", "x", "99999", "a:b", "1.2.3.4", "::1:80", ":80"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(GatewayError, match="--page"):
        listen_address(text)


def test_a_receiver_serves_its_page_and_says_how_it_is(broker, tmp_path):
    database = tmp_path / "p.db"

    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gateway",
        "receive",
        "--database",
        str(database),
        "--broker",
        broker.url,
    ]
    process = subprocess.Popen([*command, "--page", str(port), "--keep", "30d"])
    try:
        url = f"http://127.0.0.1:{port}"

        def healthy():
            try:
                return httpx.get(f"{url}/healthz", timeout=30).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(healthy)
        text = httpx.get(f"{url}/metrics", timeout=30).text
        assert "submeter_receiver_connected 1.0" in text
        assert "submeter_receiver_batches_total 0.0" in text
        broker.kill()

        def ill():
            answer = httpx.get(f"{url}/healthz", timeout=30)
            return answer.status_code == 503 and answer.json()["problems"] == ["no connection to the broker"]

        wait_until(ill)
    finally:
        process.terminate()
        assert process.wait(60) == 0
