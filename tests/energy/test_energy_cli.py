"""submeter energy --from FILE: the file's shape, every bad line, the lines of JSON, the text at 60
columns.
"""

import json
import random
import resource
import subprocess
import sys
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.cli.energy import command
from gateway.energy import Calendar, Finding, Interval
from gateway.history import History
from gateway.history.events.findings import Findings
from gateway.status.words.checks import SENTENCES

HEAD = "meter,quantity,t,value\n"
T0 = 1_795_219_200_000
QUARTER = 900_000
DAY = 96 * QUARTER


def write(path, rows, head=HEAD):
    path.write_text(head + "".join(f"{meter},{quantity},{t},{value}\n" for meter, quantity, t, value in rows))
    return path


def rows(count=9, meter="main", quantity="active_energy_import", by="1.25"):
    return [(meter, quantity, T0 + k * QUARTER, float(by) * k + 100) for k in range(count)]


def call(*words, columns=60, language="en"):
    return CliRunner().invoke(
        cli,
        ["--lang", language, "energy", *map(str, words)],
        env={"COLUMNS": str(columns)},
        catch_exceptions=True,
    )


def parsed(result) -> list[dict]:
    assert result.exit_code == 0, (result.stderr, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_line_of_json_for_each_interval(tmp_path) -> None:
    lines = parsed(call("--from", write(tmp_path / "a.csv", rows(3)), "--json"))
    assert lines == [
        {
            "meter": "main",
            "quantity": "active_energy_import",
            "start": T0 + k * QUARTER,
            "seconds": 900,
            "value": 1250,
            "quality": "m",
            "version": 1,
        }
        for k in range(2)
    ]


@pytest.mark.parametrize(
    ("quantity", "values", "whole"),
    [
        ("active_energy_export", ("0.0004", "0.0005"), 1),
        ("reactive_energy_q1", ("10", "10.1"), 100),
        ("apparent_energy", ("1e3", "1.0015e3"), 1500),
        ("volume", ("3.000001", "3.000003"), 2),
        ("pulse_count", ("17", "29"), 12),
        ("heat_energy", ("184223.9137", "184224.9137"), 1000),
        ("active_energy_import_t2", ("-1", "+1"), 2000),
    ],
)
def test_values_are_decimals_in_the_unit_of_the_vocabulary(tmp_path, quantity, values, whole) -> None:
    file = write(
        tmp_path / "a.csv", [("m", quantity, T0 + k * QUARTER, value) for k, value in enumerate(values)]
    )
    assert [line["value"] for line in parsed(call("--from", file, "--json"))] == [whole]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + "main,active_energy_import,{0},1\nmain,active_energy_import,{1},2\n",
        (HEAD + "main,active_energy_import,{0},1\nmain,active_energy_import,{1},2").replace("\n", "\r\n"),
        "\n\n meter , quantity,t , value\n\n  main , active_energy_import , {0} , 1 \n\n "
        "\nmain,active_energy_import,{1},2\n\n",
        'value,t,"quantity",METER,note\n1,{0},active_energy_import,"main",a\n2,{1},"active_energy_import",main,b\n',
        "meter;quantity;t;value\nmain;active_energy_import;{0};1,0\nmain;active_energy_import;{1};2,0\n",
        HEAD + "main,active_energy_import,{1},2\nmain,active_energy_import,{0},1\n",
        HEAD
        + "main,active_energy_import,{0},1,\nmain,active_energy_import,{0},\nmain,active_energy_import,{1},"
        "2,,\n",
    ],
)
def test_what_spreadsheets_do_to_a_file_is_harmless(tmp_path, text) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text.format(T0, T0 + QUARTER), encoding="utf-8", newline="")
    assert [line["value"] for line in parsed(call("--from", file, "--json"))] == [1000]


