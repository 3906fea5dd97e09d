from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.schema import DriversSection, JournalSection
from gateway.host import DRIVERS, SOCKET, STATE, socket_path


@pytest.mark.parametrize(
    ("given", "variable", "wanted"),
    [
        (None, None, SOCKET),
        (None, "", SOCKET),
        (None, "/tmp/other.sock", Path("/tmp/other.sock")),
        (Path("/run/mine.sock"), "/tmp/other.sock", Path("/run/mine.sock")),
        # Whoever names the installed one means it, whatever the variable says.
        (SOCKET, "/tmp/other.sock", SOCKET),
    ],
)
def test_the_socket_is_what_was_given_else_the_variables_else_the_installed_one(
    monkeypatch, given, variable, wanted
):
    monkeypatch.delenv("SUBMETER_SOCKET", raising=False)
    if variable is not None:
        monkeypatch.setenv("SUBMETER_SOCKET", variable)
    assert socket_path(given) == wanted


def test_what_a_command_takes_without_a_configuration_is_what_the_configuration_takes():
    assert str(STATE) == JournalSection().directory
    assert str(DRIVERS) == DriversSection().directory
