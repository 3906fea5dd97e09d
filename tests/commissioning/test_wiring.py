"""Every wiring mistake is found on a good site; where nothing can be known nothing is said."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from typist import Typist

from gateway.cli import cli
from gateway.cli.journal import write as export
from gateway.cli.wiring_words import WIDTH
from gateway.commissioning.wiring.hypotheses import PRIOR, RIGHT, Angles, posterior
from gateway.commissioning.wiring.journalled import read_journalled
from gateway.commissioning.wiring.recorded import Recorded, read_recorded
from gateway.commissioning.wiring.tree import judge_meters
from gateway.commissioning.wiring.verdict import judge_wiring
from gateway.errors import GatewayError
from tests.bench.wiring_sites import MISTAKES, TYPICAL, WIDE, Site, draw, names

GOOD = ((1, 2, 3), (1, 1, 1))
NEVER_NEGATIVE = ((3, 1, 2), (-1, -1, -1))
"""Angles of 60° more than the load's on all inputs: Q shows no sign whatever the load, and a meter without
sign would show the same.
"""


def site(angles: tuple[float, float, float] = (8.0, 18.0, 25.0), seed: int = 7) -> Site:
    """Loads whose angles differ as in most buildings."""
    made = Site(seed, TYPICAL, rows=40, kind="mixed")
    made.phi = dict(zip((1, 2, 3), angles, strict=True))
    return made


def kinds(verdict) -> set[tuple[str, int | None]]:
    return {(finding.kind, finding.input) for finding in verdict.findings}


def table(columns: dict[str, list[float | None]], **form: str) -> str:
    sheet = io.StringIO()
    writer = csv.writer(sheet, **form)
    writer.writerow(columns)
    writer.writerows(
        ["" if value is None else value for value in row] for row in zip(*columns.values(), strict=True)
    )
    return sheet.getvalue()


@pytest.fixture
def run(tmp_path: Path):
    def run(text: str | bytes, *arguments: str):
        file = tmp_path / "values.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return CliRunner(env={"COLUMNS": "60"}).invoke(cli, ["wiring", "--from", str(file), *arguments])

    return run


def test_the_priors_of_both_beliefs_are_whole() -> None:
    assert len(PRIOR) == 48 + 24
    for belief in (1, 2):
        assert sum(prior[belief] for prior in PRIOR) == pytest.approx(1.0)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: "".join(names(mistake)))
def test_each_of_the_48_mistakes_is_found(mistake) -> None:
    """On a meter whose Q is seen to have a sign: now and then the loads are capacitive."""
    columns = site().record(mistake)
    quiet = site((-8.0, -8.0, -8.0)).record(mistake)
    for name in columns:
        columns[name][::8] = quiet[name][::8]
    verdict = judge_wiring(columns)
    assert verdict.best == names(mistake)
    if mistake == NEVER_NEGATIVE:
        assert verdict.code == 3
        return
    assert verdict.inputs == names(mistake)
    assert verdict.certainty > 0.9
    assert verdict.code == (0 if mistake == GOOD else 1)
    assert bool(verdict.findings) == (mistake != GOOD)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_reversed_transformer_is_named_by_its_input(number: int) -> None:
    signs = tuple(-1 if each == number else 1 for each in (1, 2, 3))
    assert kinds(judge_wiring(site().record(((1, 2, 3), signs)))) == {("reversed", number)}


def test_all_three_reversed_is_import_and_export_mixed_up() -> None:
    assert kinds(judge_wiring(site().record(((1, 2, 3), (-1, -1, -1))))) == {("import_export", None)}


def test_a_permuted_meter_says_which_input_has_which_conductor() -> None:
    assert kinds(judge_wiring(site().record(((3, 1, 2), (1, 1, 1))))) == {
        ("other_phase", 1),
        ("other_phase", 2),
        ("other_phase", 3),
    }


@pytest.mark.parametrize("conductors", [(1, 3, 2), (3, 2, 1), (2, 1, 3)])
def test_two_exchanged_voltages_are_a_reversed_sequence(conductors) -> None:
    verdict = judge_wiring(site().record((conductors, (1, 1, 1)), order=-1))
    assert kinds(verdict) == {("phase_order", None)}
    assert verdict.code == 1


@pytest.mark.parametrize(
    ("angles", "mistake"),
    [
        ((43.0, 43.0, 43.0), ((2, 3, 1), (-1, -1, -1))),
        ((-15.0, -16.0, -15.0), ((3, 1, 2), (-1, -1, -1))),
        ((40.0, 41.0, 41.0), ((1, 2, 3), (-1, -1, 1))),
        ((-9.0, -8.0, -8.5), ((2, 1, 3), (-1, 1, -1))),
    ],
)
def test_a_shift_by_sixty_degrees_that_is_also_a_load_is_not_decided(angles, mistake) -> None:
    verdict = judge_wiring(site(angles).record(mistake))
    assert verdict.inputs is None
    assert len(verdict.best) == 3
    assert kinds(verdict) == {("cannot_know", None)}
    assert verdict.code == 3


@pytest.mark.parametrize(
    ("mix", "band", "meter", "speaks"),
    [
        ("A", TYPICAL, "signed", 0.9),
        ("B", WIDE, "signed", 0.45),
        ("A", WIDE, "unsigned", 0.45),
    ],
)
def test_on_drawn_sites_it_speaks_often_and_is_right_then(mix, band, meter, speaks) -> None:
    right = []
    for number in range(1000):
        drawn = Site(920_000 + number, band, 24)
        mistake = draw(drawn.rng, mix)
        verdict = judge_wiring(drawn.record(mistake, meter=meter))
        right += [verdict.best == names(mistake)] if verdict.speaks else []
    assert len(right) >= speaks * 1000
    assert sum(right) >= 0.98 * len(right)


@pytest.mark.parametrize("mistake", MISTAKES[::5])
def test_a_power_factor_without_sign_never_speaks(mistake) -> None:
    columns = site().record(mistake, meter="factor")
    assert not judge_wiring(columns).speaks
    size = {
        f"active_power_l{k}": [abs(p) for p in site().record(mistake)[f"active_power_l{k}"]]
        for k in (1, 2, 3)
    }
    assert not judge_wiring(columns | size).speaks


def test_reactive_power_without_sign_is_enough_for_a_right_meter_and_not_for_a_rotated_one() -> None:
    assert judge_wiring(site((14.0, 18.0, 22.0)).record(GOOD, meter="unsigned")).inputs == names(GOOD)
    assert not judge_wiring(site((3.0, 1.0, 2.0)).record(((3, 1, 2), (1, 1, 1)), meter="unsigned")).speaks


def test_one_known_angle_leaves_the_other_inputs_open() -> None:
    ranked = posterior([[Angles(15, 13, 17)], [], []])
    assert ranked[0].hypothesis == RIGHT
    assert ranked[0].fair < 0.9
    assert sum(each.fair for each in ranked) == pytest.approx(1.0)


def test_an_input_without_current_is_named_and_the_verdict_is_silent() -> None:
    columns = site().record(GOOD)
    for name in ("current_l2", "active_power_l2", "reactive_power_l2", "apparent_power_l2"):
        columns[name] = [0.0] * 40
    verdict = judge_wiring(columns)
    assert not verdict.speaks
    assert kinds(verdict) == {("zero_current", 2), ("cannot_know", 2)}
    assert verdict.code == 1


def test_a_missing_voltage_is_named_and_its_angle_not_believed() -> None:
    columns = site().record(GOOD)
    columns["voltage_l3n"] = [3.0] * 40
    for name in ("active_power_l3", "reactive_power_l3", "apparent_power_l3"):
        columns[name] = [value * 3 / 230 for value in columns[name]]
    verdict = judge_wiring(columns)
    assert {("missing_voltage", 3), ("cannot_know", 3)} == kinds(verdict)
    assert not verdict.speaks


@pytest.mark.parametrize("factor", [40.0, 0.5, 1.2])
def test_a_ratio_that_is_in_one_of_two_values_only_is_suspected(factor: float) -> None:
    columns = site().record(GOOD)
    columns["current_l2"] = [value / factor for value in columns["current_l2"]]
    verdict = judge_wiring(columns)
    assert kinds(verdict) == {("ct_ratio", 2)}
    assert verdict.findings[0].facts["ratio"] == pytest.approx(factor, rel=0.02)
    assert verdict.inputs == names(GOOD)


def test_watts_for_kilowatts_are_told_and_are_no_fault() -> None:
    columns = site().record(GOOD)
    for name in columns:
        if "power_l" in name:
            columns[name] = [value * 1000 for value in columns[name]]
    verdict = judge_wiring(columns)
    assert kinds(verdict) == {("unit", None)}
    assert verdict.code == 0


def test_harmonics_are_no_wrong_ratio() -> None:
    made = site()
    made.distortion = 0.8
    assert judge_wiring(made.record(GOOD)).code == 0


def test_a_building_that_feeds_in_by_day_is_not_judged() -> None:
    columns = site().record(GOOD)
    for k in (1, 2, 3):
        columns[f"active_power_l{k}"] = [
            p if row % 20 < 10 else -p for row, p in enumerate(columns[f"active_power_l{k}"])
        ]
    verdict = judge_wiring(columns)
    assert not verdict.speaks
    assert {finding.facts["why"] for finding in verdict.findings} == {"both_ways"}


@pytest.mark.parametrize(
    "columns",
    [{}, {"active_power_l1": []}, {"active_power_l1": [None, 1.0], "reactive_power_l1": [0.5, None]}],
)
def test_next_to_nothing_is_silence(columns) -> None:
    assert judge_wiring(columns).code == 3


def test_json_is_one_object_with_the_contract_s_fields(run) -> None:
    result = run(table(site().record(((1, 3, 2), (1, -1, 1)))), "--json")
    answer = json.loads(result.stdout)
    assert list(answer) == ["speaks", "certainty", "inputs", "best", "findings"]
    assert (answer["speaks"], answer["inputs"], answer["best"]) == (
        True,
        ["+L1", "-L3", "+L2"],
        ["+L1", "-L3", "+L2"],
    )
    assert all(list(finding) == ["kind", "input", "text"] for finding in answer["findings"])
    assert result.exit_code == 1


def test_a_silent_answer_in_json_has_no_inputs_and_code_3(run) -> None:
    result = run(table(site().record(GOOD, meter="factor")), "--json")
    answer = json.loads(result.stdout)
    assert (answer["speaks"], answer["inputs"], len(answer["best"])) == (False, None, 3)
    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("tr", "L2'nin akım trafosu (2. akım girişi) ters"),
        ("en", "L2's transformer (current input 2) is reversed"),
    ],
)
def test_words_and_drawing_fit_a_terminal_of_60_columns(run, lang: str, said: str) -> None:
    result = run(table(site().record(((1, 2, 3), (1, -1, 1)))), "--lang", lang)
    assert said in " ".join(result.stdout.split())
    assert "2 ──◀── L2" in result.stdout
    for mistake in MISTAKES:
        for meter in ("signed", "factor"):
            shown = run(table(site().record(mistake, meter=meter)), "--lang", lang).stdout
            assert max(map(len, shown.splitlines())) <= WIDTH


def test_bom_windows_lines_semicolons_and_decimal_commas(run) -> None:
    columns = site().record(((2, 1, 3), (1, 1, 1)))
    plain = table(columns, delimiter=";", lineterminator="\r\n").replace(".", ",")
    assert json.loads(run(b"\xef\xbb\xbf" + plain.encode(), "--json").stdout)["inputs"] == [
        "+L2",
        "+L1",
        "+L3",
    ]


def with_points(text: str) -> str:
    """Thousands as Turkish writes them: 1.790.000.000.000 and 8.750,25."""
    return re.sub(r"\d{4,}", lambda number: f"{int(number[0]):,}".replace(",", "."), text.replace(".", ","))


@pytest.mark.parametrize(
    "odd",
    [
        lambda text: "sep=;\n" + text.replace(".", ","),
        lambda text: text.replace(".", ",").replace("\n", ";;\n").replace(";;", "", 1),
        with_points,
        lambda text: text.upper(),
        lambda text: re.sub(r"\b(active_power_l\d)", r"\1(kW)", re.sub(r"(voltage_l\dn)", r"\1 [V]", text)),
        lambda text: re.sub(r"\b179\d{10},0", "1,79E+12", text.replace(".", ",")),
    ],
    ids=["sep", "trailing", "thousands", "capitals", "units", "scientific"],
)
def test_what_spreadsheets_make_of_a_table_is_understood(run, odd) -> None:
    columns = site().record(((2, 1, 3), (1, 1, 1)))
    told = run(odd(table(columns, delimiter=";", lineterminator="\n")), "--json")
    assert json.loads(told.stdout)["inputs"] == ["+L2", "+L1", "+L3"], told.stderr


def test_missing_values_are_missing_and_bad_lines_are_named(run) -> None:
    columns = site().record(((2, 1, 3), (1, 1, 1)))
    columns["active_power_l1"][3] = None
    lines = table(columns, lineterminator="\n").splitlines()
    lines[5] = lines[5].replace(",", ",x", 1)
    lines[9] += ",1"
    lines[12] = lines[12].replace("17", "nan17", 1)
    lines[14] = ""
    result = run("\n".join(lines), "--json")
    assert json.loads(result.stdout)["inputs"] == ["+L2", "+L1", "+L3"]
    assert re.findall(r"values\.csv:(\d+)", result.stderr) == ["6", "10", "13"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "there is no column t"),
        ("t,b\n1,2\n", "no column has a name of the vocabulary"),
        ("t,active_power_l1,active_power_l1\n1,2,3\n", "is there twice"),
        (b"t,active_power_l1\n\xff\xfe\n", "is no UTF-8 text"),
        ("t,active_power_l1\n", "holds no line that can be used"),
        ("t;active_power_l1\n26.11.2026 14:00;1,2\n", "'26.11.2026 14:00' is no number"),
        ("t,active_power_l1\n1,1,2\n2,1,3\n", "3 fields, not 2"),
        ("t,active_power_l1 [W]\n1,2\n", "active_power_l1 is in W, not in kW"),
        ("t,active_power_l1\n1,1e12\n", "beyond anything that can be"),
    ],
)
def test_a_file_that_is_no_table_is_said_and_has_a_code_of_its_own(run, text, said: str) -> None:
    result = run(text)
    told = " ".join(result.stderr.split())
    assert said in told
    assert "values.csv" in told
    assert result.exit_code == 2


def test_a_file_that_is_not_there_and_no_file_at_all(tmp_path: Path) -> None:
    missing = CliRunner(env={"COLUMNS": "400"}).invoke(cli, ["wiring", "--from", str(tmp_path / "none.csv")])
    assert (missing.exit_code, "none.csv cannot be read" in missing.stderr) == (2, True)
    nothing = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["wiring", "main"])
    assert nothing.exit_code == 2
    assert "there is no journal" in nothing.stderr


def journalled(columns: dict[str, list[float | None]], meter: str = "main", first: int = 0) -> list[dict]:
    """As the journal holds them: a batch a moment, another meter beside it."""
    rows = zip(*columns.values(), strict=True)
    return [
        {
            "t0": 1000 * (first + row),
            "tables": [
                {"meter": ["other", meter], "dt": [3, 5],
                 "values": {name: [1.0, value] for name, value in zip(columns, values, strict=True)}},
                {"meter": [meter], "dt": [5], "values": {"active_energy_import": [475.0 + row]}},
            ],
        }
        for row, values in enumerate(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("mistake", [GOOD, ((1, 3, 2), (1, 1, 1)), ((1, 2, 3), (1, -1, 1))])
def test_the_journal_tells_what_a_file_does(mistake) -> None:
    columns = site().record(mistake)
    found = read_journalled(journalled(columns), "main")
    assert (found.rows, found.first, found.last) == (40, 5, 39_005)
    assert judge_wiring(found.columns) == judge_wiring(columns)
    assert read_journalled(journalled(columns), "none").rows == 0


@pytest.mark.parametrize(
    ("event", "counts"),
    [
        ({"kind": "meter_swapped", "meter": "main"}, 40),
        ({"kind": "meter_changed", "meter": "main"}, 40),
        ({"kind": "configuration_changed", "meter": "main", "fields": {"ct": [1, 40]}}, 40),
        ({"kind": "configuration_changed", "meter": "main", "fields": {"name": ["a", "b"]}}, 80),
        ({"kind": "meter_swapped", "meter": "other"}, 80),
    ],
)
def test_what_was_before_another_meter_or_setting_does_not_count(event, counts) -> None:
    wrong, right = site().record(((1, 3, 2), (1, 1, 1))), site().record(GOOD)
    told = [*journalled(wrong), *journalled(right, first=40)]
    told[40]["events"] = [event]
    found = read_journalled(told, "main")
    assert found.rows == counts
    assert (judge_wiring(found.columns).code == 0) == (counts == 40)


def test_what_was_not_believed_is_left_out() -> None:
    told = journalled(site().record(GOOD))
    told[3]["suspect"] = {"main": ["active_power_l1"], "other": ["active_power_l2"]}
    found = read_journalled(told, "main")
    assert found.columns["active_power_l1"][3] is None
    assert found.columns["active_power_l2"][3] is not None


def batches(meters: dict[str, dict[str, list[float | None]]]):
    """The journal's batches with these values, one reading of each meter a minute."""
    for row in range(40):
        readings = [
            {name: column[row] for name, column in columns.items() if name != "t"}
            for columns in meters.values()
        ]
        yield row, dict(zip(meters, readings, strict=True))