BAD = {
    "main,active_energy_import,{t},1.5.2": "value: is not a number",
    "main,active_energy_import,{t},nan": "value: is not a number",
    "main,active_energy_import,{t},1_000": "value: is not a number",
    "main,active_energy_import,{t},١٢": "value: is not a number",
    "main,active_energy_import,{t},1e15": "value: has more digits",
    "main,active_energy_import,{t},12,5": "has 5 columns, the header has 4",
    "main,active_energy_import,{t}": "has 3 columns",
    "main,active_energy,{t},1": "quantity: is not in the vocabulary",
    ",active_energy_import,{t},1": "meter: is empty",
    "ma\u200bin,active_energy_import,{t},1": "meter: has a character that is not seen",
    "main,active_energy_import,2026-11-21,1": "t: is not a whole number",
    "main,active_energy_import,1795278300,1": "these are seconds",
    "main,active_energy_import,99999999999999999999,1": "t: is not between",
    'main,active_energy_import,{t},"1': "quotation marks",
    "main,active_energy_import,{t},1" + " " * 5000: "is longer than",
}


def test_every_bad_line_is_named_and_nothing_is_computed(tmp_path) -> None:
    file = tmp_path / "bad.csv"
    good = f"main,active_energy_import,{T0},1\n"
    file.write_text(HEAD + "".join(f"{good}{line.format(t=T0)}\n" for line in BAD), encoding="utf-8")
    result = call("--from", file, "--json", columns=10_000)
    assert result.exit_code == 1
    assert result.stdout == ""
    told = result.stderr.splitlines()
    for number, (line, what) in enumerate(BAD.items()):
        assert told[number].startswith(f"{file}:{2 * number + 3}: "), line
        assert what in told[number], line
    assert f"{len(BAD)} lines cannot be used" in str(result.exception)


@pytest.mark.parametrize(
    ("first", "then"), [("184223,5", "184.224"), ("184223.5", "184224,5"), ("0,5", "1.234,5")]
)
def test_a_file_has_one_sign_before_decimals(tmp_path, first, then) -> None:
    """What another line shows to be a sign for thousands is not taken for one before decimals."""
    file = tmp_path / "mixed.csv"
    lines = [f"main;active_energy_import;{T0 + k * QUARTER};{text}\n" for k, text in enumerate((first, then))]
    file.write_text("meter;quantity;t;value\n" + "".join(lines))
    result = call("--from", file, "--json", columns=10_000)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"{file}:3: value: " in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (
            b"meter,quantity,t\nmain,active_energy_import,1\n",
            ":1: the header does not name each column once (value)",
        ),
        (b"\nmeter,quantity,t,value,value\n", ":2: the header does not name each column once (value)"),
        (HEAD.encode("utf-16"), "the header does not name"),
    ],
)
def test_a_file_without_its_header_is_refused(tmp_path, content, words) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    result = call("--from", file)
    assert result.exit_code == 1
    assert words in str(result.exception)
    assert "meter,quantity,t,value" in str(result.exception)


@pytest.mark.parametrize("more", ["", "\n\n"])
def test_a_file_without_a_reading_is_said_to_have_none(tmp_path, more) -> None:
    """It printed nothing, as if all was well."""
    file = write(tmp_path / "heads.csv", [])
    file.write_text(file.read_text() + more)
    for words in ([], ["--json"]):
        result = call("--from", file, *words, columns=10_000)
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(result.exception).startswith(f"{file}: has no reading → write a line for each")


def test_a_file_of_readings_that_are_not_used_is_not_said_to_have_none(tmp_path) -> None:
    file = write(tmp_path / "other.csv", rows(3, quantity="voltage_l1n"))
    result = call("--from", file, columns=10_000)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "3 lines of voltage_l1n are not used" in result.stderr
    assert "has no reading" not in result.stderr


def test_a_file_that_is_not_there_is_said(tmp_path) -> None:
    result = call("--from", tmp_path / "no.csv")
    assert "no.csv: cannot be read: No such file" in str(result.exception)


