"""What stands in a driver table cannot act on the terminal that shows it."""

import pytest
from click.testing import CliRunner

from gateway.cli.drivers import command
from gateway.common.text import is_hidden

TABLE = """maker: "Acme{evil}"
model: "M1{evil}"
verified: datasheet
source: "page 1{evil}"
covers: ["M2{evil}"]
notes: "see{evil} below"
registers: |
  0  u16  frequency  Hz  fast
"""


@pytest.mark.parametrize("evil", ["\\e[2J", "\\u202e", "\\u200b", "\\u2028", "\\x9b2J", "\\nforged"])
@pytest.mark.parametrize(
    "words",
    [
        ["check", "{}/acme-m1.yaml"],
        ["show", "acme-m1", "--directory", "{}"],
        ["list", "--directory", "{}", "acme"],
    ],
)
def test_a_table_shows_no_hidden_character(tmp_path, evil, words) -> None:
    (tmp_path / "acme-m1.yaml").write_text(TABLE.replace("{evil}", evil))
    result = CliRunner().invoke(command, [word.format(tmp_path) for word in words])
    assert "M1" in result.output
    assert not [character for character in result.output.replace("\n", "") if is_hidden(character)]
    assert not any(line.startswith("forged") for line in result.output.splitlines())


def test_a_problem_shows_no_hidden_character(tmp_path) -> None:
    (tmp_path / "acme-m1.yaml").write_text(
        TABLE.replace("{evil}", "").replace("frequency", "freq\u202euency").replace("maker", '"ma\\eker"')
    )
    result = CliRunner().invoke(command, ["check", str(tmp_path / "acme-m1.yaml")])
    assert result.exit_code == 1
    assert not [character for character in result.output.replace("\n", "") if is_hidden(character)]


@pytest.mark.parametrize("number", [".inf", ".nan", "-.inf", "1.0e999"])
def test_no_bound_of_a_table_is_without_end(tmp_path, number) -> None:
    table = TABLE.replace("{evil}", "").replace("registers:", f"limits: {{V: {number}}}\nregisters:")
    (tmp_path / "acme-m1.yaml").write_text(table)
    result = CliRunner().invoke(command, ["check", str(tmp_path / "acme-m1.yaml")])
    assert result.exit_code == 1, result.output
    assert "acme-m1.yaml:7: limits.V" in result.output