def test_what_the_journal_exports_is_understood(tmp_path: Path, monkeypatch) -> None:
    meters = {"main": site().record(((1, 3, 2), (1, 1, 1))), "sub": site(seed=9).record(GOOD)}

    def values(batch):
        row, readings = batch
        head = ["g", "e", row, f"2026-11-21T08:{row:02}:00.000Z", "synced"]
        for meter, found in readings.items():
            yield from ([*head, meter, name, value, ""] for name, value in found.items())
            yield [*head, meter, "frequency", "", "timeout"]

    monkeypatch.setattr("gateway.cli.journal._values", values)
    file = tmp_path / "export.csv"
    export(batches(meters), file, "csv")
    assert judge_wiring(read_recorded(file, "main").columns).inputs == ["+L1", "+L3", "+L2"]
    assert judge_wiring(read_recorded(file, "sub").columns).inputs == names(GOOD)
    with pytest.raises(GatewayError, match="several meters: main, sub"):
        read_recorded(file)
    with pytest.raises(GatewayError, match="no values of other"):
        read_recorded(file, "other")


def tree(part: float, whole: float, mistake=GOOD) -> dict[str, Recorded]:
    """A meter and the one above it, of the same site, with so much of its load each."""

    def recorded(share: float, how) -> Recorded:
        columns = {
            name: [value * share if name.startswith(("active", "reactive", "apparent", "current")) else value
                   for value in column]
            for name, column in site().record(how).items()
        }  # fmt: skip
        return Recorded(columns, 40, 1000, 2_401_000)

    return {"part": recorded(part, GOOD), "whole": recorded(whole, mistake)}


