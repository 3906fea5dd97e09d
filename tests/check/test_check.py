"""`submeter check` says every mistake at once; what it refuses, a reload refuses; a start goes on and says
so.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gateway.check import check, check_machine, load
from gateway.check import rights as rights_module
from gateway.check.certificates import validities
from gateway.check.rights import User
from gateway.check.sample import SAMPLE_BROKER, SAMPLE_ID, SAMPLE_NAME, SAMPLE_PORT, SAMPLE_SERIAL
from gateway.cli.check import command
from gateway.config.rules import load_rules, rules_path
from gateway.errors import ConfigError
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale
from tests.rig import Rig, rig, until

SAMPLE = Path(__file__).parents[2] / "config" / "gateway.yaml"
TABLE = "maker: A\nmodel: B\nverified: one-source\nsource: s\nregisters: |\n"


def written(tmp_path: Path, **sections) -> Path:
    path = tmp_path / "gateway.yaml"
    base = {
        "gateway": {"id": "g"},
        "journal": {"directory": str(tmp_path)},
        "drivers": {"directory": str(tmp_path / "drivers")},
    }
    path.write_text(json.dumps(base | sections, indent=1))
    return path


def line(name: str = "line", **more) -> dict:
    return {"name": name, "type": "serial", "port": f"/dev/{name}", **more}


def meter(name: str = "m", **more) -> dict:
    return {"id": name, "bus": "line", "address": 1, "driver": "eastron-sdm630", **more}


def uplink(**more) -> dict:
    return {"name": "city", "url": "mqtts://127.0.0.1", **more}


def table(tmp_path: Path, name: str, rows: str, head: str = TABLE) -> None:
    (tmp_path / "drivers").mkdir(exist_ok=True)
    (tmp_path / "drivers" / f"{name}.yaml").write_text(head + rows)


def told(path: Path) -> list[str]:
    return [str(problem) for problem in check(path).problems]


MISTAKES = {
    "a key": ({"gateway": {"id": "g", "nam": "x"}}, r"gateway\.yaml:\d+: gateway\.nam: .*did you mean name"),
    "a driver": (
        {"meters": [meter(driver="eastron-sdm603")]},
        r"gateway\.yaml:\d+: meters\[0\]\.driver: .*did you mean eastron-sdm630",
    ),
    "a table": ({"meters": [meter(driver="odd")]}, r"odd\.yaml:6: 'float33' is not a type"),
    "a table of a meter that is off": ({"meters": [meter(driver="odd", enabled=False)]}, r"odd\.yaml:6: "),
    "no address": (
        {"meters": [{"id": "m", "bus": "line", "driver": "plain"}]},
        r"meters\[0\]\.address: is missing → write address",
    ),
    "another factory address": (
        {"meters": [{"id": "m", "bus": "line", "driver": "factory"}]},
        r"address: is missing → write address: 9",
    ),
    "an interval": (
        {"meters": [meter(interval="100ms")]},
        r"meters\[0\]\.interval: the intervals of bus line need .*write interval: \d+s",
    ),
    "one line twice": (
        {"buses": [line(), line("other", port="/dev/line")]},
        r"buses\[1\]\.port: .* is the line of the bus line already",
    ),
    "no password": (
        {"uplinks": [uplink(username="u", password_file="/none/p")]},
        r"uplinks\[0\]\.password_file: there is no file /none/p",
    ),
    "no authority": ({"uplinks": [uplink(ca="/none/ca")]}, r"uplinks\[0\]\.ca: there is no file /none/ca"),
    "a folder": ({"uplinks": [uplink(ca="/tmp")]}, r"uplinks\[0\]\.ca: /tmp cannot be read"),
    "no PEM": ({"uplinks": [uplink(ca=str(SAMPLE))]}, r"uplinks\[0\]\.ca: .* cannot be used"),
    "a key alone": (
        {"uplinks": [uplink(cert=str(SAMPLE), key="/none/k")]},
        r"uplinks\[0\]\.key: there is no file /none/k",
    ),
    "no pair": (
        {"uplinks": [uplink(cert=str(SAMPLE), key=str(SAMPLE))]},
        r"uplinks\[0\]\.cert: .* cannot be used",
    ),
    "the sample's broker": (
        {"uplinks": [uplink(url="mqtts://Platform.example:8883")]},
        r"uplinks\[0\]\.url: .*nobody has",
    ),
    "the sample's id and name": (
        {"gateway": {"id": SAMPLE_ID, "name": SAMPLE_NAME}},
        r"gateway\.id: .*sample",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_line(tmp_path, name) -> None:
    sections, words = MISTAKES[name]
    table(tmp_path, "odd", "  0x0 float33 voltage_l1n V fast\n")
    table(tmp_path, "plain", "  0x0 float32 voltage_l1n V fast\n")
    table(
        tmp_path,
        "factory",
        "  0x0 float32 voltage_l1n V fast\n",
        TABLE.replace("registers", "serial: {address: 9}\nregisters"),
    )
    path = written(tmp_path, **{"buses": [line()], **sections})
    found = told(path)
    assert any(re.search(words, text) for text in found), found
    result = CliRunner().invoke(command, [str(path)])
    assert result.exit_code == 1


def test_what_is_right_is_good(tmp_path) -> None:
    table(tmp_path, "plain", "  0x0 float32 voltage_l1n V fast\n")
    path = written(
        tmp_path, buses=[line()], meters=[meter(driver="plain"), meter("n", address=2)], uplinks=[uplink()]
    )
    assert told(path) == []
    result = CliRunner().invoke(command, [str(path)])
    assert result.exit_code == 0
    assert "/dev/line cannot be opened: there is no such port" in result.output, (
        "it may be unplugged: a warning"
    )


def test_every_mistake_comes_in_one_run(tmp_path) -> None:
    table(tmp_path, "odd", "  0x0 float33 voltage_l1n V fast\n  0x2 float32 voltage V fast\n")
    path = written(
        tmp_path,
        gateway={"id": "G 1", "nam": "x"},
        buses=[line(baudrate=9601), line("other", port="/dev/line"), line("third")],
        meters=[
            meter("a", driver="eastron-sdm603"),
            meter("b", bus="third", interval="50ms"),
            meter("c", driver="odd", address=3),
            {"id": "d", "bus": "line", "driver": "odd"},
            meter("e", parent="z", address=5),
        ],
        uplinks=[
            uplink(username="u", password_file="/none/p", ca="/none/ca"),
            uplink(name="two", url="mqtt://platform.example"),
        ],
    )
    found = "\n".join(told(path))
    for words in (
        "gateway.id",
        "did you mean name?",
        "9601",
        "is the line of the bus",
        "did you mean eastron-sdm630",
        "bus third need",
        "float33",
        "voltage: is not a quantity",
        "meters[3].address: is missing",
        "'z' is not the id",
        "/none/p",
        "/none/ca",
        "platform.example",
    ):
        assert words in found, f"{words} is not in\n{found}"
    assert found.index("gateway.yaml:") < found.index("odd.yaml:"), "the file's own mistakes first"


def test_an_address_that_the_table_names_is_used_and_said(tmp_path) -> None:
    path = written(tmp_path, buses=[line()], meters=[{"id": "m", "bus": "line", "driver": "eastron-sdm120"}])
    found = check(path)
    assert found.problems == []
    assert any("address: is missing: 1 is used" in text for text in found.warnings)


def test_what_a_table_says_of_its_ratios_and_labels_is_held_against_the_configuration(tmp_path) -> None:
    meters = [
        meter("feeder", driver="chint-dtsu666", values="secondary", ct="200/5"),
        meter("plain", address=2, driver="chint-dtsu666"),
        meter("other", address=3, driver="eastron-sdm630", values="secondary", ct="200/5"),
        meter("pano-3", address=4, driver="entes-mpr63") | {"name": "Pano 3: MPR-63 21"},
        meter("mpr63-40", address=5, driver="entes-mpr63"),
        meter("pano-4", address=6, driver="entes-mpr63") | {"name": "MPR63, 100 kW"},
        meter("pano-5", address=7, driver="entes-mpr63") | {"name": "MPR63-210"},
        meter("mpr63-41", address=8, driver="entes-mpr63-io"),
    ]
    found = check(written(tmp_path, buses=[line()], meters=meters))
    assert found.problems == []
    ours = [text for text in found.warnings if "meters[" in text]
    assert [re.search(r"meters\[\d\]\.\w+", text)[0] for text in ours] == [
        "meters[0].values",
        "meters[3].driver",
        "meters[4].driver",
    ]
    assert "multiplies with the ratio that the meter holds already" in ours[0]
    assert "MPR63-21" in ours[1]
    assert "write driver: entes-mpr63-io" in ours[1]
    assert "MPR63-40" in ours[2]


PUT = "put the line that submeter care new-key prints into a file there, NAME.pub, owned by root"
KEYS_AMISS = {
    "no folder": ("{0} cannot be read: No such file or directory", PUT, "{0} okunamıyor"),
    "no key": ("{0} holds no key (*.pub): nobody may send a command", PUT, "{0} içinde anahtar (*.pub) yok"),
    "a folder of all": (
        "{0} may be written by others",
        "chmod go-w {0}",
        "{0} başkalarınca değiştirilebilir",
    ),
    "another's file": ("{0}/a.pub is not root's", "sudo chown root {0}/a.pub", "root kullanıcısının değil"),
    "no key in it": (
        "{0}/a.pub is no key",
        "write the line that submeter care new-key prints, ed25519:…",
        "{0}/a.pub bir anahtar değil → submeter care new-key",
    ),
}


@pytest.mark.parametrize("amiss", KEYS_AMISS)
def test_keys_of_remote_care_that_do_not_count_are_told_in_both_languages(
    tmp_path, amiss, monkeypatch
) -> None:
    trust = tmp_path / "trusted"
    path = written(tmp_path, remote={"commands": True, "trust": str(trust)})
    if amiss != "no folder":
        trust.mkdir(mode=0o755)
    if amiss in {"another's file", "no key in it"}:
        (trust / "a.pub").write_text("ed25519:AAAA")
    if amiss == "a folder of all":
        trust.chmod(0o777)
    if amiss == "another's file":
        as_it_is = Path.lstat
        theirs = os.stat_result((*as_it_is(trust / "a.pub")[:4], 4711, *as_it_is(trust / "a.pub")[5:10]))
        monkeypatch.setattr(Path, "lstat", lambda at: theirs if at.suffix == ".pub" else as_it_is(at))
    (problem,) = (each for each in told(path) if ": remote.trust: " in each)
    what, mend, turkish = (text.format(trust) for text in KEYS_AMISS[amiss])
    assert problem.endswith(f"remote.trust: {what} → {mend}")
    assert turkish in in_words(problem, Locale("tr", "Europe/Istanbul", 0))


def test_the_samples_own_values_are_known(tmp_path) -> None:
    text = SAMPLE.read_text()
    assert all(value in text for value in (SAMPLE_ID, SAMPLE_NAME, SAMPLE_BROKER, SAMPLE_PORT, SAMPLE_SERIAL))
    found = told(SAMPLE)
    assert any("gateway.id: 'izm-konak-017'" in text for text in found)
    assert any("platform.example" in text for text in found)
    assert told(written(tmp_path, gateway={"id": SAMPLE_ID})) == [], "a gateway may be called so: a warning"


def test_a_start_needs_less_than_a_reload(tmp_path) -> None:
    path = written(tmp_path, buses=[line()], meters=[meter(interval="100ms")], uplinks=[uplink(ca="/none")])
    config, drivers = load(path)
    assert (config.gateway.id, set(drivers)) == ("g", {"eastron-sdm630"})
    assert len(check(path).mistakes) == 2
    with pytest.raises(ConfigError, match=r"(?s)driver.*is missing"):
        load(
            written(
                tmp_path,
                buses=[line()],
                meters=[meter(driver="none"), {"id": "n", "bus": "line", "driver": "none-2"}],
            )
        )


# -- what is no file where a file is meant

NO_FILES = ["/dev/zero", "/dev/null", "fifo", "folder", "link"]


@pytest.fixture(params=NO_FILES)
def no_file(request, tmp_path) -> Path:
    """A device, a pipe, a folder, and a link to a device."""
    place = tmp_path / request.param
    if request.param == "fifo":
        os.mkfifo(place)
    elif request.param == "folder":
        place.mkdir()
    elif request.param == "link":
        place.symlink_to("/dev/zero")
    return place


@pytest.mark.parametrize("key", ["password_file", "ca", "cert", "key", "token_file"])
def test_what_is_no_file_is_refused_for_an_uplink(tmp_path, no_file, key) -> None:
    cert, private = certificate(tmp_path, "city")
    files = {"ca": str(cert), "cert": str(cert), "key": str(private), key: str(no_file)}
    found = "\n".join(told(written(tmp_path, uplinks=[uplink(username="u", **files)])))
    assert f"uplinks[0].{key}: {no_file} cannot be read: is not a regular file → write the name" in found


def test_what_is_no_file_is_refused_as_a_table_temperatures_and_rules(tmp_path, no_file, monkeypatch) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("own-table.yaml", "tr.yaml"):
        (folder / name).symlink_to(no_file)
    monkeypatch.setattr("gateway.check.files.OWN_RULES", str(folder))
    path = written(
        tmp_path,
        drivers={"directory": str(folder)},
        meters=[meter(driver="own-table")],
        building={"temperatures": str(no_file)},
    )
    found = [str(each) for each in check(path).problems]
    assert any(each.startswith(f"{folder}/own-table.yaml:1: is not a regular file") for each in found)
    assert any(each.startswith(f"{folder}/tr.yaml:1: is not a regular file") for each in found)
    assert any(each.startswith(f"{no_file}:1: cannot be read: is not a regular file") for each in found)


def test_a_mistake_in_ones_own_rules_is_one_of_the_configuration(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gateway.check.files.OWN_RULES", str(tmp_path))
    shipped = rules_path()
    (tmp_path / "tr.yaml").write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    path = written(tmp_path)
    assert [each for each in check(path).mistakes if "tr.yaml" in each.file] == []
    (tmp_path / "tr.yaml").write_text("tariffs: {}\nco3: []\n", encoding="utf-8")
    assert any("tr.yaml:2: co3: " in str(each) for each in check(path).mistakes)


@pytest.mark.parametrize("language", ["en", "tr"])
def test_rules_without_a_tariff_say_what_can_be_written(tmp_path, monkeypatch, language) -> None:
    (tmp_path / "tr.yaml").write_text("tariffs: {}\n", encoding="utf-8")
    monkeypatch.setattr("gateway.check.files.later.rules.rules_path", lambda _country: tmp_path / "tr.yaml")
    found = check(written(tmp_path, building={"tariff": "tr-three-time"})).mistakes
    said = [
        in_words(each.mend, Locale(language, "Europe/Istanbul", 0))
        for each in found
        if each.key == "building.tariff"
    ]
    instead = {
        "en": "write its bands there under tariffs, as the rules that come with the gateway have them",
        "tr": "dilimlerini orada tariffs altına, ağ geçidiyle gelen kurallardaki gibi yazın",
    }
    assert said == [instead[language]]


@pytest.mark.parametrize(
    ("tariff", "said"),
    [
        (
            "tr-three-times",
            "tr.yaml has no tariff tr-three-times → write one of tr-single-time, tr-three-time",
        ),
        ("three-time", "there are no rules for three-time → write one whose name begins with a country"),
        ("tr-single-time", ""),
        ("tr-three-time", ""),
    ],
)
def test_a_tariff_that_no_rules_file_has_is_a_mistake(tmp_path, tariff, said) -> None:
    found = check(written(tmp_path, building={"tariff": tariff}))
    told_here = [str(each) for each in found.mistakes if each.key == "building.tariff"]
    assert len(told_here) == bool(said)
    assert said in "".join(told_here)
    assert found.config is not None
    assert found.fatal == [], "a gateway starts with it: it ran before"


def test_ones_own_rules_count_whatever_stands_there(tmp_path, no_file) -> None:
    (tmp_path / "xx.yaml").symlink_to(no_file)
    (tmp_path / "yy.yaml").symlink_to(tmp_path / "gone")
    for name in ("xx", "yy"):
        assert rules_path(name, tmp_path) == tmp_path / f"{name}.yaml"
        with pytest.raises(ConfigError):
            load_rules(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize("no_file", [name for name in NO_FILES if name != "folder"], indirect=True)
@pytest.mark.parametrize("section", ["drivers", "backup", "remote"])
def test_what_is_no_folder_is_refused(tmp_path, no_file, section) -> None:
    more = {section: {"directory": str(no_file)}}
    if section == "remote":
        more = {section: {"uplink": "city", "commands": ["read"], "trust": str(no_file)}}
    found = "\n".join(told(written(tmp_path, **more)))
    key = "trust" if section == "remote" else "directory"
    assert f"{section}.{key}: {no_file} is no folder → write the name of a folder" in found


def test_a_folder_that_is_not_there_may_come(tmp_path) -> None:
    gone = {"directory": str(tmp_path / "gone")}
    assert told(written(tmp_path, drivers=gone, backup=gone)) == []


# -- this machine


def here(tmp_path: Path, **sections) -> str:
    path = written(tmp_path, **sections)
    found = check(path)
    assert found.config is not None, found.problems
    return "\n".join(map(str, check_machine(path, found.config, found.drivers, tmp_path / "no-socket")))


def certificate(tmp_path: Path, name: str, *dates: str) -> tuple[Path, Path]:
    key, cert = tmp_path / f"{name}.key", tmp_path / f"{name}.crt"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"]
    subprocess.run(
        ["openssl", "req", "-x509", *new, "-keyout", key, "-out", cert, *dates],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_here_says_nothing_of_a_machine_that_is_ready(tmp_path) -> None:
    assert here(tmp_path, status={"listen": "127.0.0.1:0"[:-1] + str(free())}) == ""


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_here_looks_at_ports_names_and_the_pages_address(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = here(
            tmp_path,
            buses=[line(), {"name": "far", "type": "tcp", "host": "no-such-host.invalid"}],
            status={"listen": f"127.0.0.1:{taken.getsockname()[1]}"},
            journal={"directory": str(tmp_path / "none")},
        )
    assert "buses[0].port: /dev/line cannot be opened: there is no such port" in found
    assert "buses[1].host: " in found
    assert "no-such-host.invalid" in found
    assert "status.listen: " in found
    assert "cannot be listened on: Address already in use" in found
    assert "journal.directory: there is no folder" in found


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (("meter-room.local", "192.0.2.10"), "buses[1].host: 192.0.2.10 and meter-room.local, the host"),
        (("192.0.2.10", "meter-room.local"), "buses[1].host: meter-room.local and 192.0.2.10, the host"),
        (("meter-room.local", "gateway.example"), "of the bus b0, are one machine: 192.0.2.10"),
        (("meter-room.local", "other.example"), ""),
        (("192.0.2.11", "meter-room.local"), ""),
        (("2001:DB8:0::10", "six.local"), "of the bus b0, are one machine: 2001:db8::10"),
        (("six.local", "2001:0db8::0010"), "of the bus b0, are one machine: 2001:db8::10"),
        (("::ffff:192.0.2.10", "meter-room.local"), "of the bus b0, are one machine: 192.0.2.10"),
        (("2001:db8::11", "six.local"), ""),
    ],
)
def test_here_knows_one_host_by_two_names(tmp_path, monkeypatch, hosts, told) -> None:
    known = {"meter-room.local": "192.0.2.10", "gateway.example": "192.0.2.10", "other.example": "192.0.2.99"}
    known["six.local"] = "2001:db8::10"
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port: [(socket.AF_INET, 1, 6, "", (known[host], port))]
    )
    buses = [{"name": f"b{at}", "type": "tcp", "host": host} for at, host in enumerate(hosts)]
    found = here(tmp_path, buses=buses, status={"listen": f"127.0.0.1:{free()}"})
    assert told in found
    assert ("a line has one master" in found) is bool(told)
    other_port = [{**bus, "port": 502 + at} for at, bus in enumerate(buses)]
    assert "one master" not in here(tmp_path, buses=other_port, status={"listen": f"127.0.0.1:{free()}"})


def test_here_asks_for_interfaces_only_where_one_is_written(tmp_path, monkeypatch) -> None:
    def closed() -> list[tuple[int, str]]:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "if_nameindex", closed)
    buses = [{"name": "b", "type": "tcp", "host": "192.0.2.10"}, {"name": "c", "type": "tcp", "host": "::1"}]
    assert here(tmp_path, buses=buses, status={"listen": f"127.0.0.1:{free()}"}) == ""


def test_here_knows_its_interfaces(tmp_path) -> None:
    buses = [
        {"name": f"b{at}", "type": "tcp", "host": host}
        for at, host in enumerate(("fe80::1%lo", "fe80::1%1", "fe80::1%none9", "::1"))
    ]
    found = here(
        tmp_path,
        buses=buses,
        uplinks=[{"name": "u", "url": "mqtt://[fe80::2%25none8]"}],
        status={"listen": f"127.0.0.1:{free()}"},
    )
    assert "buses[2].host: this machine has no interface none9 → write one that ip link lists" in found
    assert "uplinks[0].url: this machine has no interface none8" in found
    assert found.count("no interface") == 2


@pytest.mark.parametrize(("days", "words"), [("1", "expires on"), ("3650", "")])
def test_here_says_when_a_certificate_ends(tmp_path, days, words) -> None:
    cert, key = certificate(tmp_path, "client", "-days", days)
    begins, ends = validities(cert)[0]
    assert (
        timedelta(days=int(days)) - timedelta(minutes=5)
        < ends - datetime.now(UTC)
        < timedelta(days=int(days), minutes=5)
    )
    assert begins <= datetime.now(UTC)
    found = here(tmp_path, uplinks=[uplink(cert=str(cert), key=str(key))], status={"enabled": False})
    assert (words in found) if words else found == ""


def test_here_says_that_a_certificate_has_expired(tmp_path) -> None:
    _, key = certificate(tmp_path, "old")
    request, cert = tmp_path / "old.csr", tmp_path / "past.crt"
    run("openssl", "req", "-new", "-key", key, "-out", request, "-subj", "/CN=old")
    config = tmp_path / "ca.cnf"
    config.write_text(
        f"[ca]\ndefault_ca=x\n[x]\ndatabase={tmp_path}/index\nserial={tmp_path}/serial\nnew_certs_dir={tmp_path}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    (tmp_path / "index").write_text("")
    (tmp_path / "serial").write_text("01\n")
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200103000000Z"]
    run(
        "openssl",
        "ca",
        "-batch",
        "-config",
        config,
        "-selfsign",
        "-keyfile",
        key,
        "-in",
        request,
        "-out",
        cert,
        "-notext",
        *dates,
    )
    assert f"{cert} expired on 2020-01-03" in here(
        tmp_path, uplinks=[uplink(ca=str(cert))], status={"enabled": False}
    )


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def test_certificates_that_are_none_are_refused(tmp_path) -> None:
    path = tmp_path / "cut.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nMIIBdjCCARygAwIBAgI=\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match="is not a certificate"):
        validities(path)


@pytest.fixture
def open_folder():
    """A folder that every user may enter: pytest closes its own to others when another run of it begins."""
    folder = Path(tempfile.mkdtemp(prefix="submeter-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_here_knows_what_the_services_user_may_not_do(open_folder, monkeypatch) -> None:
    stranger = User("stranger", 54321, frozenset({54321}))
    monkeypatch.setattr("gateway.check.machine.service_user", lambda: stranger)
    state, secret = open_folder / "state", open_folder / "password"
    state.mkdir()
    secret.write_text("x")
    secret.chmod(0o600)
    keys = {
        "uplinks": [uplink(username="u", password_file=str(secret))],
        "journal": {"directory": str(state)},
        "status": {"enabled": False},
    }
    found = here(open_folder, **keys)
    assert "may not be read by the user stranger" in found
    assert "may not be written by the user stranger → sudo chown" in found
    os.chown(secret, 54321, -1)
    os.chown(state, 54321, -1)
    assert here(open_folder, **keys) == ""


GIVE_BACK = "{state} may not be written by the user submeter → sudo chown -R submeter: {state} (was"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize(
    ("owner", "mode", "installed", "said"),
    [
        (0, 0o755, True, GIVE_BACK),
        (54322, 0o755, True, GIVE_BACK),
        (0, 0o755, False, GIVE_BACK),
        (0, 0o700, True, "{above} may not be searched by the user submeter → sudo chmod o+x {above}, or"),
    ],
)  # fmt: skip
def test_here_gives_the_journal_to_the_service_whoever_asks(  # noqa: PLR0917 - a case
    open_folder, owner, mode, installed, said, monkeypatch
) -> None:
    monkeypatch.setattr("gateway.check.machine.service_user", lambda: User("submeter", 54321, frozenset()))
    monkeypatch.setattr("gateway.common.files.has_service", lambda: installed)
    above = open_folder / "above"
    state = above / "state"
    state.mkdir(parents=True)
    os.chown(state, owner, -1)
    above.chmod(mode)
    found = here(open_folder, journal={"directory": str(state)}, status={"enabled": False})
    assert said.format(above=above, state=state) in found


@pytest.mark.skipif(os.geteuid() != 0, reason="looks as another user")
def test_here_without_a_service_names_who_began_the_journal(open_folder, monkeypatch) -> None:
    monkeypatch.setattr("gateway.check.machine.service_user", lambda: User("ali", 54321, frozenset()))
    monkeypatch.setattr("gateway.common.files.has_service", lambda: False)
    state = open_folder / "state"
    state.mkdir()
    keys = {"journal": {"directory": str(state)}, "status": {"enabled": False}}
    assert f"sudo chown -R ali: {state} (was the gateway started by hand" in here(open_folder, **keys)
    os.chown(state, 54322, -1)
    mend = f"go on as the user 54322 (sudo -u 54322), or hand it over: sudo chown -R ali: {state}"
    assert mend in here(open_folder, **keys)


@pytest.mark.skipif(os.geteuid() != 0, reason="looks as another user")
def test_here_does_not_guess_what_the_asker_may_not_see(open_folder, monkeypatch) -> None:
    """The service may write it: nobody is told to take it away."""
    monkeypatch.setattr("gateway.check.machine.service_user", lambda: User("submeter", 54321, frozenset()))
    above = open_folder / "above"
    state = above / "state"
    state.mkdir(parents=True)
    for folder in (above, state):
        os.chown(folder, 54321, 54321)
        folder.chmod(0o750)
    keys = {"journal": {"directory": str(state)}, "status": {"enabled": False}}
    here(open_folder, **keys)  # everything is loaded while it may be
    os.seteuid(54322)
    try:
        path = open_folder / "gateway.yaml"
        config = check(path).config
        assert config is not None
        found = "\n".join(map(str, check_machine(path, config, {}, open_folder / "no-socket")))
    finally:
        os.seteuid(0)
    assert f"you may not open {state} → use sudo" in found
    assert "chown" not in found


def test_a_log_that_was_merged_meanwhile_is_nobodys_trouble(tmp_path, monkeypatch) -> None:
    (tmp_path / "journal.db").write_text("")
    real = Path.glob

    def glob(folder: Path, pattern: str) -> list[Path]:
        return [*real(folder, pattern), folder / "journal.db-wal"]

    monkeypatch.setattr(Path, "glob", glob)
    assert here(tmp_path, status={"enabled": False}) == ""


@pytest.mark.parametrize(
    ("mode", "owner", "write", "may"),
    [
        (0o640, (5, 7), False, True),
        (0o640, (6, 0), False, True),
        (0o640, (6, 7), False, False),
        (0o440, (5, 0), True, False),
        (0o604, (6, 0), False, False),
        (0o000, (0, 0), True, True),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_the_rights_of_another_user(open_folder, mode, owner, write, may) -> None:
    path = open_folder / "file"
    path.write_text("")
    os.chown(path, 5, 0)
    path.chmod(mode)
    assert User("u", owner[0], frozenset(owner[1:])).may(path, write=write) is may
    assert rights_module.service_user().groups


# -- the daemon


def status(site: Rig) -> dict:
    try:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(site.socket)), base_url="http://gateway", timeout=30
        ) as client:
            return client.get("/status").json()
    except httpx.TransportError:
        return {}


def reload(site: Rig) -> subprocess.CompletedProcess:
    env = {**os.environ, "SUBMETER_SOCKET": str(site.socket)}
    return subprocess.run(
        [sys.executable, "-m", "gateway", "reload"],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        check=False,
    )


def test_a_start_goes_on_and_says_what_a_reload_would_refuse(tmp_path) -> None:
    with rig(tmp_path) as site:
        site.configure(uplinks=[site.uplink(url="mqtts://127.0.0.1:1", ca="/none/ca")])
        site.start_gateway()
        until(lambda: status(site).get("mistakes") == 1, 60, "the mistake is known")
        assert "uplinks[0].ca: there is no file /none/ca" in site.log("gateway")
        refused = reload(site)
        assert refused.returncode == 1
        assert "uplinks[0].ca: there is no file /none/ca" in refused.stderr + refused.stdout
        assert status(site)["refused"] == 1
        site.configure()
        assert reload(site).returncode == 0
        seen = status(site)
        assert (seen["mistakes"], seen["refused"], seen["problems"]) == (0, 0, [])


@pytest.mark.parametrize("sections", [
    {"buses": [line(), line("other", port="/dev/line")]},
    {"buses": [line()], "meters": [meter(interval="50ms")]},
    {"buses": [line()], "meters": [meter(driver="eastron-sdm603")]},
])  # fmt: skip
def test_a_reload_refuses_what_check_refuses(tmp_path, sections) -> None:
    with rig(tmp_path) as site:
        site.configure()
        site.start_gateway()
        until(lambda: status(site), 60, "the socket answers")
        site.configure(**sections)
        want = told(site.config_path)
        assert want
        refused = reload(site)
        assert refused.returncode == 1
        assert all(text in refused.stderr + refused.stdout for text in want)
