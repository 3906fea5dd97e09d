"""The Turkish catalogue is whole, current and compiled; the placeholders of every translation are those of
its source.
"""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest

from tests.syntax import parsed

extract = pytest.importorskip("babel.messages.extract", reason="babel is in the dev extra")
from babel.messages.mofile import read_mo  # noqa: E402
from babel.messages.pofile import read_po  # noqa: E402

STATUS = Path(__file__).parents[2] / "gateway" / "status"
PACKAGE = STATUS.parent
CLI = PACKAGE / "cli"
CATALOGUE = STATUS / "locale" / "tr" / "LC_MESSAGES" / "submeter.po"
HOW = "run make translations, translate what is new, run it again"


def sources() -> set[str | tuple[str, str]]:
    templates = "**/templates/**.html"
    methods = [(templates, "jinja2"), ("**.py", "tests.error_texts:extract")]
    options = {templates: {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
    return {message for _, _, message, _, _ in extract.extract_from_dir(PACKAGE, methods, options)}


def catalogue():
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="tr")


def places(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s", text))


def test_every_message_of_page_sentences_and_commands_is_in_the_catalogue_and_nothing_else():
    wanted = sources()
    assert len(wanted) > 100
    assert {message.id for message in catalogue() if message.id} == wanted, HOW


def test_no_message_stands_where_the_collector_does_not_see_it():
    # Babel leaves out what is called within an f-string.
    for path in (*STATUS.rglob("*.py"), *CLI.rglob("*.py")):
        for text in (node for node in ast.walk(parsed(path.read_text())) if isinstance(node, ast.JoinedStr)):
            calls = [
                node
                for node in ast.walk(text)
                if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
            ]
            names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
            assert not names & {"_", "N_", "ngettext", "gettext"}, f"{path}:{text.lineno}"


def test_every_message_is_translated_and_none_is_a_guess():
    for message in catalogue():
        if message.id:
            texts = message.string if isinstance(message.string, tuple) else (message.string,)
            assert all(texts), f"{message.id!r} is not translated"
            assert not message.fuzzy, f"{message.id!r} is fuzzy"


def test_placeholders_are_those_of_the_source():
    for message in catalogue():
        if not message.id:
            continue
        source = message.id if isinstance(message.id, tuple) else (message.id,)
        allowed = set.union(*(places(text) for text in source))
        for text in message.string if isinstance(message.string, tuple) else (message.string,):
            # A Turkish singular may name the count that English leaves to the word.
            assert places(text) <= allowed | {"%(n)s"}, message.id
            assert allowed - {"%(n)s"} <= places(text), message.id


def test_what_is_compiled_is_what_is_written():
    compiled = read_mo(io.BytesIO(CATALOGUE.with_suffix(".mo").read_bytes()))
    assert flat(compiled) == flat(catalogue()), HOW


def flat(messages) -> dict[str | tuple[str, ...], tuple[str, ...]]:
    def texts(value) -> tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value)

    return {texts(message.id): texts(message.string) for message in messages if message.id}


def test_no_user_text_is_changed_in_case():
    # Turkish: "ISI".lower() is not "ısı".
    for path in STATUS.rglob("*.py"):
        assert (
            not re.search(r"\.(lower|upper|title|capitalize|swapcase)\(\)", path.read_text())
            or path.name == "guard.py"
        ), path
    for path in STATUS.rglob("*.html"):
        assert not re.search(r"\|\s*(lower|upper|title|capitalize)", path.read_text()), path
    assert "text-transform" not in (STATUS / "page" / "static" / "page.css").read_text()


TYPED = re.compile("`[^`]+`")
KEYS = re.compile(
    r"(?<![\w'/.-])(?:[a-z]+(?:_[a-z]+)+|(?:building|journal|status)\.[a-z_.]+|[a-z]+: (?=in\b))"
)
"""What the configuration is written with: ct_class, building.area, `area: in`."""


def test_a_key_of_the_configuration_is_marked_in_every_sentence_of_the_page_in_both_languages() -> None:
    assert KEYS.search("kWh per m² would stand here with area: in building."), "the control"
    assert KEYS.search("write contract_kw:"), "the control"
    told = {message for _, _, message, _, _ in extract.extract_from_dir(STATUS)}
    mine = [message for message in catalogue() if message.id and message.id in told]
    assert len(mine) > 500
    typed = 0
    for message in mine:
        ids, texts = ([each] if isinstance(each, str) else [*each] for each in (message.id, message.string))
        for text in (*ids, *texts):
            bare = re.sub(r"%\(\w+\)s", "", TYPED.sub("", text))
            assert not KEYS.search(bare), text
            # What is typed is the same in every language.
            assert set(TYPED.findall(text)) == set(TYPED.findall(ids[0])), text
        typed += bool(TYPED.search(ids[0]))
    assert typed > 10


COUNTED = re.compile(
    r"(?<!at least )(?<!at most )(?<!than )(?<!None of the )(?<!of the last )(?<!room for )"
    r"%\((?:n|count|rows)\)s (?:more |like )?"
    r"(?:batches|bars|days|errors|files|hours|meters|months|problems|quarter hours|readings|registers|rows|"
    r"values)\b(?!/s)(?!\))"
)
"""A number that may be one, before a plural; bounds, and numbers with decimals, are not."""


def test_what_is_counted_has_its_singular() -> None:
    assert COUNTED.search("%(n)s readings are lost"), "the control"
    plain = [message.id for message in catalogue() if isinstance(message.id, str)]
    assert not [text for text in plain if COUNTED.search(text)]
