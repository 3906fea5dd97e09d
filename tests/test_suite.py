"""How the tests are run: nothing gets a second chance, and what passes only at the second time is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import suite
from tests.ports import FIRST, LAST, free_port

GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert 1 == 2\n"
RACE = """import pathlib


def test_race():
    seen = pathlib.Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first


"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["slow: long"]\n')
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite.sys, "argv", ["suite"])
    monkeypatch.setattr(
        suite,
        "parts",
        lambda: {each.name: [f"tests/{each.name}"] for each in sorted((tmp_path / "tests").iterdir())},
    )

    def write(part: str, text: str) -> None:
        (tmp_path / "tests" / part).mkdir(parents=True)
        (tmp_path / "tests" / part / f"test_{part}.py").write_text(text)

    return write


@pytest.mark.parametrize(
    ("field", "chaos", "code", "said"),
    [
        (GOOD, BAD, 1, "failed twice"),
        (RACE, GOOD, 1, "tests/field/test_field.py::test_race"),
        (GOOD, RACE, 0, "1 tests passed only at the second time, all of them of chaos"),
        ("import no_such_module_at_all\n", GOOD, 1, "failed twice"),
    ],
)
def test_a_race_fails_the_run_but_for_chaos(
    folder, capfd, *, field: str, chaos: str, code: int, said: str
) -> None:
    folder("field", field)
    folder("chaos", chaos)
    assert suite.main() == code
    assert said in capfd.readouterr().out


def test_every_test_belongs_to_one_part() -> None:
    paths = [word for part in suite.parts().values() for word in part if word.startswith("tests/")]
    assert len(paths) == len(set(paths))
    for file in suite.HERE.rglob("test_*.py"):
        name = file.relative_to(suite.ROOT).as_posix()
        left_out = sum(f"--ignore={name}" in part for part in suite.parts().values())
        assert sum(name == path or name.startswith(f"{path}/") for path in paths) - left_out == 1, name


def test_a_port_is_not_given_twice_in_a_row() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert all(FIRST <= port <= LAST for port in ports)
