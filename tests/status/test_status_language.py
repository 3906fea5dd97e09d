"""Numbers, times and spans in Turkish and English, and who gets which."""

from __future__ import annotations

import pytest
from status_building import HOUR, MINUTE, NOW

from gateway.status.words.language import Locale, choose

DAY = 24 * HOUR


def tr(now: int = NOW) -> Locale:
    return Locale("tr", "Europe/Istanbul", now)


def en(now: int = NOW) -> Locale:
    return Locale("en", "Europe/Istanbul", now)


@pytest.mark.parametrize(
    ("value", "decimals", "turkish", "english"),
    [
        (1234.5, 1, "1.234,5", "1,234.5"),
        (184223.91, 2, "184.223,91", "184,223.91"),
        (0.0, 3, "0,000", "0.000"),
        (-18.4, 3, "−18,400", "−18.400"),
        (-0.0001, 2, "0,00", "0.00"),
        (1e9, 0, "1.000.000.000", "1,000,000,000"),
        (0.972, None, "0,972", "0.972"),
        (49.98, None, "49,98", "49.98"),
        (123456.78, None, "123.456,8", "123,456.8"),
        (999.999, 0, "1.000", "1,000"),
    ],
)
def test_numbers(value, decimals, turkish, english):
    assert tr().number(value, decimals) == turkish
    assert en().number(value, decimals) == english


def test_percent_stands_before_the_number_in_turkish():
    assert tr().percent(0.614) == "%61"
    assert en().percent(0.614) == "61%"


def test_sizes():
    assert [en().size(n) for n in (0, 999, 1000, 61_300_000, 4_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "61.3 MB",
        "4.0 GB",
    ]


def test_times_are_in_the_zone_of_the_gateway_and_carry_a_date_when_not_of_today():
    assert tr().clock(NOW) == "19:25:00"
    assert en().moment(NOW - 5 * HOUR) == "14:25"
    assert en().moment(NOW - DAY) == "2026-11-20 19:25"
    assert tr().moment(NOW - DAY) == "20.11.2026 19:25"


def test_today_is_the_day_of_the_gateway_not_of_utc():
    just_after_midnight = NOW + 4 * HOUR + 40 * MINUTE  # 00:05 in Istanbul, 21:05 UTC
    assert en(just_after_midnight).moment(NOW) == "2026-11-21 19:25"


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [
        (14, 2, "14:02'den beri"),
        (14, 0, "14:00'ten beri"),
        (13, 40, "13:40'tan beri"),
        (9, 6, "09:06'dan beri"),
        (9, 30, "09:30'dan beri"),
        (10, 0, "10:00'dan beri"),
        (20, 0, "20:00'den beri"),
        (0, 0, "00:00'dan beri"),
        (8, 3, "08:03'ten beri"),
        (8, 54, "08:54'ten beri"),
        (8, 50, "08:50'den beri"),
        (8, 29, "08:29'dan beri"),
    ],
)
def test_the_turkish_suffix_follows_the_spoken_number(hour, minute, expected):
    midnight = NOW - 19 * HOUR - 25 * MINUTE
    assert tr().since(midnight + hour * HOUR + minute * MINUTE) == expected


@pytest.mark.parametrize(
    ("count", "turkish"),
    [
        (0, "0'ı"),
        (1, "1'i"),
        (2, "2'si"),
        (3, "3'ü"),
        (4, "4'ü"),
        (5, "5'i"),
        (6, "6'sı"),
        (7, "7'si"),
        (8, "8'i"),
        (9, "9'u"),
        (10, "10'u"),
        (16, "16'sı"),
        (20, "20'si"),
        (30, "30'u"),
        (40, "40'ı"),
        (50, "50'si"),
        (60, "60'ı"),
        (70, "70'i"),
        (80, "80'i"),
        (90, "90'ı"),
        (99, "99'u"),
        (100, "100'ü"),
        (101, "101'i"),
        (120, "120'si"),
        (600, "600'ü"),
        (1000, "1.000'i"),
        (1240, "1.240'ı"),
        (1500, "1.500'ü"),
        (31_000, "31.000'i"),
        (100_000, "100.000'i"),
        (300_100, "300.100'ü"),
        (1_000_000, "1.000.000'u"),
        (2_000_000_000, "2.000.000.000'ı"),
        (3_000_000_000_000, "3.000.000.000.000'u"),
    ],
)
def test_a_part_of_what_was_named_has_the_suffix_of_the_spoken_number(count, turkish):
    assert tr().of_them(count) == turkish
    assert en().of_them(count) == turkish.partition("'")[0].replace(".", ",")


