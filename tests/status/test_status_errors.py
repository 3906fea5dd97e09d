"""What errors say, in Turkish: by the sentence that they were made from, with the same values."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from gateway.check import check
from gateway.cli import cli, main
from gateway.config import Config
from gateway.demo.show.account import Account
from gateway.demo.show.console import status_line, table
from gateway.demo.show.supervisor import SiteCounts
from gateway.errors import BusDown, GatewayError, JournalFull, LinkRefused, Refused
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale, catalogue, translation

TURKISH = Locale("tr", "Europe/Istanbul", 0)
ENGLISH = Locale("en", "Europe/Istanbul", 0)
CASES = sorted((Path(__file__).parents[1] / "config" / "cases").glob("*.yaml"))


@pytest.mark.parametrize(
    ("error", "turkish"),
    [
        (
            BusDown(
                "/dev/ttyUSB0 cannot be opened: there is no such port", hint="check host, port and the device"
            ),
            "/dev/ttyUSB0 açılamıyor: böyle bir port yok → host, port ve cihazı kontrol edin",
        ),
        (
            Refused("unit 99 refused with exception 11 (gateway target did not respond)", 11),
            "adres 99, 11 kodlu hatayla reddetti (dönüştürücünün ardındaki cihaz yanıt vermedi)",
        ),
        (
            JournalFull(
                "the disk of /var/lib/submeter is full",
                hint="make room on it; readings wait in memory until then",
            ),
            "/var/lib/submeter diski dolu → yer açın; okumalar o zamana kadar bellekte bekler",
        ),
        # what the broker says of itself, without and with words of its own
        (
            LinkRefused("the broker refuses the connection: user name or password is wrong (0x86)"),
            "broker bağlantıyı reddediyor: kullanıcı adı veya parola yanlış (0x86)",
        ),
        (
            LinkRefused('the broker refuses the connection: it is too busy (0x89); it says "later"'),
            'broker bağlantıyı reddediyor: çok meşgul (0x89); "later" diyor',
        ),
        # names to choose from
        (
            GatewayError("x.yaml:3: driver: there is no driver 'sdm'", hint="did you mean a, b or c?"),
            "x.yaml:3: driver: 'sdm' adlı bir tablo yok → şunu mu demek istediniz: a, b ya da c?",
        ),
        (
            GatewayError("7 is not one of the choices", hint="write 'auto', '5.0' or '3.1.1'"),
            "7 seçeneklerden biri değil → 'auto', '5.0' ya da '3.1.1' yazın",
        ),
        (
            GatewayError("'30d' is out of range", hint="write at most 7d"),
            "'30d' aralığın dışında → en çok 7d yazın",
        ),
        (
            GatewayError(
                "/etc/submeter/x.yaml:1: cannot be read: Permission denied",
                hint="check the path and its permissions",
            ),
            "/etc/submeter/x.yaml:1: okunamıyor: Erişim izni yok → Yolu ve izinlerini denetleyin",
        ),
        # a rule of the configuration, behind the value that it is about
        (
            GatewayError(
                "'5x' is not a duration", hint="write a number with its unit, like 10s, 500ms, 5min or 1h"
            ),
            "'5x' bir süre değil → birimiyle bir sayı yazın, örneğin 10s, 500ms, 5min veya 1h",
        ),
        (GatewayError("bus line1: interval was 10.0, is 5.0"), "hat line1: interval: eski 10.0, yeni 5.0"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GatewayError) else "",
)
def test_an_error_is_said_in_turkish(error, turkish) -> None:
    said = in_words(str(error), TURKISH)
    assert said.casefold() == turkish.casefold()
    assert in_words(str(error), ENGLISH) == str(error)


def keys_of(model: type[BaseModel]) -> set[str]:
    """Every key of a section and of what stands in it."""

    def models(kind: object) -> Iterator[type[BaseModel]]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        for part in get_args(kind):
            yield from models(part)

    found = {each.alias or name for name, each in model.model_fields.items()}
    return found.union(
        *(keys_of(part) for each in model.model_fields.values() for part in models(each.annotation))
    )


def test_a_change_of_the_configuration_keeps_keys_and_values_as_they_stand_in_the_file() -> None:
    keys = sorted(keys_of(Config))
    assert {"bus", "address", "clock", "hold", "values", "meter"} <= set(keys)
    assert len([key for key in keys if key in catalogue("tr")]) > 5, "the control: words with a translation"
    for key in keys:
        change = f"{key} was meter, is line, {key} was not given, is clock"
        turkish = f"{key}: eski meter, yeni line, {key}: eski verilmemiş, yeni clock"
        for head, told in (("", ""), ("meter m1: ", "sayaç m1: "), ("clock: ", "clock: ")):
            assert in_words(head + change, TURKISH) == told + turkish
        two = f"meter m1: {change}; uplink city: {change}"
        assert in_words(two, TURKISH) == f"sayaç m1: {turkish}; platform bağlantısı city: {turkish}"


def test_names_to_choose_from_are_not_translated() -> None:
    said = in_words("there is no meter 'x' in the configuration → its meters are building, clock", TURKISH)
    assert said.endswith(": building, clock"), said


def test_what_nobody_has_translated_stays_as_it_is() -> None:
    for text in ("", "gremlins in the works", "x → y", "a name: of something", "(", "100 % of it"):
        assert in_words(text, TURKISH) == text


def numbered() -> list[str]:
    return sorted(text for text in catalogue("tr") if re.search(r"%\(\d\)s", text))


def test_every_sentence_is_found_by_what_is_made_of_it() -> None:
    assert len(numbered()) > 200
    wrong = []
    for text in numbered():
        values = {str(n): f"‹{n}›" for n in range(1, 9)}
        said, meant = in_words(text % values, TURKISH), translation("tr").gettext(text) % values
        if said != meant:
            wrong.append((text % values, said, meant))
    assert not wrong


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_mistake_of_a_configuration_is_told_in_turkish(path) -> None:
    problems = check(path).problems
    assert problems
    for problem in problems:
        said = in_words(str(problem), TURKISH)
        place = f"{problem.file}:{problem.line}: " + (f"{problem.key}: " if problem.key else "")
        assert said.startswith(place), said
        parts, english = said.removeprefix(place).split(" → "), (problem.what, problem.mend)
        for part, was in zip(parts, english, strict=False):
            assert part != was, f"still in English: {part}"


def test_check_speaks_turkish(tmp_path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "gateway: {id: Konak}\nmeters:\n  - {id: m, bus: l, address: 1, driver: eastron-sdm603}\n"
    )
    told = CliRunner().invoke(cli, ["--lang", "tr", "check", str(file)], env={"COLUMNS": "400"}).output
    assert f"{file}:1: gateway.id: 'Konak' bir kimlik değil → " in told
    assert "'eastron-sdm603' adlı bir tablo yok → şunu mu demek istediniz: eastron-sdm630" in told
    assert "'l' bir hattın adı değil → bu dosyada buses yok" in told


@pytest.mark.parametrize(
    ("words", "turkish"),
    [
        (["status"], "dinleyen bir ağ geçidi yok"),
        (["journal", "status", "--directory", "/nowhere"], "/nowhere içinde günlük yok"),
        (["drivers", "show", "nokia-3310"], "'nokia-3310' adlı bir tablo yok"),
    ],
)
def test_a_command_that_fails_says_so_in_turkish(tmp_path, capsys, monkeypatch, words, turkish) -> None:
    monkeypatch.setenv("SUBMETER_SOCKET", str(tmp_path / "none.sock"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr("sys.argv", ["submeter", "--lang", "tr", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert turkish in capsys.readouterr().err


def test_the_demo_counts_and_judges_in_turkish() -> None:
    counts = SiteCounts(taken=9, waiting=4, stored=2, gaps=3, readings=5)
    said = in_words(status_line(counts), TURKISH)
    assert re.fullmatch(r"alınan 9 · iletilen \d+ · platformda eksik \d+ · bekleyen 4 \(5 okuma\)", said), (
        said
    )
    account = Account(lost=1, stored=7)
    account.say(1, "1 readings of main were served and are nowhere", ["ordinal 4"])
    lines = table(account, lambda text: in_words(text, TURKISH))
    told = [in_words(line, TURKISH) for line in lines]  # as the screen does
    english = set(table(account, str))
    assert not [line for line in told if line in english]
    assert "  - main sayacının verdiği 1 okuma hiçbir yerde yok: ordinal 4" in told


@pytest.mark.parametrize(
    "text", ["x, y: z; q (r, s: t; u (v " * 40, "is has may must " * 200, "a: " * 3000, "→ ; : (" * 500]
)
def test_a_strangers_text_costs_little(text) -> None:
    begin = time.process_time()
    in_words(text, TURKISH)
    assert time.process_time() - begin < 5, "seconds of the processor, where milliseconds are usual"


@pytest.mark.parametrize(
    ("told", "turkish"),
    [
        (
            "f.yaml:16: meters[0].adress: is not a key here → did you mean address?",
            "f.yaml:16: meters[0].adress: burada geçerli bir anahtar değil → şunu mu demek "
            "istediniz: address?",
        ),
        (
            "f.yaml:20: uplinks[0].password_file: dir cannot be read: is not a regular file",
            "f.yaml:20: uplinks[0].password_file: dir okunamıyor: sıradan bir dosya değil",
        ),
        (
            r"f.yaml:3: gateway.name: '\u202eB' has a character that is not seen, U+202E RIGHT-TO-LEFT "
            "OVERRIDE, at place 1",
            r"f.yaml:3: gateway.name: '\u202eB' 1. yerinde görünmeyen bir karakter var: U+202E RIGHT-TO-LEFT "
            "OVERRIDE",
        ),
        (
            "f.yaml:9: is not valid YAML: the key 'port' is given twice (first in line 8) → "
            "remove one of them",
            "f.yaml:9: geçerli YAML değil: 'port' anahtarı iki kez verilmiş (ilki satır 8) → birini silin",
        ),
        ("batch 5 does not fit its checksum", "5 numaralı paket sağlama toplamına uymuyor"),
        (
            "/x/journal.db is not a sound journal: its header asks for file format 0",
            "/x/journal.db sağlam bir günlük değil: başlığı 0 dosya biçimini istiyor",
        ),
        (
            "f.yaml:2: buses: has no value → write a list of entries, or remove the key",
            "f.yaml:2: buses: değeri yok → bir girdi listesi yazın ya da anahtarı kaldırın",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_turkish_and_keys_stay_as_they_are_typed(told, turkish) -> None:
    assert in_words(told, TURKISH) == turkish
