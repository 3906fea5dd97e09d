"""What the checks of the engine found, on the page and in the API: what is so now is something to see to, and
a meter's page has all of it, in both languages.
"""

from __future__ import annotations

import re
from html import unescape

import pytest
from energy_building import energy_history, facts, keep_findings, make_history
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Finding, KeptFinding
from gateway.status.energy.facts import EnergyMeter
from gateway.status.words import check_notices
from gateway.status.words.checks import ACTIONS, SENTENCES, on_page
from gateway.status.words.language import Locale

IMPORT = "active_energy_import"
HOUR, DAY = 3_600_000, 86_400_000
KWH = 10**15
"""Grains."""
MIDNIGHT = NOW - NOW % 900_000 - 20 * DAY
RATIO = Finding("transformer_ratio", MIDNIGHT, {}, {"factor": "2.000", "pairs": "100/200, 50/100"})
WIRING = Finding("wiring", NOW - 9 * HOUR, {}, {"what": "l2", "value": "-0.31"})
RESET = Finding("reset", NOW - 2 * DAY, {"from": 5000 * KWH + KWH // 2, "to": 0})
F = {language: Locale(language, "Europe/Istanbul", NOW) for language in ("tr", "en")}
AMOUNTS = (
    "from", "to", "closed", "before", "register", "expected", "power", "sum", "usual", "highest", "apart",
    "value", "modulus", "kept", "dropped", "step", "rest",
)  # fmt: skip


@pytest.mark.parametrize("language", ["tr", "en"])
@pytest.mark.parametrize("which", sorted(SENTENCES))
def test_every_sentence_is_whole_in_both_languages(which, language) -> None:
    kinds = {"voltage": "network", "frequency": "network", "unbalance": "network", "assumed": "rollover"}
    kinds |= dict.fromkeys(("power_triangle", "sum_of_phases", "power_factor", "phase_power"), "identity")
    kinds |= dict.fromkeys(("too_large", "too_small"), "transformer_size")
    facts = {"what": "l1" if which == "wiring" else which, "percent": "3.7", "factor": "1.500", "hours": 3}
    facts |= {
        "pairs": "50/75",
        "until": NOW,
        "failed_reads": 2,
        "shape": "line",
        "assumed": which == "assumed",
    }
    electric = kinds.get(which, which) in {"network", "wiring"}
    finding = Finding(
        kinds.get(which, which),
        NOW,
        {name: 1234 * KWH + KWH // 4 for name in AMOUNTS if not (electric and name == "value")},
        facts | ({"value": "0.31"} if electric else {}),
    )
    said = on_page(IMPORT, finding, F[language])
    assert "%(" not in said
    assert (said == SENTENCES[which]) == (language == "en" and "%" not in SENTENCES[which])
    if "%(from)s" in SENTENCES[which]:
        assert {"tr": "1.234,25 kWh", "en": "1,234.25 kWh"}[language] in said
    if which == "wiring":
        assert "L1" in said
        assert {"tr": "0,31", "en": "0.31"}[language] in said


def jobs(*kept: KeptFinding) -> list[str]:
    found = sorted(kept, key=lambda each: each.seen)
    return [each.text for each in check_notices.jobs(found, {"m": "Main"}, NOW, F["en"])]


@pytest.mark.parametrize(
    ("finding", "quantity", "age"),
    [(RATIO, IMPORT, 2 * DAY), (WIRING, "", DAY), (RESET, IMPORT, 8 * DAY)],
    ids=lambda each: each.kind if isinstance(each, Finding) else "",
)
def test_a_finding_is_told_while_it_is_so_and_not_for_ever(finding, quantity, age) -> None:
    (said,) = jobs(KeptFinding("m", quantity, finding, NOW - age))
    assert said.startswith("Main: ")
    assert jobs(KeptFinding("m", quantity, finding, NOW - age - 1)) == []
    assert jobs(KeptFinding("not there any more", quantity, finding, NOW)) == []


@pytest.mark.parametrize("kind", ["spike", "unusual_day", "gap", "glitch", "network", "resolution", "frozen"])
def test_what_passes_or_is_told_elsewhere_is_nothing_to_see_to(kind) -> None:
    assert kind not in ACTIONS
    assert jobs(KeptFinding("m", IMPORT, Finding(kind, NOW), NOW)) == []


def test_a_circuit_that_rests_has_no_wrong_transformers() -> None:
    large, small = (
        Finding("transformer_size", NOW, {}, {"what": what, "percent": "3.1"})
        for what in ("too_large", "too_small")
    )
    assert jobs(KeptFinding("m", "", large, NOW)) == []
    assert len(jobs(KeptFinding("m", "", small, NOW))) == 1


def test_a_finding_of_another_version_takes_no_page_down() -> None:
    later = Finding("seen_by_a_later_one", NOW, {"energy": 5})
    for finding, quantity in (
        (later, ""),
        (later, IMPORT),
        (Finding("reset", NOW, {"until_now": 5}), IMPORT),
    ):
        assert on_page(quantity, finding, F["tr"]) == finding.kind
        one = KeptFinding("m", quantity, finding, NOW)
        assert check_notices.of_meter([one], "m", F["tr"])[0][2] == finding.kind


@pytest.mark.parametrize("kind", ["swap", "returned"])
def test_a_register_that_began_anew_is_explained_by_what_came_after(kind) -> None:
    reset = KeptFinding("m", IMPORT, RESET, RESET.t)
    after = Finding(kind, RESET.t + HOUR, {"closed": KWH, "from": 0, "to": KWH, "before": KWH})
    assert jobs(reset, KeptFinding("m", IMPORT, after, after.t)) == []
    assert len(jobs(reset, KeptFinding("m", "volume", after, after.t))) == 1
    before = Finding(kind, RESET.t - HOUR, after.amounts)
    assert len(jobs(reset, KeptFinding("m", IMPORT, before, before.t))) == 1


@pytest.fixture(scope="module")
def building(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 30)
    spike = Finding("spike", NOW - 6 * HOUR, {"highest": 40 * KWH}, {"percent": 210})
    keep_findings(
        path,
        NOW,
        ("hvac", IMPORT, RATIO, 12),
        ("hvac", "", WIRING, 1),
        ("hvac", IMPORT, spike, 6),
    )
    calm = Building(CALM)
    calm.history = energy_history(path, meters=(*facts().meters, EnergyMeter("hvac", "Klima", "main")))
    return calm


async def test_the_first_screen_has_it_as_something_to_see_to(building) -> None:
    async with client(building) as browser:
        for language, words in (
            ("en", ["things need you", "Klima: it counts by another transformer ratio", "phase L2 works"]),
            ("tr", ["Klima: üstündeki sayaca göre başka bir trafo oranıyla", "L2 fazı ötekilere ters"]),
        ):
            html = unescape((await browser.get(f"/?lang={language}")).text)
            for each in words:
                assert each in html
            assert "Everything is in order" not in html
            assert "third highest" not in html
            assert "üçüncüsünün" not in html


async def test_the_page_of_a_meter_has_all_of_it(building) -> None:
    async with client(building) as browser:
        html = (await browser.get("/meter/hvac?lang=en")).text
    text = " ".join("".join(Page(html).texts).split())
    told = text.partition("What the checks found")[2]
    at = [
        told.index(words) for words in ("the highest quarter hour", "phase L2", "another transformer ratio")
    ]
    assert at == sorted(at)
    assert "(configured/installed: 100/200, 50/100)" in told
    first = text.partition("What the checks found")[0]
    assert "Compare ct of this meter with the plate of its transformers." in first
    assert "submeter wiring hvac" in first
    async with client(building) as browser:
        assert "What the checks found" not in (await browser.get("/meter/main?lang=en")).text


@pytest.mark.parametrize(
    ("asked", "checks"),
    [
        ("", {"transformer_ratio", "wiring", "spike"}),
        (f"?day={F['en'].day_of(NOW - 5 * DAY)}", {"transformer_ratio"}),
        (f"?day={F['en'].day_of(NOW - 25 * DAY)}", set()),
    ],
)
async def test_a_program_gets_what_was_so_in_its_range(building, asked, checks) -> None:
    async with client(building) as browser:
        found = (await browser.get(f"/api/v1/quality{asked}")).json()["findings"]
    assert {each["check"] for each in found} == checks
    for each in found:
        if each["check"] == "spike":
            assert (each["highest"], each["percent"], each["quantity"]) == (40_000, 210, IMPORT)
        if each["check"] == "wiring":
            assert (each["quantity"], each["what"], each["seen"]) == ("", "l2", NOW - HOUR)


def test_the_evidence_of_a_sentence_is_what_a_check_gives() -> None:
    """A placeholder that no check fills would fail on the page of the meter that needs it."""
    given = {
        *AMOUNTS,
        "what",
        "value",
        "percent",
        "factor",
        "hours",
        "pairs",
        "until",
        "failed_reads",
        "shape",
    }
    used = {name for text in SENTENCES.values() for name in re.findall(r"%\((\w+)\)s", text)}
    assert used <= given
