"""The page, the API and the metrics, asked in memory: what they say, and what they refuse."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from status_building import CALM, METERS, NOW, SNAPSHOT, Building, meter, value

from gateway.status.api import as_json
from gateway.status.metrics import families
from gateway.status.page.app import create_page
from gateway.status.page.chart import axis, power_chart
from gateway.status.page.guard import HEADERS, POLICY
from gateway.status.snapshot import Beat, MeterView, Snapshot
from gateway.status.trend import POINTS
from gateway.status.words.language import Locale

ROUTES = ("/", "/meter/main", "/meter/chiller", "/meter/water", "/system")
DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


def client(source: Building | Snapshot = SNAPSHOT, **headers: str) -> httpx.AsyncClient:
    building = source if isinstance(source, Building) else Building(source)
    transport = httpx.ASGITransport(app=create_page(building, ["gateway"]), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


async def page(path: str, source: Building | Snapshot = SNAPSHOT, **headers: str) -> Page:
    async with client(source, **headers) as http:
        response = await http.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)


async def test_the_overview_shows_values_with_unit_age_and_quality():
    text = (await page("/?lang=en")).text
    assert "84.2 kW" in text
    assert "Meter reading 184,223.9 kWh" in text
    assert "Powers read at most 3 s ago, meter readings at most 1 min ago." in text
    assert "good" not in text
    assert "no answer since 18:44" in text
    assert "1,240 readings have been waiting since 14:02; there is room for 41 more days." in text
    assert "If the power fails now, at most the readings of the last 10 s are lost." in text
    assert "requests" not in text, "words of the trade are for the technical page"
    assert (
        "41,822 requests, 194 errors (0.5%), meters answer after 24 ms"
        in (await page("/system?lang=en")).text
    )


@pytest.mark.parametrize(("path", "told"), [("/", True), ("/meter/chiller", True), ("/meter/main", False)])
async def test_where_something_is_to_be_done_the_maintenance_firm_is_named_and_can_be_called(path, told):
    now = replace(SNAPSHOT, service=("Ege Pano", "+90 (232) 000 00 00"))
    async with client(now) as http:
        page = Page((await http.get(path + "?lang=tr")).text)
    calls = [attrs["href"] for tag, attrs in page.tags if tag == "a" and attrs["href"].startswith("tel:")]
    assert calls == (["tel:+902320000000"] if told else [])
    assert ("Bakım firması: Ege Pano +90 (232) 000 00 00" in " ".join("".join(page.texts).split())) is told


async def test_nobody_is_named_while_all_is_well_or_nobody_is_known():
    for now in (replace(CALM, service=("Ege Pano", "+90 232 000 00 00")), SNAPSHOT):
        async with client(now) as http:
            assert "tel:" not in (await http.get("/?lang=en")).text


async def test_turkish_is_the_default_of_this_gateway():
    shown = await page("/")
    assert ("html", {"lang": "tr"}) in shown.tags
    assert "84,2 kW" in shown.text
    assert "1.240 okuma 14:02'den beri bekliyor; 41 gün daha yer var." in shown.text


async def test_the_browser_and_the_link_choose_the_language():
    assert ("html", {"lang": "en"}) in (await page("/", **{"accept-language": "en-GB,en"})).tags
    assert ("html", {"lang": "tr"}) in (await page("/?lang=tr", **{"accept-language": "en-GB,en"})).tags


async def test_a_chosen_language_stays_on_every_link_and_an_unchosen_one_on_none():
    for path, kept in (("/?lang=en", True), ("/", False)):
        links = [
            attrs["href"]
            for tag, attrs in (await page(path)).tags
            if tag == "a" and "hreflang" not in attrs and attrs["href"] != "#live"
        ]
        assert links
        assert all(("lang=en" in link) is kept for link in links)


async def test_no_cookie_is_ever_set():
    async with client() as http:
        for path in (*ROUTES, "/?lang=en", "/api/v1/status", "/metrics", "/nowhere"):
            assert "set-cookie" not in (await http.get(path)).headers


async def test_values_stand_in_tables_with_one_age_each_and_what_differs_says_so():
    shown = await page("/meter/server?lang=en")
    assert "Current L3: the meter refuses it (code 2)" in shown.text
    assert "Power 3 s ago" in shown.text
    assert "Meter readings 24 s ago" in shown.text
    assert "231.4 230.2 232.1" in shown.text
    cells = re.findall(r"<td role=\"cell\" class=\"num( \w+)?\">([^<]+)", await html("/meter/server?lang=en"))
    assert len([text for quality, text in cells if quality]) == 16
    assert {quality for quality, text in cells if text == "–"} == {" absent"}


async def html(path: str, source: Building | Snapshot = SNAPSHOT) -> str:
    async with client(source) as http:
        return (await http.get(path)).text


async def test_the_technical_page():
    text = (await page("/system?lang=en")).text
    for said in (
        "Turn-around 24.3 ms",
        "Damaged answers 3",
        "61.3 MB / 4.0 GB",
        "platform.example:8883",
        "connection refused",
        "9 h",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("language", "begun", "start"),
    [("en", "begun", "since the start"), ("tr", "Kayıt dosyası", "Başlangıçtan")],
)
async def test_what_is_counted_since_the_file_was_begun_is_not_called_of_this_start(language, begun, start):
    now = replace(SNAPSHOT, journal=replace(SNAPSHOT.journal, taken=123, not_taken=456))
    async with client(now) as http:
        html = (await http.get("/system", params={"lang": language})).text
        told = (await http.get("/metrics")).text
    rows = {value: name for name, value in re.findall(r"<dt>([^<]*)</dt><dd>(\d+)</dd>", html)}
    assert begun in rows["123"]
    assert start not in rows["123"]
    assert start in rows["456"]
    (help_,) = re.findall("# HELP submeter_readings_taken_total (.*)", told)
    assert "begun" in help_


async def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    for path in ROUTES:
        shown = await page(path)
        for tag, attrs in shown.tags:
            for name in ("src", "href", "action", "data-live", "srcset", "poster"):
                assert (attrs.get(name) or "/").startswith(("/", "#")), (path, tag, attrs)
                assert not (attrs.get(name) or "/").startswith("//")
            assert "style" not in attrs
            assert not any(name.startswith("on") for name in attrs)
            assert tag not in {"style", "form", "iframe", "object", "embed", "base"}
            assert tag != "script" or attrs["src"].startswith("/static/")


async def test_every_link_leads_somewhere():
    async with client() as http:
        for path in ROUTES:
            for tag, attrs in Page((await http.get(path)).text).tags:
                target = attrs.get("href") or attrs.get("src")
                if tag in {"a", "link", "script", "img"} and target:
                    assert (await http.get(target)).status_code == 200, target


async def test_security_headers_are_on_every_answer():
    async with client() as http:
        for path in (
            *ROUTES,
            "/nowhere",
            "/healthz",
            "/metrics",
            "/api/v1/status",
            "/api/v1/meters/nobody",
            "/static/page.js",
        ):
            headers = (await http.get(path)).headers
            for name, expected in HEADERS.items():
                if not path.startswith("/static/") or name != "cache-control":
                    assert headers[name] == expected, path
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
async def test_only_reading_is_possible(method):
    async with client() as http:
        for path in ("/", "/api/v1/status", "/nowhere", "/poll/main", "/reload"):
            response = await http.request(method, path)
            assert response.status_code == 405
            assert response.headers["allow"] == "GET, HEAD"
            assert response.headers["content-security-policy"] == POLICY


async def test_head_is_get_without_a_body():
    async with client() as http:
        for path in (*ROUTES, "/live/", "/api/v1/events", "/api/v1/status", "/metrics"):
            response = await http.head(path)
            assert (response.status_code, response.content) == (
                200,
                b"" if "live" in path or "events" in path else response.content,
            )


async def test_a_body_is_refused():
    async with client() as http:
        assert (await http.request("GET", "/", content=b"x" * 10)).status_code == 400
        assert (await http.request("GET", "/", headers={"transfer-encoding": "chunked"})).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/static/../page.py",
        "/static/%2e%2e/page.py",
        "/static/..%2f..%2fpage.py",
        "/static/",
        "/static/page.css%00.js",
        "/meter/",
        "/meter/nobody",
        "/meter/main/",
        "/meter/main/../../system.html",
        "/meter/%F0%9F%92%A9",
        "/meter/" + "a" * 4000,
        "/meter/{{7*7}}",
        "/live",
        "/live/nobody",
        "/live/meter/nobody",
        "/api/v1",
        "/api/v2/status",
        "/api/v1/meters/%3Cscript%3E",
        "/%",
    ],
)
async def test_a_bad_path_is_not_found_and_not_echoed(path):
    async with client() as http:
        response = await http.get(path)
    assert response.status_code == 404
    assert "49" not in response.text.split("<main", 1)[-1]
    assert "script>" not in response.text.split("<main", 1)[-1]


async def test_a_long_query_and_strange_parameters():
    async with client() as http:
        assert (await http.get("/?" + "a" * 5000)).status_code == 414
        for query in (
            "lang=" + "x" * 900,
            "lang=%00",
            "lang=tr&lang=en",
            "&&&===",
            "lang[]=tr",
            "%ff%fe=%ff",
        ):
            assert (await http.get("/?" + query)).status_code == 200


async def test_names_from_the_configuration_cannot_become_markup():
    nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    views = (value("active_power", 1.0), value("<b>bold</b>", 2.0))
    bad = meter(
        "bad",
        nasty,
        1,
        views,
        feeds=nasty,
        error=nasty,
        model=nasty,
        attributes={"firmware": nasty, nasty: "x"},
    )
    building = Building(replace(SNAPSHOT, name=nasty, meters=(bad,), problems=(nasty,)))
    for path in ("/", "/meter/bad", "/system"):
        shown = await page(path, building)
        assert [attrs for tag, attrs in shown.tags if tag == "img" and attrs.get("src") == "x"] == []
        assert len([tag for tag, _ in shown.tags if tag == "script"]) == 1
        assert nasty in " ".join(shown.texts)


async def test_a_problem_is_a_page_for_people_and_json_for_programs():
    async with client() as http:
        shown = Page((await http.get("/nowhere?lang=en")).text)
        assert "There is no such page." in shown.text
        body = (await http.get("/api/v1/meters/nobody")).json()
        assert body["error"] == "there is no such meter"


class Broken(Building):
    def snapshot(self):
        raise RuntimeError("secret detail")


async def test_an_error_of_our_own_shows_nothing_of_itself(caplog):
    async with client(Broken()) as http:
        response = await http.get("/")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["content-security-policy"] == POLICY
    assert "secret detail" in caplog.text


async def test_an_error_that_lasts_does_not_fill_the_log(caplog):
    async with client(Broken()) as http:
        for _ in range(20):
            assert (await http.get("/")).status_code == 500
    assert len([record for record in caplog.records if record.name == "gateway.status.page.guard"]) == 1


async def test_states_that_happen_once_a_year_still_make_a_page():
    odd = (
        MeterView("a", "A", "starting", "line1", 1, "x"),
        MeterView("b", "B", "lost", "line1", 2, "x"),
        MeterView("c", "C", "disabled", "nowhere", 3, "x", parent="gone", interval=0.0),
        meter(
            "d",
            "D",
            4,
            (
                value("active_power", math.inf, 1e9),
                value("pulse_count", 5.0, 0.0),
                value("strange", 1e300, 1.0, decimals=-3),
            ),
        ),
        MeterView("e", "E", "answering", "", None, "", values=()),
    )
    for journal in ("ok", "full", "salvaging", "failed", "newer"):
        for uplink in ("idle", "connecting", "connected", "waiting", "refused", "taken over", "stopped"):
            now = replace(
                SNAPSHOT,
                meters=odd,
                timezone="Not/AZone",
                journal=replace(SNAPSHOT.journal, state=journal, newest=None, room_days=None, not_taken=1),
                uplinks=tuple(
                    replace(view, state=uplink, since=None, backlog_oldest=None, receipts=False)
                    for view in SNAPSHOT.uplinks
                ),
                buses=tuple(replace(bus, turnaround=None, load=None, requests=0) for bus in SNAPSHOT.buses),
                beats=(Beat("journal", 100.0, 60.0),),
            )
            async with client(now) as http:
                for path in ("/", "/system", "/meter/d", "/meter/e", "/api/v1/status", "/metrics"):
                    for language in ("tr", "en"):
                        assert (await http.get(f"{path}?lang={language}")).status_code == 200, (
                            path,
                            journal,
                            uplink,
                        )


async def test_the_api_gives_value_unit_age_and_quality():
    async with client() as http:
        status = (await http.get("/api/v1/status")).json()
        one = (await http.get("/api/v1/meters/main")).json()["meter"]
        all_meters = (await http.get("/api/v1/meters")).json()["meters"]
    power = one["values"]["active_power"]
    assert power == {
        "value": 84.213, "unit": "kW", "obis": "1-0:16.7.0", "age": 3.0, "interval": 10.0, "decimals": 3,
        "quality": "good", "given": False, "suspect": False, "absent": "",
    }  # fmt: skip
    assert status["journal"]["room_days"] == 41.7
    assert status["uplinks"][0]["backlog_readings"] == 1240
    assert [m["id"] for m in all_meters] == [m.id for m in METERS]
    chiller = next(m for m in all_meters if m["id"] == "chiller")
    assert chiller["values"]["active_power"]["quality"] == "stale"


async def test_what_is_no_number_is_null_in_the_api():
    odd = replace(
        SNAPSHOT,
        meters=(meter("d", "D", 4, (value("active_power", math.nan), value("frequency", math.inf))),),
    )
    async with client(odd) as http:
        text = (await http.get("/api/v1/meters/d")).text
    values = json.loads(text, parse_constant=pytest.fail)["meter"]["values"]
    assert values["active_power"]["value"] is None
    assert values["frequency"]["value"] is None


async def test_health_is_about_signs_of_life_not_about_success():
    dead = (Beat("journal", 90.0, 60.0), Beat("loop", 0.1, 30.0))
    async with client(SNAPSHOT) as http:
        response = await http.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"status": "ok", "reasons": []})
    async with client(replace(CALM, beats=dead)) as http:
        response = await http.get("/healthz")
        assert response.status_code == 503
        assert response.json()["reasons"] == ["journal: no sign of life for 90 s, 60 s are allowed"]


async def test_metrics_are_what_prometheus_reads_and_leave_stale_numbers_out():
    async with client() as http:
        response = await http.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(response.text)
        for s in family.samples
    }
    live = ("submeter_value", ("meter", "main"), ("quantity", "active_power"), ("unit", "kW"))
    assert samples[live] == 84.213
    assert not [key for key in samples if key[0] == "submeter_value" and ("meter", "chiller") in key]
    assert samples[("submeter_meter_up", ("meter", "chiller"))] == 0
    assert samples[("submeter_meter_age_seconds", ("meter", "chiller"))] == 2467
    assert samples[("submeter_bus_errors_total", ("bus", "line1"), ("kind", "timeout"))] == 127
    assert samples[("submeter_uplink_backlog_readings", ("uplink", "city"))] == 1240
    assert samples[("submeter_readings_taken_total",)] == 26160


async def test_metrics_of_two_gateways_in_one_process_do_not_mix():
    async with client(replace(CALM, gateway="one")) as one, client(replace(CALM, gateway="two")) as two:
        assert 'gateway="one"' in (await one.get("/metrics")).text
        assert 'gateway="one"' not in (await two.get("/metrics")).text


async def test_the_picture_has_gaps_values_and_no_script():
    async with client() as http:
        response = await http.get("/meter/main/power.svg?lang=tr")
        empty = (await http.get("/meter/hvac/power.svg?lang=en")).text
    svg = response.text
    assert response.headers["content-type"].startswith("image/svg+xml")
    assert "unsafe-inline" in response.headers["content-security-policy"]
    assert "script" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert len(svg) < 12_000
    curves = re.findall(r'<polyline class="c" points="([^"]+)"', svg)
    assert [len(curve.split()) for curve in curves] == [140, 190], "the gap of five minutes is left open"
    assert svg.count('<rect class="o"') == 1
    for label in ("100\u00a0kW", ">50<", ">0<", ">18:25<", ">18:40<", ">19:25<", "82,2\u00a0kW"):
        assert label in svg
    assert "Nothing has been read in the last hour." in empty
    assert "polyline" not in empty


@pytest.mark.parametrize(
    ("low", "high", "ticks", "decimals"),
    [
        (0.0, 94.0, [0, 50, 100], 0),
        (0.0, 60.0, [0, 20, 40, 60], 0),
        (-18.4, 0.0, [-20, -10, 0], 0),
        (-7.0, 21.0, [-10, 0, 10, 20, 30], 0),
        (0.0, 1.2, [0, 0.5, 1.0, 1.5], 1),
        (0.0, 0.05, [0, 0.02, 0.04, 0.06], 2),
        (0.0, 0.0, [0], 3),
    ],
)
def test_the_axis_has_few_round_numbers(low, high, ticks, decimals):
    found, digits = axis(low, high)
    assert found == pytest.approx(ticks)
    assert digits == decimals


@pytest.mark.parametrize("power", [1e9, -1e9, 1e-9, 0.0, 999.9999])
def test_every_power_can_be_drawn(power):
    svg = power_chart([power, None] * (POINTS // 2), NOW, Locale("tr", "Europe/Istanbul", NOW))
    assert svg.startswith(b"<svg")
    assert len(svg) < 60_000


async def test_answers_are_shared_while_nothing_changes():
    building = Building()
    calls = 0
    original = building.snapshot

    def counted():
        nonlocal calls
        calls += 1
        return original()

    building.snapshot = counted
    async with client(building) as http:
        for _ in range(20):
            await http.get("/")
            await http.get("/api/v1/status")
    assert calls < 20


def test_every_route_metric_and_field_is_documented():
    text = DOCUMENT.read_text()
    for route in create_page(Building()).routes:
        assert f"`{re.sub(r'{meter}', '<id>', route.path)}`" in text or route.path.startswith(
            ("/live/", "/static/")
        ), route.path
    for family in families(SNAPSHOT):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{name}`" in text, name

    def keys(thing) -> set[str]:
        if isinstance(thing, dict):
            return {
                k
                for key, inner in thing.items()
                for k in ({key} | keys(inner) if key not in {"values", "attributes"} else {key})
            }
        return set().union(*(keys(item) for item in thing)) if isinstance(thing, list) else set()

    body = as_json(SNAPSHOT)
    for key in keys(body) | set(body["meters"][0]["values"]["active_power"]):
        assert f"`{key}`" in text, key


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        ("/api/v1/meters/nobody", {}, "there is no such meter"),
        ("/api/v1/meters/nobody?lang=tr", {}, "böyle bir sayaç yok"),
        ("/api/v1/meters/nobody", {"accept-language": "tr-TR,tr;q=0.9"}, "böyle bir sayaç yok"),
        ("/api/v1/events?every=x&lang=tr", {}, "every olabilecek bir sayı değil"),
        ("/api/v1/events?every=x", {}, "every is not a number that is possible"),
    ],
)
async def test_an_error_for_programs_is_english_unless_another_language_is_asked_for(path, headers, error):
    async with client() as http:
        body = (await http.get(path, headers=headers)).json()
    assert body["error"] == error
    assert body["hint"]
