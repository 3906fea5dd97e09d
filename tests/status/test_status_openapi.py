"""docs/openapi.json is what the gateway answers: every route and no other, every parameter, every field."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import date
from pathlib import Path

import httpx
import jsonschema
import pytest
from energy_building import ZONE, energy_history, make_history
from openapi_spec_validator import validate
from status_building import CALM, NOW, SNAPSHOT, Building

from gateway.energy import Calendar
from gateway.history import History
from gateway.journal import Journal, batch_json
from gateway.model import Draft, Event, Interval, Reading
from gateway.status.exports.programs import FILES, QUERY
from gateway.status.page.app import create_page
from tests import openapi

ROOT = Path(__file__).parents[2]
API = json.loads((ROOT / "docs" / "openapi.json").read_text())
WIRE = json.loads((ROOT / "docs" / "wire" / "batch.schema.json").read_text())
OTHER = {"lang", "every", "epoch", "first", "limit"}
"""Parameters that name no range and no register."""


class Clock:
    boot, synced = "b0" * 16, True

    def wall(self):
        return NOW

    def uptime(self):
        return 1_000_000

    def moment(self):
        return self.wall(), self.uptime()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """40 days until NOW; of the main meter every closed day has its manifest."""
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 40)
    history = History(path, Calendar(ZONE))
    for manifest in list(history.manifests(NOW, 0.0, 10_000)):
        if manifest.meter == "main":
            history.manifest_published(manifest)
    history.save()
    history.close()
    return path


@pytest.fixture
async def rows(tmp_path):
    """Batches of a real journal: readings, events and intervals."""
    journal = Journal.open(tmp_path, gateway="izm-konak-017", clock=Clock(), uplinks=["city"])
    start = NOW // 900_000 * 900_000 - 900_000
    for number in range(12):
        readings = [Reading("main", 990_000 + number, {"active_power": 1.5 + number})]
        events = [Event("meter_lost", 990_500, {"meter": "kitchen"})]
        made = [Interval("main", "active_energy_import", start, 250 + number, "m", number + 1)]
        await journal.commit(Draft(readings, events, made))

    async def found(first, last, limit, epoch):
        sealed = []
        for name, low, high in journal.epochs():
            if epoch in {None, name}:
                sealed += await journal.find(name, max(first, low), min(last, high), limit - len(sealed))
        return [batch_json(each) for each in sealed]

    found.journal = journal
    yield found
    await journal.close()


@pytest.fixture
def building(directory, rows):
    building = Building(CALM)
    building.history = energy_history(directory)
    building.change(journal=jsonless(building.now.journal, rows.journal))
    building.rows = rows
    return building


def jsonless(view, journal):
    stats = journal.stats()
    return type(view)(
        **{**{f: getattr(view, f) for f in view.__slots__}, "epoch": stats.epoch, "seq": stats.seq}
    )


async def ask(building, address: str) -> httpx.Response:
    app = create_page(building, ["gateway"], getattr(building, "rows", None))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.get(address, timeout=120)


def strict(schema):
    """The same, but nothing may be there that is not described."""
    if isinstance(schema, dict):
        made = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema and schema.get("type") == "object":
            made["additionalProperties"] = False
        return made
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


def judge(body, schema) -> None:
    whole = {**strict(schema), "components": strict(API["components"])}
    jsonschema.Draft202012Validator(whole).validate(body)


def described(path: str, status: int = 200):
    return API["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]["schema"]


def parameters(path: str) -> dict[str, dict]:
    found = {}
    for each in API["paths"][path]["get"]["parameters"]:
        one = API["components"]["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        found[one["name"]] = one
    return found


def test_it_is_a_sound_description_and_the_one_that_is_served() -> None:
    validate(API)
    assert API["openapi"].startswith("3.1")


def test_its_live_values_are_the_dataclasses_that_are_shown() -> None:
    text = openapi.FILE.read_text()
    assert openapi.renewed(text) == text, "run make docs"


async def test_it_is_served(building) -> None:
    assert (await ask(building, "/api/openapi.json")).json() == API


def test_every_route_for_programs_is_described_and_nothing_else() -> None:
    routes = {route.path for route in create_page(Building()).routes}
    programs = {path for path in routes if path.startswith("/api/")} | {"/healthz", "/metrics"}
    assert programs == set(API["paths"])


def test_every_parameter_is_described_and_known() -> None:
    said = {name for path in API["paths"] for name in parameters(path) if "{" not in path or name != "meter"}
    assert said == {*QUERY, *OTHER}
    for view in FILES:
        assert "format" in parameters(f"/api/v1/{view}"), view
        assert "text/csv" in API["paths"][f"/api/v1/{view}"]["get"]["responses"]["200"]["content"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/healthz", ""),
        ("/api/v1/status", ""),
        ("/api/v1/meters", ""),
        ("/api/v1/energy", "?day=2026-11-20"),
        ("/api/v1/energy", "?week=2026-11-20&meter=heat"),
        ("/api/v1/energy", "?month=2019-01"),
        ("/api/v1/tree", "?month=2026-11"),
        ("/api/v1/reactive", ""),
        ("/api/v1/quality", "?from=2026-11-01&to=2026-11-20"),
        ("/api/v1/report", "?year=2026"),
        ("/api/v1/report", "?month=2026-11"),
        ("/api/v1/intervals", "?meter=main&day=2026-11-20"),
        ("/api/v1/intervals", "?meter=main&quantity=reactive_energy_q1&month=2026-11"),
        ("/api/v1/manifests", "?meter=main&month=2026-11"),
        ("/api/v1/batches", ""),
        ("/api/v1/batches", "?first=3&limit=2"),
    ],
)
async def test_every_field_of_an_answer_is_described_and_every_described_one_is_there(
    building, path, query
) -> None:
    answer = await ask(building, path + query)
    assert answer.status_code == 200, answer.text
    judge(answer.json(), described(path))


async def test_live_values_of_every_kind_are_as_described() -> None:
    for snapshot in (SNAPSHOT, CALM):
        answer = await ask(Building(snapshot), "/api/v1/status")
        judge(answer.json(), described("/api/v1/status"))
        for meter in snapshot.meters:
            one = await ask(Building(snapshot), f"/api/v1/meters/{meter.id}")
            judge(one.json(), described("/api/v1/meters/{meter}"))


def test_the_judge_sees_a_field_too_much_and_one_too_few() -> None:
    good = {"status": "ok", "reasons": []}
    judge(good, described("/healthz"))
    for bad in ({"status": "ok"}, {**good, "more": 1}, {**good, "status": "fine"}):
        with pytest.raises(jsonschema.ValidationError):
            judge(bad, described("/healthz"))


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/v1/energy", "?day=yesterday", 400),
        ("/api/v1/energy", "?by=second", 400),
        ("/api/v1/energy", "?meter=nobody", 400),
        ("/api/v1/energy", "?format=pdf", 400),
        ("/api/v1/tree", "?month=2026-13", 400),
        ("/api/v1/intervals", "", 400),
        ("/api/v1/intervals", "?meter=main&year=2026", 400),
        ("/api/v1/intervals", "?meter=main&quantity=volume", 400),
        ("/api/v1/intervals", "?meter=main&format=csv", 400),
        ("/api/v1/batches", "?limit=51", 400),
        ("/api/v1/batches", "?first=-1", 400),
        ("/api/v1/batches", "?first=١", 400),
        ("/api/v1/events", "?every=0", 400),
        ("/api/v1/meters/{meter}", "", 404),
    ],
)
async def test_what_is_not_understood_is_said_in_both_languages_as_described(
    building, path, query, status
) -> None:
    address = path.replace("{meter}", "nobody") + query
    answer = await ask(building, address)
    assert answer.status_code == status, answer.text
    judge(answer.json(), described(path, status))
    turkish = await ask(building, f"{address}{'&' if '?' in address else '?'}lang=tr")
    judge(turkish.json(), described(path, status))
    assert turkish.json()["error"] != answer.json()["error"]


async def test_without_a_history_or_a_journal_it_is_said_as_described() -> None:
    for path in ("/api/v1/energy", "/api/v1/report", "/api/v1/batches"):
        answer = await ask(Building(CALM), path)
        assert answer.status_code == 503
        judge(answer.json(), described(path, 503))


async def test_batches_are_those_that_are_sent(building) -> None:
    newest = (await ask(building, "/api/v1/batches")).json()
    assert [each["seq"] for each in newest["batches"]] == list(range(3, 13))
    page = (await ask(building, "/api/v1/batches?first=5&limit=3")).json()
    assert [each["seq"] for each in page["batches"]] == [5, 6, 7]
    assert (await ask(building, "/api/v1/batches?epoch=ffffffffffffffff")).json()["batches"] == []
    for row in newest["batches"]:
        jsonschema.Draft202012Validator(WIRE).validate(row["batch"])
        assert row["batch"]["seq"] == row["seq"]
        assert row["batch"]["events"]
        assert row["batch"]["intervals"]


async def test_intervals_and_manifests_prove_one_another(building) -> None:
    """As a receiver does: the hash over what was given is the one of the manifest."""
    day = date(2026, 11, 18)
    body = (await ask(building, f"/api/v1/intervals?meter=main&day={day}")).json()
    told = (await ask(building, f"/api/v1/manifests?meter=main&day={day}")).json()["manifests"]
    assert len(body["registers"]) == len(told) == 4
    for register in body["registers"]:
        manifest = next(each for each in told if each["quantity"] == register["quantity"])
        lines = "".join(
            f"{start},{value},{quality},{version}\n"
            for start, value, quality, version in register["intervals"]
        )
        assert manifest["sha256"] == hashlib.sha256(lines.encode()).hexdigest()
        assert manifest["count"] == len(register["intervals"]) == 96
        assert manifest["sum"] == sum(value for _, value, _, _ in register["intervals"])
    assert (await ask(building, f"/api/v1/manifests?meter=heat&day={day}")).json()["manifests"] == []


def test_a_strict_copy_leaves_the_description_alone() -> None:
    before = copy.deepcopy(API)
    strict(API)
    assert before == API
