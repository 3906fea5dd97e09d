"""The control socket and the commands that use it, over a real Unix socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from status_building import CALM, SNAPSHOT, Building

from gateway.cli import cli
from gateway.cli import read as read_command
from gateway.cli import reload as reload_command
from gateway.cli import status as status_command
from gateway.cli.client import control_client, need_client
from gateway.cli.read import ask_daemon
from gateway.errors import BusDown, ConfigError, ControlError, GatewayError, JournalFull, NoReply, Problem
from gateway.host import SOCKET_VARIABLE
from gateway.status.api import as_json, from_json
from gateway.status.control.app import create_control
from gateway.status.server import ControlServer


class Daemon:
    """Actions with answers of their own; a building for the snapshot."""

    def __init__(self) -> None:
        self.building = Building()
        self.asked: list[tuple] = []

    async def poll(self, meter_id):
        self.asked.append(("poll", meter_id))
        match meter_id:
            case "chiller":
                raise NoReply("chiller: no answer within 0.21 s", hint="check its cable")
            case "solar":
                raise BusDown("plant cannot be opened")
            case "lift":
                raise RuntimeError("a bug")
            case "water":
                return {
                    "meter": meter_id,
                    "uptime": 1,
                    "values": {},
                    "absent": {},
                    "missing": "timeout",
                    "suspect": [],
                }
        values = {"active_power": 84.213, "voltage_l1n": 231.4}
        return {
            "meter": meter_id,
            "uptime": 1,
            "values": values,
            "absent": {"frequency": "exception_2"},
            "missing": "",
            "suspect": ["voltage_l1n"],
        }

    async def configuration(self):
        return {"path": "/etc/submeter/gateway.yaml", "read": 1795278300000, "timezone": "Europe/Istanbul"}

    async def unread_changes(self):
        return {
            "changes": ["meter chiller: address was 3, is 55"],
            "meters": {"chiller": ["meter chiller: address was 3, is 55"]},
            "problems": [],
        }

    async def journal_status(self):
        return {"epoch": "b7f2c6d05a91e3f4", "seq": 41822}

    async def journal_rows(self, first, last, limit, epoch=None):
        self.asked.append(("rows", first, last, limit, epoch))
        if first == 13:
            raise JournalFull("the disk is full", hint="make room")
        return [{"seq": first}]

    async def pulses(self):
        return [{"meter": "water", "count": 12}]

    async def set_pulse(self, meter_id, value):
        self.asked.append(("set_pulse", meter_id, value))
        return {"meter": meter_id, "old": 1.0, "new": value}

    async def reload(self):
        self.asked.append(("reload",))
        if len(self.asked) > 1:
            raise ConfigError(
                [
                    Problem("gateway.yaml", 7, "meters[0].bus", "is no bus", "write line1"),
                    Problem("gateway.yaml", 9, "x", "is unknown"),
                ]
            )
        fields = {"meter": "lift", "change": "added"}
        return {"messages": ["meter lift was added"], "changed": [fields]}


class Running:
    """A control server in a thread with a loop of its own, as the daemon is another process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.daemon = Daemon()
        self._loop = asyncio.new_event_loop()
        self._server = ControlServer(create_control(self.daemon.building.snapshot, self.daemon), path)
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    return tmp_path / "control.sock"


@pytest.fixture
def running(path):
    with Running(path) as server:
        yield server


@pytest.fixture
def asking(running):
    with control_client(running.path) as client:
        yield client


def test_the_socket_belongs_to_owner_and_group_only(running):
    mode = running.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_status_is_what_the_api_gives(asking):
    assert asking.status() == json.loads(json.dumps(as_json(SNAPSHOT)))


def test_a_snapshot_survives_the_way_through_json():
    assert from_json(json.loads(json.dumps(as_json(SNAPSHOT)))) == SNAPSHOT


@pytest.mark.parametrize(
    "body",
    [{}, {"gateway": 1}, {"clock": None}, {**as_json(CALM), "meters": [1]}, {**as_json(CALM), "journal": {}}],
)
def test_an_answer_that_is_none_is_an_error_of_ours(body):
    with pytest.raises(ControlError):
        from_json(body)


def test_a_newer_daemon_may_say_more():
    body = {**as_json(CALM), "news": 1}
    body["journal"] = {**body["journal"], "news": 1}
    assert from_json(body) == CALM