@pytest.mark.parametrize(
    ("part", "whole", "mistake", "told"),
    [
        (1.0, 0.2, GOOD, True),
        (0.2, 1.0, GOOD, False),
        (1.0, 0.96, GOOD, False),
        (0.5, 1.0, ((2, 1, 3), (1, 1, 1)), False),
        (0.5, 1.0, ((1, 2, 3), (1, -1, 1)), False),
    ],
    ids=["exchanged", "right", "alike", "whole exchanged phases", "whole reversed"],
)
def test_a_part_that_carries_more_than_the_whole_is_in_its_place(part, whole, mistake, told) -> None:
    verdicts = judge_meters(tree(part, whole, mistake), ["part", "whole"], {"part": "whole"})
    assert (("swapped_meters", None) in kinds(verdicts["part"])) == told
    assert ("swapped_meters", None) not in kinds(verdicts["whole"])
    assert (verdicts["part"].code == 1) == told
    alone = judge_meters(tree(part, whole, mistake), ["whole"], {"part": "whole"})["whole"]
    assert (("swapped_meters", None) in kinds(alone)) == told


def test_of_meters_that_were_not_read_together_nothing_is_told() -> None:
    found = tree(1.0, 0.2)
    found["whole"].first, found["whole"].last = 90_000_000, 92_400_000
    assert judge_meters(found, ["part"], {"part": "whole"})["part"].code == 0


