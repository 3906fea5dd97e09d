"""submeter correct: what cannot be meant is refused before anybody is asked."""

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.cli.correct import _units

HOUR = ["2026-10-29T14:00", "2026-10-29T15:00"]
WHY = ["--why", "x"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["2026-10-29T14:05", HOUR[1], "--value", "1", *WHY], "2026-10-29T14:05 is no quarter"),
        (["2026-10-29T14:00Z", HOUR[1], "--value", "1", *WHY], "2026-10-29T14:00Z is no quarter"),
        (["2026-10-29T14:00+01:00", HOUR[1], "--value", "1", *WHY], "14:00+01:00 is no quarter"),
        ([*HOUR, "--value", "1", "--why", "  "], "say why in a sentence"),
        ([*HOUR, "--value", "1", *WHY, "--timezone", "Mars/Olympus"], "Mars/Olympus is no time zone"),
        ([*HOUR, "--value", "1", *WHY, "--timezone", "../etc"], "../etc is no time zone"),
        (["yesterday", HOUR[1], "--value", "1", *WHY], "yesterday is no quarter"),
        ([HOUR[1], HOUR[1], "--value", "1", *WHY], "TO is not after FROM"),
        (
            [*HOUR[::-1], "--value", "1", *WHY],
            "(2026-10-29T14:00, 2026-10-29T15:00): write the earlier time first, then the later one",
        ),
        ([*HOUR, "--value", "-1", *WHY], "-1 is no amount"),
        ([*HOUR, "--value", "lots", *WHY], "lots is no amount"),
        ([*HOUR, "--value", "1"], "--why"),
        ([*HOUR, "--value", "1", *WHY, "--quantity", "frequency"], "frequency is no counter"),
        ([*HOUR, "--value", "1", *WHY], "no daemon listens"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, words, said) -> None:
    socket = ["--socket", str(tmp_path / "none.sock")]
    done = CliRunner().invoke(cli, ["--lang", "en", "correct", "main", *words, *socket], terminal_width=200)
    assert done.exit_code != 0
    assert said in " ".join(f"{done.output} {done.exception}".split())


@pytest.mark.parametrize(
    ("text", "quantity", "units"),
    [
        ("12.5", "active_energy_import", 12_500),
        ("12,5", "active_energy_import", 12_500),
        ("0.25", "volume", 250_000),
    ],
)
def test_an_amount_in_whole_units(text, quantity, units) -> None:
    assert _units(text, quantity) == units


class Daemon:
    """Takes what it is asked to set, in a building in Berlin."""

    def __init__(self) -> None:
        self.set: list[tuple[int, int]] = []

    def __enter__(self):
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def configuration(self) -> dict[str, object]:
        return {"path": "/etc/submeter/gateway.yaml", "read": 0, "timezone": "Europe/Berlin"}

    def correct(self, meter, quantity, *, first, last, value, why):
        self.set.append((first, last))
        return {"meter": meter, "intervals": 4, "was": 1000, "value": value}


@pytest.mark.parametrize(
    ("words", "hours"),
    [([], 13), (["--timezone", "Europe/Istanbul"], 11), (["--timezone", "UTC"], 14)],
)
def test_times_are_the_buildings_unless_another_zone_is_named(monkeypatch, words, hours) -> None:
    daemon = Daemon()
    monkeypatch.setattr("gateway.cli.correct.need_client", lambda *_: daemon)
    said = ["--lang", "en", "correct", "main", *HOUR, "--value", "1", *WHY, *words]
    done = CliRunner().invoke(cli, said)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    begin = datetime(2026, 10, 29, hours, tzinfo=UTC).timestamp() * 1000
    assert daemon.set == [(begin, begin + 3_600_000)]
