"""Every error that reaches a person by itself says what to do next, where it is raised or by its kind.

An error of a line or of a connection stands beside a notice of the page that says it; these have none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.cli.load_profile import read_profile
from gateway.errors import MEND_REFUSED, CommandRefused, EnrolmentRefused, GatewayError
from tests.syntax import parsed

GATEWAY = Path(__file__).parents[1] / "gateway"
ALONE = {
    *("GatewayError", "HistoryError", "HistoryDamaged", "EnrolmentError", "BackupError", "ControlError"),
    *("JournalError", "JournalBusy", "JournalFull", "JournalDamaged", "JournalTooNew", "LinkRefused"),
    "CommandRefused",
}
NOBODYS = {
    "the history is closed": "said while the gateway stops",
    "this gateway computes no energy": "said by a page without a gateway, in tests",
    "the file was not finished": "of the log: the answer has begun",
    "is no quarter hour of the building's days": "of the log: a wrong caller",
    "the gateway's status is not understood": "of the log: what is on trial is taken back",
}


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Every error of these kinds that is made, with its place."""
    for path in sorted(GATEWAY.rglob("*.py")):
        for node in ast.walk(parsed(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ALONE:
                yield f"{path.relative_to(GATEWAY)}:{node.lineno}", node


def says_what_to_do(made: ast.Call) -> bool:
    hints = [key.value for key in made.keywords if key.arg == "hint"]
    if hints:
        return True
    reason = made.args[0] if made.args else None
    return (
        getattr(made.func, "id", "") == "CommandRefused"
        and isinstance(reason, ast.Constant)
        and reason.value in MEND_REFUSED
    )


def test_every_error_that_reaches_a_person_by_itself_says_what_to_do_next() -> None:
    found = list(raised())
    assert len(found) > 150, "the control"
    silent = {
        place: ast.unparse(made)
        for place, made in found
        if not says_what_to_do(made) and not any(part in ast.unparse(made) for part in NOBODYS)
    }
    assert not silent


@pytest.mark.parametrize("reason", sorted(MEND_REFUSED))
def test_a_refusal_of_a_command_says_by_its_kind_what_whoever_sent_it_does(reason: str) -> None:
    assert str(CommandRefused(reason, "no")) == f"no → {MEND_REFUSED[reason]}"
    assert str(CommandRefused(reason, "no", hint="sleep")) == "no → sleep"
    assert str(CommandRefused(reason, "file:3: x → write y", hint="")) == "file:3: x → write y"


def test_a_certificate_that_is_refused_is_the_operators() -> None:
    assert EnrolmentRefused("the token is not known").hint


@pytest.mark.parametrize(
    "line", ["2026-10-01;00:15", "2026-13-01;00:30;1,0", "2026-10-01;25:30;1,0", "2026-10-01;00:15;one"]
)
def test_each_bad_line_of_a_load_profile_says_what_to_do(tmp_path: Path, line: str) -> None:
    good = [f"2026-10-01;{hour:02}:{minute:02};1,5" for hour in range(1, 4) for minute in (0, 15, 30, 45)]
    path = tmp_path / "profile.csv"
    path.write_text("\n".join(["date;hour;kWh", *good, line, good[0]]))
    (first, twice) = read_profile(path, ZoneInfo("Europe/Istanbul")).not_understood
    assert first.what
    assert first.mend == twice.mend == "correct the line, or leave it out"
    path.write_text(f"date;hour;kWh\n{line}")
    with pytest.raises(GatewayError) as caught:
        read_profile(path, ZoneInfo("Europe/Istanbul"))
    assert caught.value.hint.endswith(" → correct the line, or leave it out"), "no other line is used"
    path.write_text("date;hour;kWh\n")
    with pytest.raises(GatewayError) as caught:
        read_profile(path, ZoneInfo("Europe/Istanbul"))
    assert caught.value.hint
