"""The file of mean temperatures: what it may look like, how a mistake in it is told, who finds it."""

import re
from datetime import date
from pathlib import Path

import pytest

from gateway.check import check
from gateway.config.temperatures import load_temperatures
from gateway.errors import ConfigError

TWO = {date(2026, 11, 20): 8.4, date(2026, 11, 21): -1.0}
SAMPLE = Path(__file__).parents[2] / "config" / "gateway.yaml"


@pytest.mark.parametrize(
    "text",
    [
        "date,mean\n2026-11-20,8.4\n2026-11-21,-1\n",
        "\ufeffTarih;Ortalama\r\n20.11.2026;8,4\r\n21.11.2026;-1,0\r\n\r\n",
        "station\tmean\tdate\nX\t8.4\t2026-11-20\nX\t-1.0\t2026-11-21",
        'date,mean\n"2026-11-20","8.4"\n2026-11-20,8.4\n2026-11-21,-1\n',
    ],
    ids=["plain", "Turkish Excel", "other columns", "a day twice, the same"],
)
def test_the_forms_that_are_understood(tmp_path, text) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    assert load_temperatures(path) == TWO


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "date and mean"),
        ("when,what\n2026-11-20,8\n", 1, "date and mean"),
        ("date,mean\n2026-11-20,8\n2026-11-31,8\n", 3, "is no day"),
        ("date,mean\n2026-11-20,warm\n", 2, "is no temperature"),
        ("date,mean\n2026-11-20,840\n", 2, "no mean of a day"),
        ("date,mean\n2026-11-20,nan\n", 2, "no mean of a day"),
        ("date,mean\n2026-11-20\n", 2, "is no temperature"),
        ("date,mean\n2026-11-20,8\n2026-11-20,9\n", 3, "another temperature above"),
        ('date,mean\n2026-11-20,8\n"2026-11-21,9\n2026-11-22,9\n', 3, "a quote is left open"),
        ("date,mean\n2026-11-20," + "8" * 200_000 + "\n2026-11-22,9\n", 2, "too long"),
    ],
)
def test_a_mistake_is_told_by_its_line(tmp_path, text, line, what) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_temperatures(path)
    (problem,) = raised.value.problems
    assert (problem.file, problem.line) == (str(path), line)
    assert what in problem.what
    assert problem.mend


def test_a_file_that_is_not_there_or_is_no_text_is_told(tmp_path) -> None:
    for path, data in ((tmp_path / "none.csv", None), (tmp_path / "bytes.csv", b"date,mean\n\xff\xfe\n")):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            load_temperatures(path)


def test_check_looks_into_the_file(tmp_path) -> None:
    path, named = tmp_path / "gateway.yaml", tmp_path / "t.csv"
    plain = SAMPLE.read_text()
    text = plain.replace("  # temperatures: /etc/submeter/temperatures.csv", f"  temperatures: {named}")
    assert text != plain
    path.write_text(text)
    missing = [each for each in check(path).problems if each.file == str(named)]
    assert len(missing) == 1, "it is not there"
    named.write_text("date,mean\n2026-11-20,8.4\n2026-11-21,cold\n")
    (wrong,) = [each for each in check(path).problems if each.file == str(named)]
    assert wrong.line == 3
    named.write_text("date,mean\n2026-11-20,8.4\n")
    assert not [each for each in check(path).problems if each.file == str(named)]
    path.write_text(text.replace(str(named), "t.csv"))
    assert any("full path" in each.what for each in check(path).problems)
