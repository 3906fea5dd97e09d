"""Lines are put into a configuration that a person wrote: everything else stays as it is."""

from __future__ import annotations

import stat

import pytest

from gateway.config import parse_config, with_items, write_beside
from gateway.errors import GatewayError

PANEL = "buses:\n  - {name: a, type: tcp, host: h}  # the panel\n"
ANCHORED = "buses: &all\n  - &a\n    name: a\n    type: tcp\n    host: h\n"
ALIASED = "buses: &all\n  - &a {name: a, type: tcp, host: h}\n  - {<<: *a, name: b}\n"
HEAD = "gateway: {id: izm-1}\nuplinks: []\n"
BUS = ["  - name: line1", "    type: serial", "    port: /dev/ttyUSB0"]
LINES = "\n".join(BUS) + "\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEAD, HEAD + "\nbuses:\n" + LINES),
        (
            HEAD + "buses: []  # none yet\nmeters: []\n",
            HEAD + "buses:  # none yet\n" + LINES + "meters: []\n",
        ),
        (HEAD + "buses:\nmeters: []\n", HEAD + "buses:\n" + LINES + "meters: []\n"),
        (
            HEAD + PANEL + "\n# the meters\nmeters: []\n",
            HEAD + PANEL + LINES + "\n# the meters\nmeters: []\n",
        ),
        (
            HEAD + "buses:\n- name: a\n  type: tcp\n  # in the cellar\n  host: h\nmeters: []\n",
            HEAD + "buses:\n- name: a\n  type: tcp\n  # in the cellar\n  host: h\n"
            "- name: line1\n  type: serial\n  port: /dev/ttyUSB0\nmeters: []\n",
        ),
        (
            HEAD + ANCHORED + "# end\nmeters: []\n",
            HEAD + ANCHORED + LINES + "# end\nmeters: []\n",
        ),
        (
            HEAD + ALIASED + "meters: []\n",
            HEAD + ALIASED + LINES + "meters: []\n",
        ),
        (
            HEAD + "buses:\n    -\n        name: a\n        type: tcp\n        host: h\nmeters: []\n",
            HEAD + "buses:\n    -\n        name: a\n        type: tcp\n        host: h\n"
            "    - name: line1\n      type: serial\n      port: /dev/ttyUSB0\nmeters: []\n",
        ),
        (
            HEAD + "buses: [  # none yet\n  # the panel comes\n]\nmeters: []\n",
            HEAD + "buses:  # none yet\n  # the panel comes\n" + LINES + "meters: []\n",
        ),
    ],
    ids=[
        "absent", "empty brackets", "nothing", "a flow item and comments", "dashes at the margin",
        "anchors", "aliases", "a dash alone", "empty brackets over lines",
    ],
)  # fmt: skip
def test_items_come_at_the_end_of_their_section_and_nothing_else_changes(before: str, after: str) -> None:
    assert with_items(before, "buses", BUS) == after
    assert "line1" in [bus.name for bus in parse_config(after).buses]


def test_a_section_in_brackets_with_items_is_refused_with_what_to_do() -> None:
    with pytest.raises(GatewayError, match="brackets") as told:
        with_items(HEAD + "buses: [{name: a, type: tcp, host: h}]\n", "buses", BUS)
    assert "dash" in told.value.hint


def test_no_items_leave_the_text_alone() -> None:
    assert with_items("x: 1", "buses", []) == "x: 1"


def test_the_old_file_is_kept_beside_the_new_one_with_its_rights(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("old")
    path.chmod(0o640)
    old = write_beside(path, "new")
    assert (path.read_text(), old.read_text(), old.name) == ("new", "old", "gateway.yaml.old")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("old")
    (tmp_path / ".gateway.yaml.new").mkdir()
    with pytest.raises(GatewayError, match="cannot be written"):
        write_beside(path, "new")
    assert path.read_text() == "old"
