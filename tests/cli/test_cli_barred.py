"""What the user may not open is told with what helps, by each command that looks into the folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import main

NOBODY = 65534


@pytest.fixture
def barred() -> Iterator[Path]:
    """A configuration that everybody may read, whose journal lies where only root may look."""
    # What pytest makes is closed to others.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        (folder / "state").mkdir()
        file = folder / "gateway.yaml"
        file.write_text(
            "gateway: {id: g}\nbuses: [{name: b, type: tcp, host: 127.0.0.1}]\n"
            "meters: [{id: m, bus: b, address: 1, driver: eastron-sdm630}]\n"
            f"journal: {{directory: {folder}/state/journal}}\n"
        )
        yield file
        (folder / "state").chmod(0o755)


def told(words: list[str], monkeypatch, capsys) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["submeter", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), " ".join((said.out + said.err).split())


@pytest.mark.parametrize("command", ["energy", "journal status", "check --here"])
@pytest.mark.parametrize(
    ("language", "words", "mend"),
    [("en", "you may not open", "use sudo"), ("tr", "açma izniniz yok", "sudo kullanın")],
)
def test_a_folder_that_one_may_not_enter_is_named(  # noqa: PLR0917 - each is a fixture or a case
    barred, command, language, words, mend, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SUBMETER_SOCKET", str(barred.parent / "no.sock"))
    line = ["--lang", language, *command.split(), "-c", str(barred)]
    told(line, monkeypatch, capsys)  # everything is loaded while it may be
    (barred.parent / "state").chmod(0o700 if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        code, text = told(line, monkeypatch, capsys)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert code == 1
    assert str(barred.parent / "state") in text
    assert words in text
    assert mend in text
