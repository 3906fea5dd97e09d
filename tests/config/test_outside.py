"""Text that looks right, files that are none, numbers without end: refused in words, at their line, in a
bounded time.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.catalogue import load_file, load_text
from gateway.check import check as look
from gateway.cli.check import command as check
from gateway.cli.drivers_try import settings
from gateway.common.files import read_secret
from gateway.config import (
    MAX_PROBLEMS,
    Config,
    TcpBus,
    host_and_port,
    load_config,
    parse_config,
    validate,
)
from gateway.config.places import a_host
from gateway.config.schema import Uplink
from gateway.config.yamlfile import MAX_BYTES, parse_yaml, scalar
from gateway.errors import ConfigError, DriverError, GatewayError
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale

TURKISH = Locale("tr", "Europe/Istanbul", 0)
HEAD = "gateway: {id: g}\n"
TABLE = "maker: M\nmodel: M\nverified: datasheet\nsource: p\nregisters: |\n"


SOON = 20.0
"""s, wide enough for a machine that others use too; what waits for a pipe waits for ever."""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(HEAD + text, "f")
    return [str(problem) for problem in caught.value.problems]


def bus(host: str) -> str:
    return f"buses:\n  - {{name: t, type: tcp, host: {host}}}\n"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ('" 10.0.0.1"', "a blank at its beginning"),
        ('"10.0.0.1 "', "a blank at its end"),
        ('"met er"', "a blank at place 4"),
        ('"meter\\u200b"', "U+200B ZERO WIDTH SPACE"),
        ('"meter\\u00a0"', "U+00A0 NO-BREAK SPACE"),
        ('"\\ufeffmeter"', "U+FEFF"),
        ('"meter\\u202e"', "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ('"meter\\t"', "U+0009"),
        ('"[::1]"', "in brackets, which belong to URLs → write ::1"),
        ('"10.0.0.1:502"', "has a port in it → write host: 10.0.0.1 and port: 502"),
        ('"[2001:db8::1]:502"', "has a port in it → write host: 2001:db8::1 and port: 502"),
        ('"tcp://10.0.0.1:503/x"', "is a URL, not a host name → write host: 10.0.0.1 and port: 503"),
        ('"http://meter.local"', "is a URL, not a host name → write host: meter.local"),
        ("192.168.1", "four numbers"),
        ("192.168.1.300", "four numbers"),
        ("192.168.001.010", "four numbers"),
        ("10.1", "is not text"),
        ('"0x7f.1"', "four numbers"),
        ('"2130706433"', "four numbers"),
        ('"2001:db8::zz"', "version 6"),
        ("-meter", "is not a host name"),
        ("a..b", "is not a host name"),
        ("meter/1", "is not a host name"),
        ("127\u30020\u30020\u30021", "is not a host name"),
        ("meter;other", "is not a host name"),
        ("a*", "is not a host name"),
        ("\uff41\uff42", "U+FF41 FULLWIDTH LATIN SMALL LETTER A for 'a'"),
        ('""', "is empty"),
        (f"{'a' * 64}.local", "is not a host name"),
        ('"fe80::1%"', "has an empty interface"),
        ('"10.0.0.1%eth0"', "has an interface, which belongs to fe80 addresses only → write 10.0.0.1"),
    ],
)
def test_a_host_is_a_name_or_an_address_alone(host, why) -> None:
    told = problems(bus(host))
    assert any(line.startswith("f:3: buses[0].host: ") and why in line for line in told), told


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fe80::1%br-lan.10",
        "fe80::1%2",
        "169.254.1.1",
        "192.168.1.255",
        "::ffff:10.0.0.1",
        "2001:db8::10",
        "meter",
        "meter_room-1.local",
        "ölçüm.example",
        "a.b.",
        "3com.example",
    ],
)
def test_names_and_addresses_are_good(host) -> None:
    assert a_host(host) == host
    assert parse_config(HEAD + bus(f'"{host}"')).buses


@pytest.mark.parametrize(
    ("port", "why"),
    [
        ('"/dev/ttyUSB0 "', "a blank at its end"),
        ("ttyUSB0", "write /dev/ttyUSB0"),
        ("COM3", "is not a path"),
        ('"socket://h:1"', "rtu-over-tcp"),
        ('"/dev/tty\\u200bUSB0"', "U+200B"),
        ('""', "is empty"),
    ],
)
def test_a_serial_port_is_a_path(port, why) -> None:
    told = problems(f"buses:\n  - {{name: t, type: serial, port: {port}}}\n")
    assert any(line.startswith("f:3: buses[0].port: ") and why in line for line in told), told


@pytest.mark.parametrize(
    ("uplink", "why"),
    [
        ('url: "mqtt://h "', "a blank at its end"),
        ('url: "mqtt://h\\u200b"', "U+200B"),
        ('url: "mqtt://h?x=1"', "would not be used"),
        ('url: "wss://h/mqtt?token=1"', "would not be used"),
        ('url: "mqtt://h#x"', "would not be used"),
        ('url: "mqtt://h/path"', "has a path"),
        ('url: "mqtt://u:secret@h"', "credentials"),
        ('url: "mqtt://@h"', "credentials"),
        ('url: "mqtt://h:0"', "a port that is not a number"),
        ('url: "mqtt://h:port"', "a port that is not a number"),
        ('url: "mqtt://::1:1883"', ""),
        ('url: "mqtt://[::1"', "brackets"),
        ('url: "mqtt://192.168.1"', "four numbers"),
        ('url: "mqtt://h", username: "u "', "a blank at its end"),
        ('url: "mqtt://h", username: "\\ufeffu"', "U+FEFF"),
        ('url: "mqtt://h", username: ""', "is empty"),
        ('url: "mqtt://h", password_file: /p', "without username"),
    ],
)
def test_what_a_broker_is_reached_with_is_checked(uplink, why) -> None:
    told = problems(f"uplinks:\n  - {{name: u, {uplink}}}\n")
    assert any(line.startswith("f:3: uplinks[0]") and why in line for line in told), told
    assert not any("secret" in line for line in told), "a password in a URL must not reach the log"


@pytest.mark.parametrize(
    "url", ["mqtts://h", "mqtt://h:1883/", "wss://h/mqtt", "mqtt://[::1]:1883", "MQTTS://Broker.Example:8883"]
)
def test_addresses_of_brokers_are_good(url) -> None:
    assert Uplink(name="u", url=url).url == url


@pytest.mark.parametrize("url", ["mqtt://[fe80::1%25eth0]:1884", "mqtt://[fe80::1%eth0]:1884"])
def test_the_interface_of_a_broker_may_be_written_as_urls_have_it(url) -> None:
    assert Uplink(name="u", url=url).broker.host == "fe80::1%eth0"


def test_an_interface_may_have_the_number_25() -> None:
    assert Uplink(name="u", url="mqtt://[fe80::1%25]").broker.host == "fe80::1%25"
    assert Uplink(name="u", url="mqtt://[fe80::1%2525]").broker.host == "fe80::1%25"


@pytest.mark.parametrize(
    "listen",
    [
        "127.0.0.1:0", "127.0.0.1:65536", "8080", "[fe80::1%eth0]:80", "[::ffff:1.2.3]:80", "a b:80",
        "ö..b:80", "ö" * 64 + ":80", "a\\0b:80",
    ],
)  # fmt: skip
def test_what_is_no_host_and_port_is_refused(listen) -> None:
    (told,) = problems(f'status: {{listen: "{listen}"}}\n')
    assert told.startswith("f:2: status.listen: ")


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:8080", "[::]:8080", "[::1]:80", "localhost:80", "gateway.local:80", "[::ffff:10.0.0.1]:80"],
)
def test_addresses_to_listen_on_are_good(listen) -> None:
    assert parse_config(f'{HEAD}status: {{listen: "{listen}"}}\n').status.listen == listen


@pytest.mark.parametrize("serial", ['"12 "', '"12\\u200e"', '" 12"'])
def test_a_serial_number_has_no_hidden_ends(serial) -> None:
    told = problems(
        f"buses: [{{name: t, type: tcp, host: h}}]\nmeters: [{{id: m, bus: t, driver: d, serial: "
        f"{serial}}}]\n"
    )
    assert any("meters[0].serial" in line for line in told)


# -- what is well written and leads nowhere


def mistakes(tmp_path: Path, text: str) -> list[str]:
    """What a reload refuses and a start goes on with."""
    path = tmp_path / "f"
    path.write_text(HEAD + text)
    assert load_config(path), "what was good enough to run must start again after a power cut"
    found = look(path)
    assert found.fatal == []
    told = [str(problem).removeprefix(f"{tmp_path}/") for problem in found.mistakes]
    for part in (part for line in told for part in line.split(" → ")):
        assert in_words(part, TURKISH) != part, "each half has its Turkish"
    return told


UNUSABLE_HOSTS = [
    ("0.0.0.0", "of no machine → write the one of the device itself"),
    ('"::"', "of no machine"),
    ("0.1.2.3", "of no machine"),
    ('"::ffff:0.0.0.0"', "of no machine"),
    ("255.255.255.255", "of many machines → write the one of the device itself"),
    ("224.0.0.1", "of many machines"),
    ("239.255.1.1", "of many machines"),
    ('"ff02::1"', "of many machines"),
    ('"ff02::1%eth0"', "of many machines"),
    ('"::ffff:224.0.0.1"', "of many machines"),
    ("240.0.0.1", "that nobody has"),
    ('"fe80::1"', "write the interface behind it, like fe80::1%eth0"),
    ('"fe80::1%25eth0"', "has the 25 of a URL in front of its interface → write fe80::1%eth0"),
    ('"fe80::1%an-interface-of-20"', "has an interface that cannot be"),
    ('"2001:db8::1%eth0"', "has an interface, which belongs to fe80 addresses only → write 2001:db8::1"),
]


@pytest.mark.parametrize(("host", "why"), UNUSABLE_HOSTS)
def test_a_host_that_no_connection_can_be_opened_to_is_told(tmp_path, host, why) -> None:
    (told,) = mistakes(tmp_path, bus(host))
    assert told.startswith("f:3: buses[0].host: ")
    assert why in told
    (told,) = mistakes(tmp_path, f"status:\n  names:\n    - gateway.local\n    - {host}\n")
    assert told.startswith("f:5: status.names[1]: ")
    assert why in told


@pytest.mark.parametrize("port", ["/dev/ttyUSB0/", "/dev/", "/"])
def test_a_folder_is_no_port(tmp_path, port) -> None:
    (told,) = mistakes(tmp_path, f"buses:\n  - {{name: t, type: serial, port: {port}}}\n")
    assert told.startswith("f:3: buses[0].port: ")
    assert "is a folder → write the port in it" in told


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mqtt://0.0.0.0", "of no machine"),
        ("mqtts://255.255.255.255", "of many machines"),
        ("mqtt://[ff02::1]", "of many machines"),
        ("mqtt://[::]:1883", "of no machine"),
        ("mqtt://[fe80::1]", "write the interface behind it"),
        ("mqtt://[2001:db8::1%25eth0]", "belongs to fe80 addresses only"),
    ],
)
def test_a_broker_that_no_connection_can_be_opened_to_is_told(tmp_path, url, why) -> None:
    (told,) = mistakes(tmp_path, f'uplinks:\n  - {{name: u, url: "{url}"}}\n')
    assert told.startswith("f:3: uplinks[0].url: ")
    assert why in told
    keys = "url: mqtts://h, cert: /c.pem, key: /c.pem, token_file: /t"
    told = mistakes(tmp_path, f'uplinks:\n  - {{name: u, {keys}, enroll_url: "{url}"}}\n')
    assert any(line.startswith("f:3: uplinks[0].enroll_url: ") and why in line for line in told)


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("*:80", "write host:port"),
        ("1.2.3:80", "write host:port"),
        ("300.1.1.1:80", "write host:port"),
        ("0:80", "write host:port"),
        ("a,b:80", "write host:port"),
        ("[:::]:80", "write host:port"),
        ("[10.0.0.1]:80", "write host:port"),
        ("127.0.0.1:٨٠", "write host:port"),
        ("meter\\u200b:80", "U+200B"),
        ("255.255.255.255:80", "of many machines"),
        ("[ff02::1]:80", "of many machines"),
        ("[fe80::1]:80", "without its interface"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_told(tmp_path, listen, why) -> None:
    (told,) = mistakes(tmp_path, f'status: {{listen: "{listen}"}}\n')
    assert told.startswith("f:2: status.listen: ")
    assert why in told


def test_what_can_be_used_is_no_mistake(tmp_path) -> None:
    hosts = [
        "10.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fe80::1%2",
        "fe80::1%25",
        "fe80::1%253",
        "169.254.1.1",
        "192.168.1.255",
        "a.b.",
        "meter",
    ]
    lines = [f"  - {{name: b{at}, type: tcp, host: '{host}'}}\n" for at, host in enumerate(hosts)]
    text = "buses:\n" + "".join(lines) + "  - {name: s, type: serial, port: /dev/ttyUSB0}\n"
    urls = [
        "mqtt://[fe80::1%25eth0]",
        "mqtt://[fe80::1%eth0]",
        "mqtt://[fe80::1%25253]",
        "mqtt://[fe80::1%25]",
    ]
    lines = [f"  - {{name: u{at}, url: '{url}'}}\n" for at, url in enumerate(urls)]
    text += "uplinks:\n" + "".join(lines)
    assert mistakes(tmp_path, text + f"status: {{names: {hosts}}}\n") == []
    for listen in ("0.0.0.0:8080", "[::]:8080", "localhost:80", "gateway.local:80", "[::ffff:10.0.0.1]:80"):
        assert mistakes(tmp_path, f'status: {{listen: "{listen}"}}\n') == []


# -- texts without end

LONG = 100_000
LONG_TEXTS = [
    "gateway: {id: g, name: %s}",
    HEAD + "? %s\n: 1",
    "gateway: {id: g, ? %s : 1, ? %s : 2}",
    HEAD + "a: *%s",
    HEAD + "a: !%s x",
    HEAD + "? &a %s\n: 1\n? *a\n: 2",
    HEAD + "buses: [{name: %s, type: tcp, host: h}, {name: %s, type: tcp, host: i}]",
    HEAD + "buses: [{name: a, type: tcp, host: %s}, {name: b, type: tcp, host: %s}]",
    HEAD + "buses: [{name: a, type: serial, port: /dev/%s}, {name: b, type: serial, port: /dev/%s}]",
    HEAD + "buses: [{name: %s, type: tcp, host: h}]\nmeters: [{id: m, bus: other, driver: d}]",
    HEAD + "meters: [{id: m, bus: %s, driver: d}]",
    HEAD + "meters: [{id: m, bus: [%s], driver: d}]",
    HEAD + "meters: [{id: %s, bus: b, driver: d}, {id: %s, bus: b, driver: %s}]",
    HEAD + "meters: [{id: m, bus: b, driver: d, address: %s}, {id: n, bus: b, driver: d, address: %s}]",
    HEAD + "meters: [{id: m, bus: b, driver: d, parent: %s, serial: %s, feeds: %s}]",
    HEAD + "pulses: [{id: %s, pin: 1, per_unit: 1}, {id: %s, pin: %s, per_unit: 1}]",
    HEAD + "uplinks: [{name: u, url: %s, username: %s, receipts: [%s]}]",
    HEAD + "remote: {uplink: %s}\nbackup: {platform: %s}\nbuilding: {pv: [{meter: %s}]}",
]
LONG_LINES = [
    "  0 %s frequency Hz fast",
    "  0 u16 %s Hz fast",
    "  0 u16 frequency %s fast",
    "  %s u16 frequency Hz fast",
    "  0 u16 frequency Hz %s",
    "  0 u16 frequency Hz fast %s",
    "  0 u16 frequency Hz fast decimals=%s",
    "  0 u16 frequency Hz fast na=%s",
    "  0 u16 frequency Hz fast times=%s",
    "  0 u16 frequency Hz fast codes=1:%s",
    "  0 u16 frequency Hz fast sign=bit%s",
]


@pytest.mark.parametrize("text", LONG_TEXTS)
@pytest.mark.parametrize("piece", ["a" * LONG, "Aç " * (LONG // 3) + "z"])
def test_no_problem_repeats_a_text_without_end(text, piece) -> None:
    for line in problems(
        (text if text.startswith("gateway: {id: g,") else text.removeprefix(HEAD))
        % ((piece,) * text.count("%s"))
    ):
        assert len(line) < 500
        assert "→" in line, "what is wrong and what to write are told all the same"


@pytest.mark.parametrize("text", LONG_LINES)
def test_no_problem_of_a_table_repeats_a_text_without_end(text) -> None:
    with pytest.raises(DriverError) as caught:
        load_text(TABLE + text % ("a" * LONG) + "\n", "t-table")
    for problem in caught.value.problems:
        assert len(str(problem)) < 700
        assert problem.mend in str(problem)
        assert "is not " in str(problem) or "names " in str(problem) or "codes=" in str(problem)


@pytest.mark.parametrize("verified", ["zzz", "7", "[a]", "hardware", '"hardware (x)"'])
def test_a_value_that_is_of_no_kind_is_one_mistake_of_its_key(verified) -> None:
    with pytest.raises(DriverError) as caught:
        load_text(
            TABLE.replace("verified: datasheet", f"verified: {verified}") + "  0 u16 frequency Hz fast\n", "t"
        )
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, "verified")


def test_of_many_mistakes_only_those_that_are_told_are_explained() -> None:
    """A search for what was meant by each of 80 000 keys takes minutes, and a reload waits for it."""
    explained = []

    def explain(error: dict[str, object]) -> tuple[str, str]:
        explained.append(error["loc"])
        return "is not a key here", ""

    document, _ = parse_yaml(HEAD + "".join(f"key{number}: 1\n" for number in range(5000)), "f")
    assert document is not None
    config, told = validate(Config, document, "f", explain)
    assert config is None
    assert len(told) == MAX_PROBLEMS + 1
    assert sum("more than" in problem.what for problem in told) == 1
    assert len(explained) == MAX_PROBLEMS + 1


# -- two buses on one line


def checked(path: Path, first: str, second: str) -> str:
    path.write_text(f"{HEAD}buses:\n  - {{name: a, {first}}}\n  - {{name: b, {second}}}\n")
    result = CliRunner().invoke(check, [str(path)])
    assert load_config(path), "what is plugged in at the moment is no reason not to start"
    assert (result.exit_code == 0) is ("good" in result.output)
    return result.output


@pytest.mark.parametrize("host", ["192.0.2.10", "2001:db8::10", "fe80::1%eth0", "::1", "meter-room.local"])
@pytest.mark.parametrize("port", [502, 4001])
def test_the_place_of_a_bus_is_what_a_command_takes_for_it(host, port) -> None:
    bus = TcpBus(name="plant", type="tcp", host=host, port=port)
    assert host_and_port(bus.place) == (host, port)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("localhost", "127.0.0.1"),
        ("localhost", '"::1"'),
        ("LOCALHOST.", "localhost"),
        ("Meter.local", "meter.local."),
        ('"::ffff:10.0.0.1"', "10.0.0.1"),
        ('"2001:db8::1"', '"2001:DB8:0::1"'),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_two_buses_at_one_host_and_port_are_one_line(tmp_path, one, other) -> None:
    path = tmp_path / "g.yaml"
    told = checked(path, f"type: tcp, host: {one}", f"type: rtu-over-tcp, host: {other}, port: 502")
    assert f"{path}:4: buses[1].host: " in told
    assert "the line of the bus a" in told
    assert "good" in checked(path, f"type: tcp, host: {one}", f"type: tcp, host: {other}, port: 503")


def test_two_buses_on_one_port_are_one_line_however_it_is_called(tmp_path) -> None:
    path = tmp_path / "g.yaml"
    master, slave = os.openpty()
    real = os.ttyname(slave)
    (tmp_path / "by-id").symlink_to(real)
    (tmp_path / "again").symlink_to(tmp_path / "by-id")
    try:
        for name in (real, tmp_path / "by-id", tmp_path / "again", f"/dev/../{real}"):
            told = checked(path, f"type: serial, port: {real}", f"type: serial, port: {name}")
            assert f"{path}:4: buses[1].port: " in told
    finally:
        os.close(master)
        os.close(slave)
    assert "buses[1].port" in checked(
        path, "type: serial, port: /dev/none0", "type: serial, port: /dev/./none0"
    )
    assert "good" in checked(path, "type: serial, port: /dev/none0", "type: serial, port: /dev/none1")


# -- files


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
    assert load_config(path).gateway.id == "g"
    table = tmp_path / "m-m.yaml"
    table.write_bytes(
        b"\xef\xbb\xbf" + (TABLE + "  0 u16 frequency Hz fast\n").replace("\n", "\r\n").encode()
    )
    assert load_file(table).rows


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        ("gateway: {id: g}\n".encode("utf-16"), 1, "UTF-16"),
        ("gateway:\n  id: g\n  name: Ana sayaç şalt\n".encode("cp1254"), 3, "not UTF-8"),
        ("gateway:\n  id: g\n  name: a\u2028b\n".encode(), 3, "U+2028"),
        ("gateway:\n  id: g\n# a\x85b\n".encode(), 3, "U+0085"),
        (b"gateway:\n  id: g\x00\n", 2, "U+0000"),
        (b"gateway:\n\tid: g\n", 2, "not valid YAML"),
        ("gateway:\n\u00a0 id: g\n  name: a\n".encode(), 2, "U+00A0"),
        ("gateway:\n  id: g\n \u3000name: a\n".encode(), 3, "U+3000"),
        ("a: |\n  text\n  \u00a0more\n  end\ngateway: {id: g\nb: 1\n".encode(), 6, "check indentation"),
        ("a: 'b\n  \u00a0c\n  d'\ngateway: {id: g\nb: 1\n".encode(), 5, "check indentation"),
    ],
)
def test_other_encodings_are_named_with_their_line(tmp_path, data, line, why) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert why in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    began = time.process_time()
    for path in (fifo, Path("/dev/zero"), Path("/dev/null"), tmp_path):
        for load, kind in ((load_config, ConfigError), (load_file, DriverError)):
            with pytest.raises(kind, match="is not a regular file"):
                load(path)
    assert time.process_time() - began < SOON


def test_a_file_that_grows_is_read_up_to_the_bound(tmp_path) -> None:
    path = tmp_path / "g.yaml"
    with path.open("wb") as file:
        file.truncate(40 * MAX_BYTES)  # no bytes on the disk
    with pytest.raises(ConfigError, match="is larger than"):
        load_config(path)


NAMED = {
    "building": "gateway: {id: g, name: %s}",
    "bus": HEAD + "buses: [{name: l, type: tcp, host: h, label: %s}]",
    "meter": HEAD + "buses: [{name: l, type: tcp, host: h}]\n"
    "meters: [{id: m, bus: l, address: 1, driver: d, name: %s}]",
    "what it feeds": HEAD + "buses: [{name: l, type: tcp, host: h}]\n"
    "meters: [{id: m, bus: l, address: 1, driver: d, feeds: %s}]",
    "pulse input": HEAD + "pulses: [{id: m, pin: 1, per_unit: 1, name: %s}]",
    "platform": HEAD + "uplinks: [{name: u, url: mqtt://h, label: %s}]",
}


@pytest.mark.parametrize("text", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u2066", "\u200b", "\x07", "\x1b", "\x00", "\u2028", "\u00a0", "\u3164", "\U000e0041"],
)
def test_a_name_holds_nothing_that_is_not_seen(text, character) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text % f'"Ana\\U{ord(character):08x}sayaç"')
    (problem,) = caught.value.problems
    assert f"U+{ord(character):04X}" in problem.what
    assert "place 4" in problem.what
    assert problem.mend == "write it again by hand"
    assert character not in str(problem)


@pytest.mark.parametrize(
    "name", ["Ana sayaç", "A-Blok / Kazan dairesi №2", "電気 メーター", "عداد", "é", "１階"]
)
def test_a_name_may_be_of_any_language(name) -> None:
    assert parse_config(f'gateway: {{id: g, name: " {name} "}}').gateway.name == name


SECRETS = [
    (b"s3cret,\xc4\x9f#:@ %41\n", "s3cret,ğ#:@ %41", ""),
    (b"s3cret\r\n", "s3cret", ""),
    (b"\xef\xbb\xbfs3cret", "s3cret", ""),
    (b"s3cret\n\n", "s3cret", ""),
    (b"s3cret\ntwo\n", "", "more than one line"),
    (b"one\r\n\r\ntwo", "", "more than one line"),
    ("s3\u2028cret".encode(), "", "U+2028"),
    (b"s3\x0bcret", "", "U+000B"),
    ("s3\u200bcret".encode(), "", "U+200B"),
    (b"s3cret ", "", "blank at its end"),
    ("s3cret".encode("utf-16"), "", "UTF-16"),
    (b"s3\xffcret", "", "UTF-8"),
    (b"", "", "is empty"),
    (b"\n", "", "is empty"),
]


@pytest.mark.parametrize(("data", "secret", "why"), SECRETS)
def test_a_password_file_is_one_line_of_plain_text(tmp_path, data, secret, why) -> None:
    path = tmp_path / "password"
    path.write_bytes(data)
    path.chmod(stat.S_IRUSR)
    if secret:
        assert read_secret(path) == secret
    else:
        with pytest.raises(ValueError, match=why.replace("+", r"\+")) as caught:
            read_secret(path)
        assert "s3" not in str(caught.value), "never the secret"
    config = tmp_path / "g.yaml"
    config.write_text(
        f"{HEAD}uplinks:\n  - {{name: u, url: mqtt://h,\n     username: u, password_file: {path}}}\n"
    )
    result = CliRunner().invoke(check, [str(config)])
    assert (result.exit_code == 0) is bool(secret), result.output
    assert secret or f"{config}:4: uplinks[0].password_file: {path} " in result.output


# -- numbers and sizes


@pytest.mark.parametrize(
    "text",
    [
        "journal: {budget: " + "9" * 400 + "GB}",
        "journal: {budget: 99999999999GB}",
        "clock: {hold: " + "9" * 400 + "s}",
        "pulses: [{id: p, pin: 4, per_unit: .inf}]",
        "pulses: [{id: p, pin: 4, per_unit: .nan}]",
        "pulses: [{id: p, pin: 4, per_unit: 1.0e999}]",
        "pulses: [{id: p, pin: 4, per_unit: 1.0e-300}]",
        "pulses: [{id: p, pin: 4, per_unit: 1, start: .inf}]",
        "pulses: [{id: p, pin: 4, per_unit: 1, start: 1.0e300}]",
        "pulses: [{id: p, pin: " + "9" * 5000 + ", per_unit: 1}]",
        "buses: [{name: t, type: tcp, host: h}]\nmeters: [{id: m, bus: t, driver: d, ct: " + "9" * 400 + "}]",
        "buses: [{name: t, type: tcp, host: h}]\nmeters: [{id: m, bus: t, driver: d, ct: .inf}]",
        "buses: [{name: t, type: tcp, host: h}]\nmeters: [{id: m, bus: t, driver: d, ct: "
        "1000000000000/0.000001}]",
        "uplinks: [{name: u, url: mqtt://h, backlog_rate: .nan}]",
        "uplinks: [{name: u, url: mqtt://h, backlog_rate: .inf}]",
    ],
)
def test_no_number_is_without_end(text) -> None:
    for line in problems(text):
        assert len(line) < 400


@pytest.mark.parametrize("word", ["true", "False", "TRUE"])
@pytest.mark.parametrize(
    "text",
    [
        "pulses: [{id: p, pin: 4, per_unit: %s}]",
        "pulses: [{id: p, pin: 4, per_unit: 1, start: %s}]",
        "pulses: [{id: p, pin: 4, per_unit: 1, max_rate: %s}]",
        "building: {area: %s}",
        "building: {installed_kva: %s}",
        "building: {contract_kw: %s}",
        "uplinks: [{name: u, url: mqtt://h, backlog_rate: %s}]",
    ],
)
def test_a_switch_is_no_number(text, word) -> None:
    """True is 1 for Python: a meter of one pulse a kWh."""
    (line,) = problems(text % word)
    assert line.endswith(" is not a number → write a number")
    parse_config(HEAD + text % "'12.5'", "f")


@pytest.mark.parametrize(
    "text",
    [
        "? [a, b]\n: c\n",
        "&a [1]: 2",
        "x: {? *a : 1}",
        "a: &a {b: *a}",
        "<<: 3",
        "a: &x [1]\nb: {<<: *x}",
        "a: 1\n--- \nb: 2",
        "a: !!set {x}",
        "a: *nothing",
        "{" * 60,
        "- " * 60,
        "a: [",
        "gateway: [[[[]]]]",
    ],
)
def test_strange_yaml_is_a_problem_with_file_and_line(text) -> None:
    for line in problems(text):
        assert line.startswith("f:")


@given(st.text("a:- {}[]&*<>|'\"\n,?!#%@`0x.~\t", max_size=40))
def test_whatever_is_written_no_loader_raises_anything_else(text) -> None:
    with pytest.raises(ConfigError):
        parse_config(text)
    parse_yaml(text, "f")
    with pytest.raises(DriverError):
        load_text(text, "t-table")


def test_a_mistake_of_ours_is_a_problem_too(monkeypatch) -> None:
    monkeypatch.setattr("gateway.config.load._cross_check", lambda _: 1 / 0)
    with pytest.raises(ConfigError, match="f:1: cannot be judged: ZeroDivisionError"):
        parse_config(HEAD, "f")
    monkeypatch.setattr("gateway.catalogue.table.DriverTable.build", lambda *_: 1 / 0)
    with pytest.raises(DriverError, match=r"t-table\.yaml:1: cannot be judged: ZeroDivisionError"):
        load_text(TABLE, "t-table")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("N", "N"),
        ("yes", "yes"),
        ("012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("8E1", 80.0),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("null", None),
        ("True", True),
        ("1.", 1.0),
        (".5", 0.5),
        ("+5", 5),
        ("-", "-"),
        ("0x", "0x"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text, value) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_merges_and_aliases_have_their_lines() -> None:
    text = f"""{HEAD}buses:
  - &one {{name: a, type: tcp, host: h}}
  - {{<<: *one, name: b,
      port: 0}}
"""
    with pytest.raises(ConfigError, match=r"f:5: buses\[1\]\.port"):
        parse_config(text, "f")


# -- the command line names a bus


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1", "10.0.0.1", 502),
        ("h:503", "h", 503),
        ("::1", "::1", 502),
        ("[::1]", "::1", 502),
        ("[2001:db8::1]:503", "2001:db8::1", 503),
    ],
)
def test_a_bus_of_the_command_line(text, host, port) -> None:
    driver = load_text(TABLE + "  0 u16 frequency Hz fast\n", "t-table")
    said = {"baudrate": None, "parity": None, "stopbits": None, "rtu": False}
    found = settings(text, driver, None, **said)[0].bus
    assert (found.host, found.port) == (host, port)
    assert settings("/dev/ttyUSB0", driver, None, **said)[0].bus.port == "/dev/ttyUSB0"
    for bad in ("tcp://h", "h h", "h:99999", "10.0.0", "ttyUSB0 "):
        with pytest.raises(GatewayError, match="is not a bus: it "):
            settings(bad, driver, None, **said)


def test_a_validation_error_never_leaves_the_loader() -> None:
    with pytest.raises(ValidationError):
        Uplink(name="u", url="mqtt://h?x")