VOWELS = {"a": "ı", "ı": "ı", "e": "i", "i": "i", "o": "u", "u": "u", "ö": "ü", "ü": "ü"}
SPOKEN = {
    0: "sıfır",
    1: "bir",
    2: "iki",
    3: "üç",
    4: "dört",
    5: "beş",
    6: "altı",
    7: "yedi",
    8: "sekiz",
    9: "dokuz",
    10: "on",
    20: "yirmi",
    30: "otuz",
    40: "kırk",
    50: "elli",
    60: "altmış",
    70: "yetmiş",
    80: "seksen",
    90: "doksan",
}


@pytest.mark.parametrize("number", range(100))
def test_suffixes_are_in_harmony_with_the_word_that_is_spoken(number):
    word = SPOKEN[number % 10 or number]
    vowel = [letter for letter in word if letter in VOWELS][-1]
    linking = "s" if word[-1] in VOWELS else ""
    assert tr().of_them(number) == f"{number}'{linking}{VOWELS[vowel]}"
    if number < 60:
        hard, back = word[-1] in "fstkçşhp", vowel in "aıou"
        midnight = NOW - 19 * HOUR - 25 * MINUTE
        said = tr().since(midnight + 9 * HOUR + number * MINUTE)
        expected = ("t" if hard else "d") + ("an" if back else "en")
        assert said == f"09:{number:02}'{expected if number else 'dan'} beri"
        until = tr().until(midnight + 9 * HOUR + number * MINUTE)
        to = ("y" if linking else "") + ("a" if back else "e")
        assert until == f"09:{number:02}'{to if number else 'a'} kadar"


def test_a_full_date_has_its_day_in_each_language():
    assert tr().full(NOW) == "21 Kasım 2026 Cumartesi, 19:25:00"
    assert en().full(NOW) == "Saturday 21 November 2026, 19:25:00"


def test_since_and_until_in_english():
    assert en().since(NOW - MINUTE) == "since 19:24"
    assert en().until(NOW) == "until 19:25"


@pytest.mark.parametrize(
    ("part", "decimals", "turkish"),
    [
        (0.18, 0, "%18'i"),
        (0.9, 0, "%90'ı"),
        (1.0, 0, "%100'ü"),
        (0.0, 0, "%0'ı"),
        (12.0, 0, "%1.200'ü"),
        (0.124, 1, "%12,4'ü"),
        (0.9907, 2, "%99,07'si"),
        (0.9940, 2, "%99,40'ı"),
        (0.99, 2, "%99,00'ı"),
    ],
)
def test_a_share_of_what_was_named_has_the_suffix_of_its_last_word(part, decimals, turkish):
    assert tr().of_whole(part, decimals) == turkish
    assert en().of_whole(part, decimals) == en().percent(part, decimals)


@pytest.mark.parametrize(
    ("seconds", "english", "turkish"),
    [
        (0.4, "just now", "şimdi"),
        (3.9, "3 s ago", "3 sn önce"),
        (59.9, "59 s ago", "59 sn önce"),
        (60, "1 min ago", "1 dk önce"),
        (3600, "1 h ago", "1 sa önce"),
        (47 * 3600, "47 h ago", "47 sa önce"),
        (49 * 3600, "2 days ago", "2 gün önce"),
        (None, "never", "hiç"),
    ],
)
def test_ages(seconds, english, turkish):
    assert en().ago(seconds) == english
    assert tr().ago(seconds) == turkish


@pytest.mark.parametrize("ms", [0, -1, 2**53, -(2**60), 10**30])
def test_a_broken_clock_does_not_break_the_page(ms):
    assert en().clock(ms)
    assert tr().since(ms)


def test_an_unknown_zone_falls_back_to_utc():
    assert Locale("en", "Nowhere/At_All", NOW).clock(NOW) == "16:25:00"


@pytest.mark.parametrize(
    ("query", "accept", "default", "expected"),
    [
        (None, "", "tr", "tr"),
        (None, "", "en", "en"),
        (None, "tr-TR,tr;q=0.9,en-US;q=0.8", "en", "tr"),
        (None, "en-GB,en;q=0.9", "tr", "en"),
        (None, "de-DE,de;q=0.9", "tr", "tr"),
        (None, "de,en;q=0.5,tr;q=0.8", "en", "tr"),
        (None, "TR", "en", "tr"),
        (None, "en;q=0", "tr", "tr"),
        (None, "en;q=nan,;;;,=,en;q=x", "tr", "tr"),
        ("en", "tr", "tr", "en"),
        ("xx", "tr", "en", "tr"),
        ("EN", "", "tr", "tr"),
        ("en\x00", "", "tr", "tr"),
        (None, "e" * 100_000, "tr", "tr"),
    ],
)
def test_the_language_of_a_visitor(query, accept, default, expected):
    assert choose(query, accept, default) == expected