def test_read_one_meter_and_by_which_settings(asking, running):
    (reading,) = asking.read(["main"])
    assert reading["values"]["active_power"] == 84.213
    main = SNAPSHOT.meter("main")
    assert (reading["driver"], reading["bus"], reading["address"]) == (main.driver, main.bus, main.address)
    assert running.daemon.asked == [("poll", "main")]


def test_a_meter_that_does_not_answer_comes_with_its_hint(asking):
    (reading,) = asking.read(["chiller"])
    assert reading["error"] == "chiller: no answer within 0.21 s"
    assert reading["hint"] == "check its cable"


def test_values_of_one_configuration_are_not_shown_under_another(asking, running):
    with pytest.raises(GatewayError, match="address was 3, is 55") as caught:
        ask_daemon(asking, None, ("chiller",))
    assert "submeter reload" in caught.value.hint
    assert running.daemon.asked == []
    origin, readings = ask_daemon(asking, None, ("main",))
    assert "not taken over yet: meter chiller: address was 3, is 55" in origin
    assert readings[0]["meter"] == "main"


@pytest.fixture
def in_new_york(monkeypatch):
    """A machine, or the laptop of whoever asks, that is not in the building's zone."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_every_command_tells_the_time_of_the_building(asking):
    """Not of the machine on which it is asked; the zone is named."""
    origin, _ = ask_daemon(asking, None, ("main",))
    assert "as read at 2026-11-21 19:25:00 (Europe/Istanbul)" in origin
    head = " ".join(status_command.lines(as_json(SNAPSHOT))[:2])
    assert "as of 19:25:00 (Europe/Istanbul)" in head


def test_another_file_than_the_one_that_runs_is_refused(asking, tmp_path):
    with pytest.raises(ControlError, match="the running gateway uses /etc/submeter"):
        ask_daemon(asking, tmp_path / "other.yaml", ("main",))


@pytest.mark.parametrize("name", ["mian", "../status", "a/b", "main?x=1", "%2e%2e", "", "x" * 5000, "💩"])
def test_a_meter_that_is_not_there_is_never_polled(asking, running, name):
    with pytest.raises(ControlError) as caught:
        asking.read([name])
    if name == "mian":
        assert caught.value.hint == "did you mean main?"
    assert running.daemon.asked == []


def test_a_bug_is_told_without_its_inside(asking, caplog):
    with pytest.raises(ControlError) as caught:
        asking.read(["lift"])
    assert "a bug" not in str(caught.value)
    assert "journalctl" in caught.value.hint
    assert "a bug" in caplog.text


def test_read_several_and_go_on_after_one_that_fails(asking):
    readings = asking.read(["main", "chiller", "solar"])
    assert [reading["meter"] for reading in readings] == ["main", "chiller", "solar"]
    assert readings[1]["error"].startswith("chiller")
    assert readings[2]["error"] == "plant cannot be opened"


def test_read_without_names_is_every_meter_that_is_on(asking, running):
    off = replace(SNAPSHOT.meters[1], state="disabled")
    running.daemon.building.now = replace(SNAPSHOT, meters=(SNAPSHOT.meters[0], off))
    assert [reading["meter"] for reading in asking.read()] == ["main"]


def test_journal(asking, running):
    assert asking.journal()["seq"] == 41822
    assert asking.journal_rows(5, 9, 3, "b7f2c6d05a91e3f4") == [{"seq": 5}]
    assert asking.journal_rows() == [{"seq": 1}]
    assert running.daemon.asked[0] == ("rows", 5, 9, 3, "b7f2c6d05a91e3f4")
    with pytest.raises(ControlError, match="the disk is full"):
        asking.journal_rows(13)


@pytest.mark.parametrize(
    "query",
    ["first=-1", "first=x", "limit=0", "limit=1001", "last=1e3", "first=" + "9" * 5000, "first=١", "limit="],
)
def test_numbers_that_are_none_are_refused(running, query):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(running.path))) as http:
        response = http.get("http://x/journal/rows?" + query)
    assert response.status_code == 400
    assert "is not a number from" in response.json()["error"]


def test_pulses(asking, running):
    assert asking.pulses() == [{"meter": "water", "count": 12}]
    assert asking.set_pulse("water", "1842.317")["new"] == 1842.317
    assert running.daemon.asked == [("set_pulse", "water", 1842.317)]


@pytest.mark.parametrize(
    "value", ["", "-1", "nan", "inf", "1e400", "1,5", "0x10", "9" * 400, "١", "1_0", " 1"]
)
def test_a_register_that_is_no_number_is_never_set(asking, running, value):
    with pytest.raises(ControlError, match="is not a number"):
        asking.set_pulse("water", value)
    assert running.daemon.asked == []


def test_every_request_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for route in create_control(lambda: SNAPSHOT, Daemon()).routes:
        for method in route.methods - {"HEAD"}:
            path = (
                route.path.replace("{meter}", "<id>")
                .replace("{bus}", "<name>")
                .replace("{quantity}", "<quantity>")
            )
            assert f"`{method} {path}" in text, (method, path)


def test_reload_tells_what_changed_and_what_is_wrong(asking):
    added = {"meter": "lift", "change": "added"}
    assert asking.reload() == {"messages": ["meter lift was added"], "changed": [added]}
    with pytest.raises(ControlError) as caught:
        asking.reload()
    assert caught.value.message.splitlines() == [
        "gateway.yaml:7: meters[0].bus: is no bus → write line1",
        "gateway.yaml:9: x: is unknown",
    ]


def test_status_codes(running):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(running.path)), base_url="http://x") as http:
        codes = {
            (method, path): http.request(method, path).status_code
            for method, path in [
                ("POST", "/read?meter=nobody"), ("POST", "/read?meter=chiller"), ("POST", "/read?meter=lift"),
                ("GET", "/journal/rows?first=13"), ("GET", "/read"), ("POST", "/status"), ("GET", "/nowhere"),
            ]
        }  # fmt: skip
        assert list(codes.values()) == [404, 200, 500, 503, 405, 405, 404]
        assert set(http.get("/nowhere").json()) == {"error", "hint"}


def test_nobody_listens(path):
    assert control_client(path) is None
    with pytest.raises(ControlError, match="no daemon listens"):
        need_client(path)


def test_the_socket_of_a_dead_daemon_is_nobody_and_is_replaced(path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert path.exists()
    assert control_client(path) is None
    with Running(path), control_client(path) as client:
        assert client.journal()["seq"] == 41822
    assert not path.exists()


async def test_a_second_daemon_is_refused_and_the_first_goes_on(running):
    second = ControlServer(create_control(running.daemon.building.snapshot, running.daemon), running.path)
    with pytest.raises(ControlError, match="another daemon listens"):
        await second.start()
    await second.stop()
    assert (await asyncio.to_thread(lambda: need_client(running.path).journal()))["seq"] == 41822


async def test_a_file_that_is_no_socket_is_left_alone(path):
    path.write_text("precious")
    with pytest.raises(ControlError, match="is not a socket"):
        await ControlServer(create_control(lambda: SNAPSHOT, Daemon()), path).start()
    assert path.read_text() == "precious"


async def test_a_directory_that_is_missing_is_named(tmp_path):
    with pytest.raises(ControlError, match=r"no/control\.sock cannot be opened: No such file"):
        await ControlServer(
            create_control(lambda: SNAPSHOT, Daemon()), tmp_path / "no" / "control.sock"
        ).start()


async def test_a_path_that_is_too_long_is_an_error_of_ours(tmp_path):
    with pytest.raises(ControlError):
        await ControlServer(create_control(lambda: SNAPSHOT, Daemon()), tmp_path / ("x" * 120)).start()


async def test_a_socket_that_was_replaced_by_another_daemon_is_not_removed(path):
    first = ControlServer(create_control(lambda: SNAPSHOT, Daemon()), path)
    await first.start()
    path.unlink()
    second = ControlServer(create_control(lambda: SNAPSHOT, Daemon()), path)
    await second.start()
    await first.stop()
    assert path.exists()
    await second.stop()
    assert not path.exists()


@pytest.mark.root
def test_who_may_not_is_told_how(running, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")

    def stranger() -> str:
        os.setegid(65534)
        os.seteuid(65534)
        try:
            control_client(running.path)
        except ControlError as error:
            return str(error)
        finally:
            os.seteuid(0)
            os.setegid(0)
        return "was let in"

    for parent in running.path.parents:
        if parent != parent.parent and stat.S_IMODE(parent.stat().st_mode) & 1 == 0:
            parent.chmod(0o755)
        if parent.name.startswith("pytest-of"):
            break
    told = stranger()
    assert "you may not use" in told
    assert "group submeter" in told


def test_the_variable_names_another_daemon(running, monkeypatch):
    monkeypatch.setenv(SOCKET_VARIABLE, str(running.path))
    with need_client() as client:
        assert client.journal()["seq"] == 41822


def test_proxies_of_the_environment_are_not_asked(running, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with need_client(running.path) as client:
        assert client.journal()["seq"] == 41822


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"",
    ],
)
def test_something_else_that_listens_there_is_not_believed(path, answer):
    def pretend(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(2)
                if connection.recv(4096):
                    connection.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=pretend, args=(listener,))
        thread.start()
        with need_client(path) as client, pytest.raises(ControlError):
            client.status()
        thread.join(10)


def run(command, *arguments: str):
    return CliRunner().invoke(command.command, list(arguments))


def test_submeter_status_in_words(running):
    told = run(status_command, "--socket", str(running.path)).output
    assert "Konak Belediye Binası (izm-konak-017)" in told
    assert "7 of 8 meters answer." in told
    assert "  ! Soğutma grubu (line1, 3): no answer since 18:44." in told
    assert "1,240 readings have been waiting since 14:02; there is room for 41 more days." in told
    assert "If the power fails now" in told
    assert "this page" not in told


def test_submeter_status_without_platform_and_clock(running):
    running.daemon.building.now = replace(
        CALM, uplinks=(), clock=replace(CALM.clock, synced=False), problems=("line1: latency timer is 16 ms",)
    )
    told = run(status_command, "--socket", str(running.path)).output
    assert "none is configured" in told
    assert "clock: not set" in told
    assert told.count("latency timer") == 1
    turkish = CliRunner().invoke(cli, ["--lang", "tr", "status", "--socket", str(running.path)]).output
    assert "bir hatta ya da bir girişte sorun bildiriyor" in " ".join(turkish.split())
    assert turkish.count("latency timer") == 1, "what nobody has translated is told all the same"
    assert "saat: ayarlı değil" in turkish


def test_submeter_status_as_json(running):
    assert (
        json.loads(run(status_command, "--json", "--socket", str(running.path)).output)["gateway"]
        == "izm-konak-017"
    )


def test_submeter_poll(running):
    result = run(read_command, "main", "--socket", str(running.path))
    assert result.exit_code == 0
    assert f"({SNAPSHOT.meter('main').driver}, bus" in result.output
    rows = {words[0]: words[1:] for line in result.output.splitlines() if len(words := line.split()) > 2}
    assert rows["active_power"] == ["84.213", "kW"]
    assert rows["voltage_l1n"] == ["231.4", "V", "doubtful"]
    assert "the meter refuses it (code 2)" in " ".join(result.output.split())
    assert (
        json.loads(run(read_command, "main", "--json", "--socket", str(running.path)).output)["readings"][0][
            "meter"
        ]
        == "main"
    )


def test_submeter_poll_of_a_silent_meter_fails_with_words(running):
    result = run(read_command, "water", "--socket", str(running.path))
    assert result.exit_code == 1
    assert "nothing: no answer" in result.output


@pytest.mark.parametrize(
    ("message", "fields", "told"),
    [
        ("the card is spared now", {"section": "card", "fields": {"remount": [False, True]}}, True),
        ("card: another key was 1, is 2", {"section": "card", "fields": {"another": [1, 2]}}, False),
        ("card: was added", {"meter": "card", "change": "added"}, False),
    ],
)
def test_what_the_service_of_the_card_has_to_do_goes_by_the_fields(running, message, fields, told):
    async def reload():
        return {"messages": [message], "changed": [fields]}

    running.daemon.reload = reload
    assert ("systemctl restart" in run(reload_command, "--socket", str(running.path)).output) == told


def test_submeter_reload(running):
    assert run(reload_command, "--socket", str(running.path)).output == "meter lift was added\n"
    failed = run(reload_command, "--socket", str(running.path))
    assert isinstance(failed.exception, ControlError)


def test_commands_without_a_daemon_say_how_to_start_it(path):
    for command, arguments in ((status_command, ()), (reload_command, ())):
        failed = run(command, *arguments, "--socket", str(path))
        assert isinstance(failed.exception, ControlError)
        assert "systemctl start" in failed.exception.hint