def test_without_a_file_the_gateways_own_intervals_are_printed(tmp_path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"gateway: {{id: g}}\njournal: {{directory: {tmp_path}}}\n")
    result = call("-c", config)
    assert "no history" in str(result.exception)
    history = History(tmp_path, Calendar(ZoneInfo("Europe/Istanbul")))
    for meter in ("main", "hvac"):
        past = history.past(meter, "active_energy_import")
        for k in range(10 * 96):
            past.put(Interval(meter, "active_energy_import", T0 + k * QUARTER, 250, "m"), corrected=False)
    history.lose(date(2026, 11, 1), date(2026, 11, 26))
    history.save()
    lines = parsed(call("-c", config, "--meter", "hvac", "--day", "2026-11-25", "--json"))
    assert {line["meter"] for line in lines} == {"hvac"}
    assert len(lines) == 96
    assert lines[0] == {
        "meter": "hvac",
        "quantity": "active_energy_import",
        "start": T0 + (4 * 96 - 12) * QUARTER,  # midnight in Istanbul
        "seconds": 900,
        "value": 250,
        "quality": "m",
        "version": 0,
    }
    text = call("-c", config).stdout
    assert "main · active_energy_import" in text
    assert "≥" not in text
    assert "edited" not in text
    past = history.past("hvac", "active_energy_import")
    past.put(Interval("hvac", "active_energy_import", T0 + 970 * QUARTER, 250, "m"), corrected=False)
    history.save()
    for k in (5, 6):
        edited = Interval("main", "active_energy_import", T0 + (9 * 96 + k) * QUARTER, 900, "d")
        history.past("main", "active_energy_import").put(edited, corrected=True)
    history.save()
    said = " ".join(call("-c", config, "--meter", "main").stdout.split())
    assert "2 quarter hours were edited by a person" in said
    hole = " ".join(call("-c", config, "--meter", "hvac").stdout.split())
    assert "nothing is known of 2.50 h between these times: the sum is at least that" in hole
    assert "sum ≥ " in hole
    assert "2026-12-01" in text
    assert "2026-11-24" not in text.replace("from 2026-11-24", "").replace("2026-11-25 to", "")  # seven days
    assert "lost with a damaged file" in " ".join(text.split())
    assert "cannot" not in text
    wrong = call("-c", config, "--meter", "nobody").exception
    assert "no meter nobody" in str(wrong)
    assert "hvac, main" in wrong.hint


def test_events_are_lines_of_their_own(tmp_path) -> None:
    readings = [
        ("main", "active_energy_import", T0 + k * 60_000, value)
        for k, value in enumerate([*range(100, 150), *range(71)])
    ]
    lines = parsed(call("--from", write(tmp_path / "a.csv", readings), "--json"))
    events = [line for line in lines if "event" in line]
    assert events == [
        {
            "event": "reset",
            "meter": "main",
            "quantity": "active_energy_import",
            "t": T0 + 50 * 60_000,
            "from": 149_000,
            "to": 0,
        }
    ]
    assert "".join(line["quality"] for line in lines if "start" in line) == "mmmsmmmm"


def test_what_is_known_of_registers_and_meters_is_used(tmp_path) -> None:
    over = [("a", "active_energy_import", T0 + k * QUARTER, (996 + k) % 1000) for k in range(9)]
    swap = [("b", "active_energy_import", T0 + k * QUARTER, 50 + k if k < 5 else 900 + k) for k in range(9)]
    file = write(tmp_path / "a.csv", over + swap)
    lines = parsed(
        call(
            "--from", file, "--json", "--digits", "active_energy_import=3", "--swap", f"b={T0 + 5 * QUARTER}"
        )
    )
    assert sum(line["value"] for line in lines if line["meter"] == "a" and "value" in line) == 8000
    assert sum(line["value"] for line in lines if line["meter"] == "b" and "value" in line) == 7000
    assert {line["event"] for line in lines if "event" in line} >= {"rollover", "swap"}
    wide = [("a", "active_energy_import", T0 + k * QUARTER, (654.36 + k) % 655.36) for k in range(9)]
    lines = parsed(call("--from", write(tmp_path / "w.csv", wide), "--json", "--width", "16:0.01"))
    assert sum(line["value"] for line in lines if "value" in line) == 8000
    jump = [("a", "active_energy_import", T0 + k * QUARTER, 50 + k if k < 4 else 950 + k) for k in range(9)]
    file = write(tmp_path / "j.csv", jump)
    assert "impossible_rate" in {
        line.get("event") for line in parsed(call("--from", file, "--json", "--ct", "a=100"))
    }
    assert "impossible_rate" in {
        line.get("event") for line in parsed(call("--from", file, "--json", "--contract-kw", "100"))
    }
    assert "impossible_rate" not in {
        line.get("event") for line in parsed(call("--from", file, "--json", "--ct", "10000"))
    }