def test_where_the_whole_feeds_in_nothing_is_told() -> None:
    found = tree(1.0, 0.2)
    columns = found["whole"].columns
    for k in (1, 2, 3):
        columns[f"active_power_l{k}"] = [-p for p in columns[f"active_power_l{k}"]]
    assert ("swapped_meters", None) not in kinds(judge_meters(found, ["part"], {"part": "whole"})["part"])


@pytest.mark.parametrize(
    ("lang", "said"),
    [("en", "the two meters are exchanged"), ("tr", "iki sayaç birbirinin yerinde")],
)
@pytest.mark.parametrize("asked", [(), ("whole",), ("part",)])
def test_the_journal_and_the_tree_tell_of_two_meters_in_each_other_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str, said: str, asked: tuple[str, ...]
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "gateway: {id: g-1}\nbuses:\n  - {name: a, type: tcp, host: 127.0.0.1}\nmeters:\n"
        "  - {id: whole, bus: a, address: 1, driver: eastron-sdm630}\n"
        "  - {id: part, bus: a, address: 2, driver: eastron-sdm630, parent: whole}\n"
    )
    found = tree(1.0, 0.2)
    told = [
        {**one, "tables": [*one["tables"], *other["tables"]]}
        for one, other in zip(
            journalled(found["part"].columns, "part"),
            journalled(found["whole"].columns, "whole"),
            strict=True,
        )
    ]
    monkeypatch.setattr("gateway.cli.wiring.journal_source", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("gateway.cli.wiring.newest_batches", lambda *_: iter(told))
    monkeypatch.setattr("gateway.cli.wiring.control_client", lambda _: None)
    shown = CliRunner(env={"COLUMNS": "60"}).invoke(
        cli, ["wiring", *asked, "-c", str(config), "--lang", lang]
    )
    assert shown.exit_code == 1, shown.output
    assert " ".join(shown.stdout.split()).count(said) == 1
    assert max(map(len, shown.stdout.splitlines())) <= WIDTH


LIVE_METER = """
import contextlib, itertools, json, os, sys
from gateway.cli import cli, wiring

rows = enumerate(itertools.cycle(json.loads(os.environ["ROWS"])))

class Daemon(contextlib.nullcontext):
    def read(self, _meters):
        at, values = next(rows)
        if at == 20:
            print("twenty", file=sys.stderr, flush=True)
        return [{"values": values}]

wiring.PAUSE = 0.2
wiring.journal_source = lambda *_: contextlib.nullcontext()
wiring.newest_batches = lambda *_: iter(())
wiring.control_client = lambda _: Daemon()
cli()
"""


@pytest.mark.parametrize(
    ("lang", "left", "said"),
    [("en", r"\d+ s left", "Wiring WRONG"), ("tr", r"\d+ sn kaldı", "Bağlantı YANLIŞ")],
)
def test_a_meter_that_is_read_live_shows_the_time_left_and_ctrl_c_ends_with_the_verdict(
    lang: str, left: str, said: str
) -> None:
    columns = site().record(((1, 2, 3), (1, -1, 1)))
    names = [name for name in columns if name != "t"]
    rows = [{name: columns[name][at] for name in names} for at in range(40)]
    typist = Typist("wiring", "main", lang=lang, python=("-c", LIVE_METER), ROWS=json.dumps(rows))
    typist.hears(left)
    typist.hears("twenty")
    typist.interrupts()
    assert typist.ends() == 1
    assert said in typist.text
    assert typist.too_wide == []


@pytest.mark.parametrize("lang", ["en", "tr"])
def test_what_a_finding_says_is_not_said_again_as_the_reason_of_silence(run, lang: str) -> None:
    columns = site().record(GOOD)
    for name in columns:
        if name.endswith("_l2"):
            columns[name] = [0.0] * len(columns[name])
    shown = run(table(columns), "--lang", lang).stdout
    assert sum(line.startswith("• ") for line in shown.splitlines()) == 1, shown
