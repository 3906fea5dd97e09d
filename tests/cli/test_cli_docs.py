"""What README and docs tell a reader to type and to write is there: commands, their options, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_screens import COMMANDS

from gateway.cli import cli
from gateway.config import Config
from gateway.config.load import examine

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TYPED = re.compile(r"\s*(?:\$ )?(?:sudo )?submeter ([a-z-].*)")
NO_COMMANDS = {"submeter enrolment 1"}
"""What begins like a command and is none: the words that a request is signed with."""
EVERYWHERE = {"--help", "-h", "--lang", "--version"}


def code(page: Path) -> Iterator[str]:
    """What stands in code: spans of a line, and the lines of blocks."""
    text = page.read_text()
    yield from re.findall(r"`([^`\n]+)`", text)
    for block in re.findall(r"```.*?\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()


def found(words: list[str]) -> tuple[tuple[str, ...], click.Command]:
    """The command that these words begin with."""
    path: tuple[str, ...] = ()
    command: click.Command = cli
    for word in words:
        if (*path, word.strip(",.;:")) not in COMMANDS:
            break
        path = (*path, word.strip(",.;:"))
        assert isinstance(command, click.Group)
        child = command.get_command(click.Context(command), path[-1])
        assert child is not None
        command = child
    return path, command


def strange(page: Path) -> Iterator[str]:
    """What a reader could not type."""
    for line in code(page):
        typed = TYPED.match(line)
        if typed is None or line in NO_COMMANDS:
            continue
        words = typed[1].split()
        path, command = found(words)
        if not path and not words[0].startswith("-"):
            yield f"no command: {line}"
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for word in words[len(path) :]:
            option = word.rstrip(",.;:)").partition("=")[0]
            if word in {"|", "&&", ">", "#"}:
                break
            if re.match(r"-{1,2}[a-z]", option) and option not in known | EVERYWHERE:
                yield f"no option {option}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_names_is_there(page: Path) -> None:
    assert not list(strange(page))


def test_the_control_what_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`submeter raed main` and `submeter read --rav main`\n```\nsudo submeter journal shwo --x\n```\n"
    )
    assert len(list(strange(page))) == 3


def test_every_key_of_an_example_is_one_of_the_configuration(tmp_path: Path) -> None:
    checked, wrong = 0, []
    for page in PAGES:
        text = page.read_text()
        examples = re.findall(r"```ya?ml\n(.*?)```", text, re.DOTALL) + re.findall(
            r"`([a-z_]+: \{[^`\n]*\})`", text
        )
        for example in examples:
            keys = set(re.findall(r"^([a-z_]+):", example, re.MULTILINE))
            if not keys or not keys <= set(Config.model_fields):
                continue
            checked += 1
            file = tmp_path / "example.yaml"
            file.write_text(example + "\n")
            # submeter.yaml of the boot partition holds secrets, which the configuration never does.
            wrong += [
                f"{page.name}: {problem}"
                for problem in map(str, examine(file).problems)
                if "is not a key" in problem and not re.search(r"uplinks\[0\]\.(password|token):", problem)
            ]
    assert checked > 10
    assert not wrong