@pytest.mark.parametrize(
    "words",
    [
        ("--digits", "voltage_l1n=6"),
        ("--digits", "0"),
        ("--digits", "x"),
        ("--width", "32:0"),
        ("--width", "65"),
        ("--ct", "-5"),
        ("--timezone", "Izmir"),
        ("--timezone", "../etc"),
        ("--holiday", "29.10.2026"),
        ("--swap", "5"),
        ("--swap", "main=soon"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path, words) -> None:
    result = call("--from", write(tmp_path / "a.csv", rows()), *words)
    assert result.exit_code == 2
    assert (
        words[1].rpartition("=")[2].split(":")[0].strip("-") in result.stderr
        or words[1].partition("=")[0] in result.stderr
    )


def test_a_wrong_day_is_refused_by_the_name_of_its_option() -> None:
    result = call("--day", "29.10.2026")
    assert result.exit_code == 2
    assert "--day" in result.stderr
    assert "--holiday" not in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--meter", "main"], "--meter is for the intervals of the gateway"),
        (["--day", "2026-11-21"], "--day is for the intervals of the gateway"),
    ],
)
def test_what_is_of_the_gateway_is_refused_beside_a_file(tmp_path, words, said) -> None:
    result = call("--from", write(tmp_path / "a.csv", rows()), *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "words", [["--digits", "6"], ["--timezone", "UTC"], ["--swap", "m=1"], ["--ct", "5"]]
)
def test_what_is_of_a_file_is_refused_without_one(tmp_path, words) -> None:
    result = call("-c", tmp_path / "gateway.yaml", *words)
    assert result.exit_code == 2
    assert f"{words[0]} is for a file of readings" in " ".join(result.stderr.split())


def test_a_meter_that_the_file_does_not_have_is_said(tmp_path) -> None:
    result = call("--from", write(tmp_path / "a.csv", rows()), "--ct", "mian=100")
    assert "has no meter mian → it has main" in str(result.exception)


@pytest.mark.parametrize("language", ["en", "tr"])
def test_the_text_fits_60_columns(tmp_path, language) -> None:
    readings = rows(200, "a-meter-with-a-name-of-many-letters-in-the-basement", "reactive_energy_import_t1")
    readings += [
        ("b", "active_energy_import", T0 + k * 60_000, value)
        for k, value in enumerate([*range(100, 150), *range(71)])
    ]
    readings += [("b", "frequency", T0, 50), ("c", "volume", T0, 1)]
    result = call("--from", write(tmp_path / "a.csv", readings), language=language)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 60
    number = "248,750" if language == "tr" else "248.750"
    assert any(number in line for line in lines)
    assert any(
        word in result.stdout for word in (["yeniden başladı"] if language == "tr" else ["began anew"])
    )
    assert "frequency" in result.stderr


def test_a_later_version_replaces_the_first_in_the_text(tmp_path) -> None:
    readings = [("b", "active_energy_import", T0 + k * 60_000, 100 + min(k, 15)) for k in range(91)]
    readings += [("b", "active_power", T0 + k * 60_000, 60) for k in range(91)]
    file = write(tmp_path / "a.csv", readings)
    lines = parsed(call("--from", file, "--json"))
    newest = {line["start"]: line for line in lines if "start" in line}
    assert "".join(line["quality"] for line in newest.values()) == "msssss"
    assert [line["version"] for line in newest.values()] == [1, 2, 2, 1, 1, 1]
    row = next(
        line for line in call("--from", file).stdout.splitlines() if "2026-11-21" in line and "15.000" in line
    )
    assert row.split()[1:] == ["15.000", "1", "0", "5"]


