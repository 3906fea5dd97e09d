"""A configuration is read whole, or every mistake in it is told at once, with its line and its mend."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.config import load_config, parse_config
from gateway.config.schema import Config, SerialBus, TcpBus
from gateway.config.units import parse_duration, parse_ratio, parse_size, primary_of
from gateway.errors import ConfigError

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config" / "gateway.yaml"
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def test_the_sample_is_good() -> None:
    config = load_config(SAMPLE)
    assert config.gateway.id == "izm-konak-017"
    assert config.meters[0].ct == 40.0
    assert config.meters[0].slow == 60.0
    assert config.uplinks[0].broker.tls
    assert config.uplinks[0].broker.port == 8883


def keys_of(model) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("section", Config.model_fields)
def test_the_sample_documents_every_key(section) -> None:
    text = SAMPLE.read_text()
    start = re.search(rf"^{section}:", text, re.MULTILINE)
    assert start, f"{section} is not in the sample"
    part = re.split(r"^[a-z]+:", text[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    field = Config.model_fields[section].annotation
    models = (
        [SerialBus, TcpBus]
        if section == "buses"
        else [field if hasattr(field, "model_fields") else field.__args__[0]]
    )
    wanted = set().union(*(keys_of(model) for model in models))
    written = set(re.findall(r"^\s*(?:- |# )*([a-z_]+):", part, re.MULTILINE))
    assert wanted <= written, f"not in the sample: {sorted(wanted - written)}"


def switches(model, place: str = "") -> Iterator[tuple[str, TypeAdapter]]:
    """Every key that is true or false, in every section."""
    for name, field in model.model_fields.items():
        if field.annotation is bool:
            yield f"{place}.{name}", TypeAdapter(Annotated[field.annotation, *field.metadata])
        for kind in (field.annotation, *walk(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from switches(kind, f"{place}.{name}")


def walk(kind) -> Iterator:
    for part in get_args(kind):
        yield part
        yield from walk(part)


def test_every_switch_is_written_yes_or_no_or_true_or_false() -> None:
    found = dict(switches(Config))
    assert {".meters.identity", ".meters.enabled", ".uplinks.replay", ".card.remount"} <= found.keys()
    for place, adapter in found.items():
        for value, meant in (("yes", True), ("no", False), (True, True), (False, False)):
            assert adapter.validate_python(value, strict=True) is meant, place
        for value in ("on", "No", 1, ""):
            with pytest.raises(ValidationError):
                adapter.validate_python(value, strict=True)


def test_what_the_page_says_of_a_strange_identity_can_be_written() -> None:
    text = (
        "gateway: {id: g}\nbuses: [{name: l, type: serial, port: /dev/ttyUSB0}]\n"
        "meters:\n  - {id: m, bus: l, address: 1, driver: eastron-sdm630, identity: no}\n"
    )
    assert parse_config(text).meters[0].identity is False


@pytest.mark.parametrize("off", ["no", "false"])
def test_a_meter_that_is_switched_off_keeps_its_address_however_that_is_written(off) -> None:
    text = (
        "gateway: {id: g}\nbuses: [{name: l, type: serial, port: /dev/ttyUSB0}]\nmeters:\n"
        "  - {id: new, bus: l, address: 1, driver: eastron-sdm630}\n"
        f"  - {{id: old, bus: l, address: 1, driver: eastron-sdm630, enabled: {off}}}\n"
    )
    assert [meter.enabled for meter in parse_config(text).meters] == [True, False]
    with pytest.raises(ConfigError, match="already taken"):
        parse_config(text.replace(off, "true"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_mistakes_are_told_with_line_and_mend(path) -> None:
    # A case is a configuration whose comments say what must be reported: "#! LINE KEY: words"
    text = path.read_text()
    expected = re.findall(r"^#! (\d+) (\S*): (.+)$", text, re.MULTILINE)
    assert expected, "a case without an expectation proves nothing"
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    told = [str(problem).removeprefix(str(path) + ":") for problem in caught.value.problems]
    for line, key, words in expected:
        assert any(p.startswith(f"{line}: {key}") and words in p for p in told), (
            f"{line} {key}: {words}\nnot in\n" + "\n".join(told)
        )
    assert len(told) == len(expected), "\n".join(told)


def test_a_missing_file_is_a_clear_line(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


@given(st.binary(max_size=300))
def test_garbage_is_refused_never_worse(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("garbage") / "g.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load_config(path)


@pytest.mark.parametrize(
    "text", ["[" * 3000, "a: " * 50, "&a [*a]", "gateway: !!python/object:os.system x", "x: 1\nx: 2"]
)
def test_hostile_yaml_is_refused(text) -> None:
    with pytest.raises(ConfigError):
        parse_config(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("5min", 300), ("1h", 3600), ("0s", 0), ("1.5 s", 1.5)]
)
def test_durations(text, seconds) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["10", "s", "-1s", "10 m", "", None, 10, True])
def test_what_is_no_duration(text) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_sizes_and_ratios() -> None:
    assert parse_size("4GB") == 4_000_000_000
    assert parse_size("500 mb") == 500_000_000
    assert parse_ratio("200/5") == 40
    assert parse_ratio(40) == 40
    assert [primary_of(each) for each in ("200/5", " 200 / 1 ", "40", 40)] == [200, 200, None, None]
    for bad in ("0/5", "5/0", "x", True, None):
        with pytest.raises(ValueError, match="ratio"):
            parse_ratio(bad)


@pytest.mark.parametrize(
    "text",
    [
        "meters: [{id: [1], bus: {a: 1}, address: [2]}]",
        "buses: {}",
        "meters: [1, x, null]",
        "pulses: [{id: {}, pin: []}]",
        "uplinks: 3",
    ],
)
def test_values_of_the_wrong_kind_are_mistakes_not_crashes(text) -> None:
    with pytest.raises(ConfigError):
        parse_config("gateway: {id: g}\n" + text)


def pulse(**keys):
    return parse_config(
        json.dumps({"gateway": {"id": "g"}, "pulses": [{"id": "p", "pin": 4, "per_unit": 1000, **keys}]})
    ).pulses[0]


@pytest.mark.parametrize(
    ("keys", "width", "gap", "rate", "fastest"),
    [
        ({}, 0.03, 0.03, 18.3, 16.67),
        ({"max_rate": 10}, 0.03, 0.03, 10, 16.67),
        ({"max_rate": 50}, 0.009, 0.009, 50, 55.6),
        ({"max_rate": 50, "min_width": "8ms"}, 0.008, 0.009, 50, 58.8),
        ({"min_width": "5ms", "min_gap": "5ms"}, 0.005, 0.005, 110, 100),
        ({"min_width": "0s", "min_gap": "0s"}, 0, 0, 1000, 1000),
        ({"max_rate": 50, "min_width": "30ms", "min_gap": "30ms"}, 0.03, 0.03, 50, 16.67),
    ],
)
def test_the_limits_of_a_pulse_follow_from_each_other(keys, width, gap, rate, fastest) -> None:
    found = pulse(**keys)
    assert found.limits == pytest.approx((width, gap, rate), rel=0.01)
    assert found.fastest == pytest.approx(fastest, rel=0.01)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("buses:\n", "buses: has no value → write a list of entries, or remove the key"),
        ("buses: {name: plant}\n", "buses: is not a list of entries → write a list of entries"),
        ("gateway: [a]\n", "gateway: is not keys with values → write keys with values"),
        (f"commit: {'9' * 40}\n", "commit: is not a key here"),
        (
            f"journal: {{budget: 1GB}}\nstatus: {{name: x, listen: {'9' * 40}}}\n",
            "status.name: is not a key here",
        ),
    ],
)
def test_a_section_of_another_kind_is_told_and_nothing_that_only_follows_from_it(section, said) -> None:
    text = "meters:\n  - {id: main, bus: plant, address: 1, driver: eastron-sdm120}\n"
    kept = "gateway: {id: g-1}\n" if not section.startswith("gateway") else ""
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{kept}{section}{text}", "f.yaml")
    told = [str(problem) for problem in caught.value.problems]
    assert any(said in line for line in told), told
    if section.startswith("buses"):
        assert not any("is not the name of a bus" in line for line in told), told


def test_a_number_beyond_all_bounds_is_told_to_be_one() -> None:
    text = (
        f"gateway: {{id: g-1}}\nbuses:\n  - {{name: p, type: tcp, host: h, port: {'9' * 40}}}\nmeters: []\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "f.yaml")
    assert "port: is far out of range → write a smaller number" in str(caught.value.problems[0])