def test_whoever_reads_the_first_line_only_leaves_no_trace(tmp_path) -> None:
    file = write(tmp_path / "a.csv", rows(20_000))
    words = [sys.executable, "-c", "from gateway.cli import main; main()", "energy", "--json", "--from", file]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["value"] == 1250
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def test_a_large_file_takes_bounded_memory(tmp_path) -> None:
    file, random_ = tmp_path / "large.csv", random.Random(7)
    with file.open("w") as out:
        out.write(HEAD)
        value = [1000.0] * 5
        for k in range(40_000):
            for meter in range(5):
                value[meter] += random_.randint(0, 9)
                out.write(f"m{meter},active_energy_import,{T0 + k * 60_000},{value[meter] / 1000:.3f}\n")
    done = subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", "energy", "--json", "--from", file],
        capture_output=True, text=True, timeout=110, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (220 * 2**20, 220 * 2**20)),
    )  # fmt: skip
    totals = dict.fromkeys(range(5), 0)
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        totals[int(entry["meter"][1])] += entry.get("value", 0)
    assert len(done.stdout.splitlines()) >= 5 * (40_000 // 15 - 1)
    assert all(total > 0 for total in totals.values())


DOC = (Path(__file__).parents[2] / "docs/energy.md").read_text(encoding="utf-8")


def test_the_example_of_the_documentation_is_true(tmp_path) -> None:
    file = tmp_path / "example.csv"
    file.write_text(DOC.split("```csv\n")[1].split("```")[0])
    assert call("--from", file, "--json").stdout == DOC.split("```json\n")[1].split("```")[0]


def test_the_gateways_findings_are_printed_with_its_intervals(tmp_path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"gateway: {{id: g}}\njournal: {{directory: {tmp_path}}}\n")
    history = History(tmp_path, Calendar(ZoneInfo("Europe/Istanbul")))
    for k in range(10 * 96):
        interval = Interval("main", "active_energy_import", T0 + k * QUARTER, 250, "m")
        history.past("main", "active_energy_import").put(interval, corrected=False)
    findings, kwh = Findings(), 10**15
    findings.add("main", "active_energy_import", Finding("reset", T0 + 9 * DAY, {"from": 5 * kwh, "to": 0}))
    findings.add("main", "", Finding("wiring", T0 + DAY, {}, {"what": "l2", "value": "-0.31"}))
    findings.add("main", "active_energy_import", Finding("glitch", T0 + DAY, {"register": 0, "before": kwh}))
    findings.lasts("main", "", ["wiring"], T0 + 9 * DAY)
    history.save(**findings.packed())
    text = " ".join(call("-c", config).stdout.split())
    assert "began anew: 0 kWh after 5 kWh" in text
    assert "→ If the meter was exchanged: submeter swap main." in text
    assert "phase L2 works against the others" in text, "it lasts"
    assert "dropped" not in text, "it was before the seven days"
    assert "dropped" in call("-c", config, "--day", "2026-11-22").stdout
    events = [line for line in parsed(call("-c", config, "--json")) if "event" in line]
    reset = {"event": "reset", "meter": "main", "quantity": "active_energy_import", "t": T0 + 9 * DAY}
    assert reset | {"from": 5000, "to": 0} in events
    assert {(each["event"], each["quantity"]) for each in events} == {
        ("reset", "active_energy_import"),
        ("wiring", ""),
    }


def test_every_event_and_option_is_documented() -> None:
    for kind in SENTENCES:
        assert f"`{kind}`" in DOC
    for word in {word for option in command.params for word in option.opts} - {"--lang"}:
        assert f"`{word}" in DOC or f" {word}" in DOC
